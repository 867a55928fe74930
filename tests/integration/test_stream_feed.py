"""Following a source that misbehaves: every tick of its log is published and stored once, in its order."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import structlog
from bson import Int64

from ops.stack.process import free_port
from qsuite.domain.errors import SetupError
from qsuite.domain.feeds.breaker import BreakerState
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.times import NS_PER_MS, format_rfc3339, parse_rfc3339
from qsuite.repos.database import Database
from qsuite.repos.feed_positions import FeedPositionsRepo
from qsuite.repos.ticks import TickQuery
from qsuite.services.feeds.stream_feed import StreamFeed
from qsuite.services.feeds.watch import FeedWatch
from qsuite.services.health import State
from qsuite.services.supervisor import Supervisor
from qsuite.settings import SourceSettings
from tests.support.bad_source import BadSource
from tests.support.market import Parts, open_market
from tests.support.waiting import eventually

START = parse_rfc3339("2026-11-21T14:30:00Z")
SYMBOLS = ("A", "B", "C")
FAULTS = {
    "swallow": 0.03,
    "overtake": 0.05,
    "double": 0.05,
    "rubbish": 0.03,
    "drop": 0.02,
    "stall": 0.003,
    "refuse": 0.3,
    "slow_handshake": 0.04,
    "no_history": 0.15,
    "slow_history": 0.01,
    "rubbish_history": 0.1,
    "part_of_history": 0.15,
}


def settings_of(source: BadSource, **changed: Any) -> SourceSettings:
    given: dict[str, Any] = {
        "url": f"ws://{source.url}/stream",
        "fill_url": f"http://{source.url}/history?key={{key}}&first={{first}}&last={{last}}",
        "fill_items": "data",
        "handshake_s": 1.0,
        "silence_s": 10.0,
        "reorder_s": 0.02,
        "pause_first_s": 0.01,
        "pause_max_s": 0.02,
        "failures_max": 5,
        "open_s": 0.1,
        "fill_timeout_s": 1.0,
        "fill_give_up_s": 30.0,
    }
    return SourceSettings(**{**given, **changed})


class Followed:
    """A feed under a supervisor, and what it published."""

    def __init__(self, parts: Parts, settings: SourceSettings, leading: Callable[[], bool] = lambda: True) -> None:
        self.parts = parts
        self.feed = StreamFeed(
            settings=settings,
            symbols=SYMBOLS,
            market=parts.market,
            reference=parts.reference,
            positions=FeedPositionsRepo(parts.database),
            ticks=parts.ticks,
            leading=leading,
            uniform=random.Random(7).random,
        )
        self.supervisor = Supervisor()
        self.supervisor.add(self.feed)
        self.came: list[Tick] = []
        parts.market.on_ticks(self.came.extend)

    def of(self, symbol: str) -> list[tuple[int, str]]:
        """Return a symbol's ticks as (time, what) in the order they came."""
        return [(tick.ts_ns, shown(tick)) for tick in self.came if tick.symbol == symbol]

    async def stored(self, symbol: str) -> list[tuple[int, str]]:
        """Return a symbol's stored ticks."""
        await self.parts.market.stored()
        found = await self.parts.ticks.read(TickQuery(symbol), 100_000)
        return [(tick.ts_ns, shown(tick)) for tick in found]


@asynccontextmanager
async def following(source: BadSource, parts: Parts, **changed: Any) -> AsyncIterator[Followed]:
    async with running(Followed(parts, settings_of(source, **changed))) as followed:
        yield followed


@asynccontextmanager
async def running(followed: Followed) -> AsyncIterator[Followed]:
    followed.supervisor.start()
    try:
        yield followed
    finally:
        await followed.supervisor.stop()


def shown(tick: Tick) -> str:
    return str(tick.price) if isinstance(tick, Trade) else f"{tick.bid}/{tick.ask}"


def logged(source: BadSource, symbol: str) -> list[tuple[int, str]]:
    return [
        (parse_rfc3339(m["ts"]), str(m["price"]) if m["type"] == "trade" else f"{m['bid']}/{m['ask']}")
        for m in source.log[symbol]
    ]


