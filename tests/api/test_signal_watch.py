"""Signals that nobody asked for: at each bar's close, on a schedule, once whoever makes them, late but not lost."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from qsuite.app import build
from qsuite.composition.parts import Parts
from qsuite.domain.errors import SetupError, Unavailable
from qsuite.domain.intervals import MINUTE_NS
from qsuite.domain.market import Trade
from qsuite.domain.signals import Signal
from qsuite.domain.times import DAY_NS, NS_PER_S, format_rfc3339
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.signals import SignalsRepo
from qsuite.services.closed_bars import ClosedBars
from qsuite.services.signal_news import SignalNews
from qsuite.services.signal_watch import SignalWatch
from qsuite.services.signals import SignalService
from qsuite.settings import Settings, SignalSettings
from tests.support.bars import new_symbol
from tests.support.running_app import SECRET, Api
from tests.support.signal_rules import plain_advice
from tests.support.waiting import eventually
from tests.support.ws import WsClient

V1 = "technical_indicators_v1"
START = 1_380_000_000 * NS_PER_S
"""The first minute of a recording of 2013."""


class Recording:
    """A symbol whose trades, two a minute, are played minute by minute."""

    def __init__(self, api: Api, symbol: str, seed: int = 1) -> None:
        chance = random.Random(seed)
        self._api = api
        self.symbol = symbol
        self.minutes = 0
        price = 10_000
        self.closes: list[float] = []
        self.volumes: list[float] = []
        self._cents: list[int] = []
        for _ in range(300):
            price += chance.choice((-90, -40, -7, 5, 30, 80))
            self._cents.append(price)
            self.closes.append(price / 100)
            self.volumes.append(float(chance.choice((20, 21, 40, 90))))

    async def play(self, minutes: int) -> None:
        """Play so many minutes more; the newest of them stays open."""
        trades = []
        for minute in range(self.minutes, self.minutes + minutes):
            at, close = START + minute * MINUTE_NS, Decimal(self._cents[minute]) / 100
            size = Decimal(int(self.volumes[minute])) / 2
            trades += [Trade(self.symbol, at, close - 1, size), Trade(self.symbol, at + 30 * NS_PER_S, close, size)]
        self.minutes += minutes
        await self._api.services.market.publish(trades)

    async def signals(self) -> list[dict[str, Any]]:
        """Return the stored public signals, oldest bar first."""
        query = {"symbol": self.symbol, "ordering": "bar", "page_size": 1_000}
        found: list[dict[str, Any]] = (await self._api.viewer.get("/api/v1/signals/", query=query)).json["results"]
        return found

    def start_of(self, minute: int) -> str:
        return format_rfc3339(START + minute * MINUTE_NS)


class Life:
    """Watches as a process would have them; ``leads`` says whether the engine is there."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.leads = True
        self.made: list[SignalWatch] = []
        self.now = START

    def watch(self, symbol: str, *, every_s: int = 0, algorithms: tuple[str, ...] = (V1,)) -> SignalWatch:
        services = self.api.services
        bars = ClosedBars(
            history=services.history, market_data=MarketDataRepo(self.api.database), market=services.market
        )
        watch = SignalWatch(
            signals=services.signals,
            bars=bars,
            market=services.market,
            reference=services.reference,
            is_active=lambda: self.leads,
        )
        watch.follow(algorithms, ("1m",), (symbol,), every_s=every_s)
        self.made.append(watch)
        return watch

    async def recording(self, seed: int = 1) -> Recording:
        symbol = new_symbol()
        await self.api.services.reference.ensure_ticker(symbol, {"name": symbol})
        return Recording(self.api, symbol, seed)


@pytest.fixture
def life(api: Api) -> Iterator[Life]:
    life = Life(api)
    yield life
    for watch in life.made:
        watch.follow((), ())


