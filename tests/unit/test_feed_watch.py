"""What health says of the feed, by a clock that is moved by hand."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from qsuite.domain.feeds.breaker import Breaker
from qsuite.domain.times import NS_PER_S
from qsuite.services.feeds.watch import FeedWatch
from qsuite.services.health import State

STALE_S = 30.0


@dataclass
class FakeMarks:
    """As much of the marks of prices as is looked at."""

    suspects: int = 0


@dataclass
class Fake:
    """As much of a market and of a stream feed as is looked at. Times in seconds."""

    newest_arrival_ns: int = 0
    newest_ns: int = 0
    marks: FakeMarks = field(default_factory=FakeMarks)
    breaker: Breaker = field(default_factory=lambda: Breaker(failures_max=1, open_ns=0))


class Watched:
    def __init__(self, *, playing: bool = False, stream: bool = False) -> None:
        self.now_s = 1_000.0
        self.playing = playing
        self.market, self.stream = Fake(), Fake()
        market: Any = self.market
        followed: Any = self.stream if stream else None
        self.watch = FeedWatch(
            market=market,
            stale_s=STALE_S,
            clock=lambda: int(self.now_s * NS_PER_S),
            playing=lambda: self.playing,
            source=followed,
        )

    async def after(self, seconds: float) -> State:
        self.now_s += seconds
        await self.watch.run_once(int(self.now_s * NS_PER_S))
        return self.watch.state

    def price(self, where: Fake) -> None:
        where.newest_arrival_ns = where.newest_ns = int(self.now_s * NS_PER_S)


async def test_without_a_feed_it_is_idle_until_somebody_sends_prices_and_stale_once_they_stop() -> None:
    watched = Watched()
    assert await watched.after(100) is State.IDLE
    watched.price(watched.market)
    assert await watched.after(29) is State.UP
    assert await watched.after(2) is State.STALE


async def test_a_feed_that_plays_has_its_time_to_begin_and_is_stale_then() -> None:
    watched = Watched(playing=True)
    assert watched.watch.state is State.STARTING
    assert await watched.after(1) is State.STARTING
    assert await watched.after(29) is State.STARTING
    assert await watched.after(2) is State.STALE
    watched.price(watched.market)
    assert await watched.after(0) is State.UP


async def test_of_a_source_only_its_own_prices_count() -> None:
    watched = Watched(playing=True, stream=True)
    await watched.after(0)
    watched.price(watched.market)
    assert await watched.after(31) is State.STALE
    watched.price(watched.stream)
    assert await watched.after(1) is State.UP


async def test_a_source_that_is_left_alone_is_down() -> None:
    watched = Watched(playing=True, stream=True)
    watched.price(watched.stream)
    assert await watched.after(1) is State.UP
    watched.stream.breaker.failed(0)
    assert await watched.after(1) is State.DOWN


async def test_a_process_that_does_not_lead_goes_by_the_prices_of_others() -> None:
    watched = Watched(playing=False, stream=True)
    watched.price(watched.market)
    assert await watched.after(1) is State.UP


@pytest.mark.parametrize("rounds", [1, 50])
async def test_an_alarm_is_logged_once_when_it_begins_and_once_when_it_ends(rounds: int) -> None:
    watched = Watched(playing=True)
    with structlog.testing.capture_logs() as lines:
        await watched.after(0)
        await watched.after(40)
        for _ in range(rounds):
            assert await watched.after(1) is State.STALE
        assert watched.watch.alarmed
        watched.price(watched.market)
        for _ in range(rounds):
            await watched.after(0.1)
        assert not watched.watch.alarmed
    assert [(line["event"], line["log_level"], line["state"]) for line in lines] == [
        ("health.feed", "warning", "stale"),
        ("health.feed", "info", "up"),
    ]
    assert lines[0]["silent_s"] == 40.0


async def test_prices_that_come_and_make_no_sense_are_suspect_and_that_is_logged_once() -> None:
    watched = Watched()
    watched.price(watched.market)
    states = []
    with structlog.testing.capture_logs() as lines:
        for suspects in (0, 1, 2, 0):
            watched.market.marks.suspects = suspects
            states.append(await watched.after(1))
    assert states == [State.UP, State.SUSPECT, State.SUSPECT, State.UP]
    assert not watched.watch.alarmed
    assert [(line["event"], line["state"]) for line in lines] == [("health.feed", "suspect"), ("health.feed", "up")]