def message_of(number: int) -> dict[str, Any]:
    """Return a trade or a quote; a strictly rising time, so that storage gives the order back."""
    at = format_rfc3339(START + number * NS_PER_MS)
    if number % 3:
        return {"type": "trade", "ts": at, "price": f"{100 + number / 100:.2f}", "size": "5"}
    return {"type": "quote", "ts": at, "bid": f"{number}.10", "ask": f"{number}.20", "bid_size": 3, "ask_size": "4"}


async def say_all(source: BadSource, count: int) -> None:
    await source.connected()
    for number in range(count):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        if number % 5:
            await source.connected()
        await source.say(symbol, message_of(number), sure=number < len(SYMBOLS))
        await asyncio.sleep(0)


async def all_of_it(source: BadSource, followed: Followed) -> None:
    """Wait until as much came as the source has. Its newest messages come again and again, as those of tickers do."""

    async def there() -> bool:
        await source.repeat_newest()
        return all(len(followed.of(symbol)) >= len(source.log[symbol]) for symbol in source.log)

    await eventually(there, timeout_s=90, what="every tick")


@pytest.mark.parametrize("seed", [1, 3])
async def test_whatever_the_source_does_every_tick_of_its_log_comes_once_and_in_order(
    database: Database, seed: int
) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource(FAULTS, seed).listening() as source, following(source, parts, silence_s=0.4) as followed:
        await say_all(source, 300)
        await all_of_it(source, followed)
    for symbol in SYMBOLS:
        assert followed.of(symbol) == logged(source, symbol)
        assert await followed.stored(symbol) == logged(source, symbol)
    happened = source.happened
    assert all(happened[fault] for fault in ("swallow", "overtake", "double", "rubbish", "drop", "no_history"))
    assert followed.feed.gaps.counts.sequence.lost == 0
    assert followed.feed.gaps.counts.filled > 0
    assert followed.feed.counts.bad > 0
    assert followed.feed.counts.connects > happened["drop"] > 0