async def test_every_bar_that_closes_is_judged_once_by_the_published_rules(life: Life) -> None:
    recording = await life.recording(seed=8)
    await recording.play(62)
    watch = life.watch(recording.symbol)
    await watch.run_once(START)
    first = await recording.signals()
    assert [each["bar"] for each in first] == [recording.start_of(60)]  # the newest closed one, none before it
    for minutes in (1, 1, 3, 0, 25, 1, 10):
        await recording.play(minutes)
        await watch.run_once(START)
    made = await recording.signals()
    assert [each["bar"] for each in made] == [recording.start_of(minute) for minute in range(60, 102)]
    for minute, signal in enumerate(made, 60):
        advice, confidence = plain_advice(recording.closes[: minute + 1], recording.volumes[: minute + 1])
        assert (signal["signal"], signal["confidence"]) == (advice, float(confidence)), signal
        assert (signal["price"], signal["features"]["close"]) == (
            f"{recording.closes[minute]:g}",
            float(signal["price"]),
        )
        assert signal["features"]["volume"] == recording.volumes[minute]
    assert {each["signal"] for each in made} == {"BUY", "SELL", "HOLD"}


async def test_what_was_closed_is_the_same_as_what_is_read_on_demand(life: Life) -> None:
    recording = await life.recording(seed=2)
    await recording.play(80)
    watch = life.watch(recording.symbol)
    await watch.run_once(START)
    await recording.play(2)
    await watch.run_once(START)  # read again: the market was not watched from the start of that minute
    await recording.play(2)
    await watch.run_once(START)  # kept
    made = (await recording.signals())[-1]
    life.api.database.sync.signals.delete_many({"symbol": recording.symbol})
    body = {"symbols": [recording.symbol], "interval": "1m"}
    (asked,) = (await life.api.trader.post("/api/v1/signals/generate/", body)).json["results"]
    for each in (made, asked):
        del each["id"], each["created_at"]
    assert made == asked


async def test_a_new_process_judges_the_newest_bar_alone_and_tells_nothing_twice(life: Life) -> None:
    recording = await life.recording(seed=3)
    await recording.play(62)
    await life.watch(recording.symbol).run_once(START)
    life.made[0].follow((), ())
    await recording.play(10)  # nobody is there
    assert life.api.viewer.token is not None
    async with await WsClient.open(life.api.port, token=life.api.viewer.token) as stream:
        await stream.send({"action": "subscribe", "channels": [f"signals:{recording.symbol}"]})
        snapshot = await stream.receive_type("snapshot")
        assert [each["bar"] for each in snapshot["data"]] == [recording.start_of(60)]
        for _ in range(3):
            await life.watch(recording.symbol).run_once(START)
        told = await stream.receive_type("signal")
        assert told["bar"] == recording.start_of(70)
        await stream.send({"action": "ping"})
        assert (await stream.receive())["type"] == "pong"
    assert [each["bar"] for each in await recording.signals()] == [recording.start_of(60), recording.start_of(70)]


async def test_twenty_runs_at_once_and_another_process_make_one_signal_for_each_bar(life: Life) -> None:
    recording = await life.recording(seed=4)
    await recording.play(70)
    await life.api.services.market.stored()
    told: list[str] = []
    other = _other_process(life.api, told)
    body = {"symbols": [recording.symbol], "interval": "1m"}
    watches = [life.watch(recording.symbol) for _ in range(10)]
    generated = await asyncio.gather(
        *(watch.run_once(START) for watch in watches),
        *(life.api.trader.post("/api/v1/signals/generate/", body) for _ in range(10)),
        *(other.generate([recording.symbol], V1, "1m") for _ in range(10)),
    )
    (made,) = await recording.signals()
    assert {answer.json["results"][0]["id"] for answer in generated[10:20]} == {made["id"]}
    assert {str(signals[0].id) for signals, _ in generated[20:]} == {made["id"]}
    assert len(told) <= 1
    await recording.play(5)
    await asyncio.gather(*(watch.run_once(START) for watch in watches))
    assert [each["bar"] for each in await recording.signals()] == [recording.start_of(at) for at in range(68, 74)]


async def test_signals_are_made_where_the_engine_is(life: Life) -> None:
    recording = await life.recording(seed=5)
    await recording.play(60)
    watch, life.leads = life.watch(recording.symbol), False
    await watch.run_once(START)
    await recording.play(5)
    await watch.run_once(START)
    assert await recording.signals() == []
    life.leads = True
    await watch.run_once(START)
    assert [each["bar"] for each in await recording.signals()] == [recording.start_of(63)]


async def test_what_storage_does_not_take_is_made_when_it_is_back(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = await life.recording(seed=6)
    await recording.play(60)
    watch = life.watch(recording.symbol)
    await watch.run_once(START)
    real, taken = SignalsRepo.add, 0

    async def away(self: SignalsRepo, signal: Signal) -> bool:
        nonlocal taken
        if taken >= 2:
            raise Unavailable("the database is away")
        taken += 1
        return await real(self, signal)

    await recording.play(6)
    monkeypatch.setattr(SignalsRepo, "add", away)
    with capture_logs() as lines:
        await watch.run_once(START)
    assert [line["event"] for line in lines] == ["signals.postponed"]
    monkeypatch.undo()
    await recording.play(1)
    await watch.run_once(START)
    assert [each["bar"] for each in await recording.signals()] == [recording.start_of(at) for at in range(58, 66)]


async def test_on_a_schedule_the_newest_bars_are_judged_once_a_period(life: Life) -> None:
    recording = await life.recording(seed=7)
    await recording.play(60)
    watch = life.watch(recording.symbol, every_s=3_600, algorithms=(V1, "breakout"))
    await watch.run_once(START)
    await recording.play(20)
    await watch.run_once(START + 60 * NS_PER_S)
    assert [each["bar"] for each in await recording.signals()] == [recording.start_of(58)] * 2
    await watch.run_once(START + 3_600 * NS_PER_S)
    made = await recording.signals()
    assert {(each["bar"], each["algorithm"]) for each in made} == {
        (recording.start_of(minute), algorithm) for minute in (58, 78) for algorithm in (V1, "breakout")
    }


async def test_the_clock_finds_bars_that_no_trade_closed(life: Life) -> None:
    recording = await life.recording(seed=8)
    watch = life.watch(recording.symbol)
    await watch.run_once(START + 10 * NS_PER_S)
    rows = [
        {"symbol": recording.symbol, "interval": "1m", "timestamp": recording.start_of(minute), "volume": "5"}
        | dict.fromkeys(("open", "high", "low", "close"), str(recording.closes[minute]))
        for minute in range(60)
    ]
    answer = await life.api.admin.post("/api/v1/market-data/bulk_create/", rows)
    assert answer.json["created"] == 60, answer
    await watch.run_once(START + 30 * NS_PER_S)
    assert await recording.signals() == []  # no new minute yet
    await watch.run_once(START + 90 * NS_PER_S)
    assert [each["bar"] for each in await recording.signals()] == [recording.start_of(59)]
    await watch.run_once(START + DAY_NS)
    assert len(await recording.signals()) == 1


async def test_one_symbols_fault_is_no_other_symbols_trouble(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = await life.recording(seed=9), await life.recording(seed=10)
    for each in (good, bad):
        await each.play(60)
    watch = life.watch(good.symbol)
    watch.follow((V1,), ("1m",), (bad.symbol, good.symbol))
    real = ClosedBars.newest

    async def faulty(self: ClosedBars, symbol: str, *rest: Any, **more: Any) -> Any:
        if symbol == bad.symbol:
            raise ArithmeticError("a fault of ours")
        return await real(self, symbol, *rest, **more)

    monkeypatch.setattr(ClosedBars, "newest", faulty)
    with capture_logs() as lines:
        await watch.run_once(START)
    assert [(line["event"], line["symbol"]) for line in lines] == [("signals.failed", bad.symbol)]
    assert (len(await good.signals()), len(await bad.signals())) == (1, 0)


async def test_a_process_that_stands_by_tells_its_readers_what_the_other_one_made_once(life: Life) -> None:
    recording, told = await life.recording(seed=11), list[str]()
    await recording.play(60)
    watch, other = life.watch(recording.symbol), _other_process(life.api, told)
    here = {"active": False, "others": True, "wanted": True}
    news = SignalNews(
        signals=other,
        repo=SignalsRepo(life.api.database),
        is_active=lambda: here["active"],
        others=lambda: here["others"],
        wanted=lambda channel: here["wanted"],
    )
    await watch.run_once(START)
    await news.run_once(time.time_ns())
    assert told == []  # it is in the snapshot of whoever comes
    await recording.play(3)
    await watch.run_once(START)
    await news.run_once(time.time_ns())
    assert told == [f"signals:{recording.symbol}"] * 3
    await recording.play(1)
    await life.api.services.market.stored()
    await other.generate([recording.symbol], V1, "1m")  # made here, told here
    assert len(told) == 4
    await news.run_once(time.time_ns())
    assert len(told) == 4
    for change in ("active", "others", "wanted"):  # leading, alone, or a mirror of another process's stream
        here[change] = not here[change]
        await recording.play(1)
        await watch.run_once(START)
        await news.run_once(time.time_ns())
        here[change] = not here[change]
        await news.run_once(time.time_ns())
    assert len(told) == 4


async def test_readers_of_a_second_server_hear_what_the_first_one_made_by_itself(
    life: Life, settings: Settings, tmp_path: Path
) -> None:
    second = await build(
        replace(settings, role="gateway", secret_key=SECRET, data_dir=tmp_path), life.api.database, Parts(watched=False)
    )
    await second.start()
    try:
        port, token = second.listen(0), life.api.viewer.token
        assert token is not None
        assert not second.engine.active
        recording = await life.recording(seed=12)
        await recording.play(60)
        await eventually(lambda: second.services.reference.ticker(recording.symbol))
        watch = life.watch(recording.symbol)
        await watch.run_once(START)
        async with await WsClient.open(port, token=token) as stream:
            await stream.send({"action": "subscribe", "channels": [f"signals:{recording.symbol}"]})
            assert len((await stream.receive_type("snapshot"))["data"]) == 1
            await recording.play(1)
            await watch.run_once(START)
            newest = recording.start_of(59)
            heard = await stream.receive_until(lambda one: one["type"] == "signal" and one["bar"] == newest)
            bars = [one["bar"] for one in heard if one["type"] == "signal"]
            # The one before is in the snapshot, and told as well where the reader came before it was heard of.
            assert bars in ([newest], [recording.start_of(58), newest])
    finally:
        await second.stop()


@pytest.mark.parametrize("public", [{"algorithms": ("astrology",)}, {"intervals": ("7m",)}])
async def test_what_nothing_can_make_stops_the_start(api: Api, settings: Settings, public: dict[str, Any]) -> None:
    wrong = replace(settings, secret_key=SECRET, signals=SignalSettings(**public))
    with pytest.raises(SetupError, match=r"setting signals\."):
        await build(wrong, api.database)


def _other_process(api: Api, told: list[str]) -> SignalService:
    """Return the service of another process on the same database, with a stream of its own."""

    class Stream:
        def publish(self, channel: str, message: dict[str, Any]) -> None:
            told.append(channel)

        def snapshot_source(self, *source: Any) -> None:
            """Nobody listens."""

    mine = api.services.signals
    return SignalService(
        signals=SignalsRepo(api.database),
        bars=mine._bars,
        reference=api.services.reference,
        workers=api.services.workers,
        models=mine._models,
        stream=Stream(),
        new_id=mine._new_id,
    )