async def test_it_sends_its_authorization_and_its_subscription(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    subscribe = '[{"action": "subscribe", "channels": ["A"]}, {"action": "ping"}]'
    async with BadSource({}, 1).listening() as source:
        settings = settings_of(source, authorization="Bearer secret", subscribe=subscribe)
        async with running(Followed(parts, settings)):
            await eventually(lambda: len(source.subscribed) == 2)
    assert [json.loads(text) for text in source.subscribed] == json.loads(subscribe)
    assert source.authorization == {"Bearer secret"}


async def test_a_source_that_is_away_is_left_alone_and_found_again_with_one_alarm(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource({"refuse": 1.0}, 1).listening() as source:
        followed = Followed(parts, settings_of(source, failures_max=3))
        watch = FeedWatch(
            market=parts.market, stale_s=60.0, clock=parts.clock, playing=lambda: True, source=followed.feed
        )
        await watch.run_once(START)
        assert watch.state is State.STARTING
        with structlog.testing.capture_logs() as lines:
            async with running(followed):
                await eventually(lambda: followed.feed.breaker.state is BreakerState.OPEN)
                assert followed.feed.counts.failures >= 3
                assert followed.feed.counts.connects == 0
                for _ in range(3):
                    await watch.run_once(START)
                source.faults["refuse"] = 0.0
                await source.connected()
                assert followed.feed.breaker.state is BreakerState.HALF_OPEN
                await source.say("A", message_of(1))
                await eventually(lambda: followed.came)
                for _ in range(3):
                    await watch.run_once(START)
        assert followed.feed.breaker.state is BreakerState.CLOSED
        assert watch.state is State.UP
    alarms = [(line["log_level"], line["state"]) for line in lines if line["event"] == "health.feed"]
    assert alarms == [("warning", "down"), ("info", "up")]


async def test_what_was_sent_while_the_line_was_down_is_asked_for_even_if_nothing_follows(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource({}, 1).listening() as source, following(source, parts) as followed:
        await source.connected()
        await source.say("A", message_of(1))
        await eventually(lambda: followed.came)
        source.faults["refuse"] = 1.0
        for socket in list(source.sockets):
            socket.cut()
        for number in range(2, 2_500):
            await source.say("A", message_of(number))
        source.faults["refuse"] = 0.0
        await eventually(lambda: len(followed.came) == 2_499)
    assert followed.of("A") == logged(source, "A")


async def test_what_the_source_no_longer_has_is_given_up_counted_and_logged(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource({}, 1).listening() as source:
        with structlog.testing.capture_logs() as lines:
            async with following(source, parts) as followed:
                await source.connected()
                await source.say("A", message_of(1))
                await eventually(lambda: followed.came)
                source.faults["swallow"] = 1.0
                await source.say("A", message_of(2))
                await source.say("A", message_of(4))
                source.faults["swallow"] = 0.0
                source.log["A"][1] = {"seq": 0}  # forgotten
                await source.say("A", message_of(5))
                await eventually(lambda: len(followed.came) == 3)
    assert [ts_ns - START for ts_ns, _ in followed.of("A")] == [number * NS_PER_MS for number in (1, 4, 5)]
    assert followed.feed.gaps.counts.sequence.lost == 1
    (lost,) = [line for line in lines if line["event"] == "feed.lost"]
    assert (lost["log_level"], lost["sequence"], lost["first"], lost["lost"]) == ("error", "A", 2, 1)


async def test_a_source_without_history_loses_what_it_swallows_and_says_so(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource({}, 1).listening() as source, following(source, parts, fill_url=None) as followed:
        await source.connected()
        for number, swallow in ((1, 0.0), (2, 1.0), (4, 0.0), (5, 0.0)):
            source.faults["swallow"] = swallow
            await source.say("A", message_of(number))
        await eventually(lambda: len(followed.came) == 3)
    assert followed.feed.gaps.counts.sequence.lost == 1
    assert source.requests == []


async def test_behind_a_gap_only_so_much_is_held_and_then_reading_waits(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource({}, 1).listening() as source, following(source, parts, held_max=50) as followed:
        await source.connected()
        await source.say("A", message_of(0), sure=True)
        await eventually(lambda: followed.came)
        source.faults = {"no_history": 1.0}
        source.log["A"].append({"channel": "A", "seq": 2, "symbol": "A", **message_of(1)})
        for number in range(2, 400):
            await source.say("A", message_of(number))
        await eventually(lambda: followed.feed.gaps.full)
        await eventually(lambda: followed.feed.gaps.counts.requests > 3)
        assert len(followed.came) == 1
        assert followed.feed.counts.frames <= 51 + 1
        source.faults = {}
        await eventually(lambda: len(followed.came) == 400)
    assert followed.of("A") == logged(source, "A")


async def test_a_source_that_begins_to_count_anew_is_followed(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource({}, 1).listening() as source, following(source, parts) as followed:
        await source.connected()
        for number in range(50):
            await source.say("A", message_of(number))
        await eventually(lambda: len(followed.came) == 50)
        before = logged(source, "A")
        source.log.clear()
        for socket in list(source.sockets):
            socket.cut()
        await source.connected()
        for number in range(50, 60):
            await source.say("A", message_of(number))
        await eventually(lambda: len(followed.came) == 60)
    assert followed.of("A") == before + logged(source, "A")
    assert followed.feed.gaps.counts.sequence.restarts == 1


@pytest.mark.parametrize("killed", [False, True])
async def test_a_restart_brings_what_was_said_meanwhile_and_stores_nothing_twice(
    database: Database, killed: bool
) -> None:
    async with BadSource({}, 1).listening() as source:
        parts = await open_market(database, START, *SYMBOLS)
        async with following(source, parts) as followed:
            await source.connected()
            for number in range(30):
                await source.say("A", message_of(number))
            await eventually(lambda: len(followed.came) == 30)
        saved = await database.collection("feed_positions").find_one({"_id": {"$regex": ":A$"}})
        assert saved is not None
        assert (saved["next"], saved["stamp"], saved["sure"]) == (31, START + 29 * NS_PER_MS, True)
        if killed:  # as a process leaves it that is killed before it could save what it stored last
            earlier = {"next": Int64(11), "stamp": Int64(START + 9 * NS_PER_MS), "sure": False}
            await database.collection("feed_positions").update_one({"_id": saved["_id"]}, {"$set": earlier})
        source.faults["swallow"] = 1.0
        for number in range(30, 60):
            await source.say("A", message_of(number))
        source.faults.clear()
        again = await open_market(database, START, *SYMBOLS)
        async with following(source, again) as followed:
            await eventually(lambda: len(followed.came) == 30)
            await source.connected()
            await source.say("A", message_of(60))
            await eventually(lambda: len(followed.came) == 31)
            assert await followed.stored("A") == logged(source, "A")
        assert len(followed.came) == 31
        assert followed.feed.gaps.counts.sequence.lost == 0


async def test_the_position_of_another_source_is_not_taken(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    async with BadSource({}, 1).listening() as first, following(first, parts) as followed:
        await first.connected()
        await first.say("A", message_of(1))
        await eventually(lambda: followed.came)
    async with BadSource({}, 1).listening() as other, following(other, parts) as followed:
        await other.connected()
        await other.say("A", message_of(2))
        await eventually(lambda: followed.came)
        assert other.requests == []


async def test_only_the_process_with_the_engine_connects_and_it_leaves_when_it_loses_it(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    leading = False
    async with BadSource({}, 1).listening() as source:
        followed = Followed(parts, settings_of(source), leading=lambda: leading)
        await followed.feed.run_once(START)
        assert (followed.feed.counts.connects, followed.feed.interval_s) == (0, 0.5)
        leading = True
        round_ = asyncio.ensure_future(followed.feed.run_once(START))
        await source.connected()
        leading = False
        await asyncio.wait_for(round_, timeout=10)
        await eventually(lambda: not source.sockets)
    assert followed.feed.counts.failures == 0


async def test_nobody_listening_is_an_error_of_the_source_and_not_a_fault(database: Database) -> None:
    parts = await open_market(database, START, *SYMBOLS)
    source = BadSource({}, 1)
    source.url = f"127.0.0.1:{free_port()}"
    followed = Followed(parts, settings_of(source))
    with structlog.testing.capture_logs() as lines:
        await followed.feed.run_once(START)
    assert followed.feed.counts.failures == 1
    assert [line["event"] for line in lines] == ["feed.disconnected"]


async def test_missing_tickers_are_made_with_the_steps_of_their_prices(database: Database) -> None:
    parts = await open_market(database, START)
    async with BadSource({}, 1).listening() as source, following(source, parts) as followed:
        await source.connected()
        at = format_rfc3339(START)
        await source.say("A", {"type": "trade", "ts": at, "price": 1.38725, "size": 1})
        await source.say("OTHER", {"type": "trade", "ts": at, "price": 1, "size": 1})
        await source.say("B", {"type": "quote", "ts": at, "bid": "10", "ask": None})
        await eventually(lambda: len(followed.came) == 2)
    assert {ticker.symbol: ticker.tick_size for ticker in parts.reference.tickers()} == {
        "A": Decimal("0.00001"),
        "B": Decimal("0.01"),
    }
    assert isinstance(parts.market.snapshot("B").quote, Quote)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"url": "http://x"}, "source.url"),
        ({"fill_url": "http://x/{first}"}, "source.fill_url"),
        ({"fill_url": "ftp://x/{first}/{last}"}, "source.fill_url"),
        ({"subscribe": "{"}, "source.subscribe"),
        ({"fields": ("prize=p",)}, "source.fields"),
        ({"fields": ("price",)}, "source.fields"),
        ({"rename": ("=A",)}, "source.rename"),
    ],
)
async def test_settings_that_make_no_sense_stop_the_start(
    memory_database: Database, changed: dict[str, Any], complaint: str
) -> None:
    parts = await open_market(memory_database, START)
    with pytest.raises(SetupError, match=complaint):
        Followed(parts, settings_of(BadSource({}, 1), **changed))
