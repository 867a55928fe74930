"""What a message costs, in calls and not in time: the same however many listen, and to however many symbols."""

import gc
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import Any

import pytest

from qsuite.services.stream import StreamHub, Subscriber
from qsuite.settings import StreamSettings
from tests.support.frames import messages_of
from tests.support.stream import FakeAuth


class TakesAll:
    """A connection that takes everything at once."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self._written: Future[None] = Future()
        self._written.set_result(None)

    def write(self, frame: bytes) -> Any:
        self.frames.append(frame)
        return self._written

    def close(self, code: int, reason: str) -> None:
        raise AssertionError((code, reason))


def calls(act: Callable[[], None]) -> int:
    """Count the functions that are called, those written in C too, but none of what a garbage collection ends."""
    count = 0

    def note(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before, collecting = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
        if collecting:
            gc.enable()
    return count


class Market:
    """A hub that is flushed by hand, and its readers."""

    def __init__(self) -> None:
        self.hub = StreamHub(settings=StreamSettings(), auth=FakeAuth())
        self.readers: list[tuple[TakesAll, Subscriber]] = []
        self._numbers = itertools.count()

    def listened(self, readers: int, names: list[str]) -> "Market":
        for _ in range(readers):
            wire = TakesAll()
            subscriber = self.hub.attach(wire)
            self.hub.registry.listen(subscriber, frozenset(names))
            self.readers.append((wire, subscriber))
        self.publish()  # finds the ways, once for all
        self.flush()
        return self

    def publish(self, messages: int = 1, symbol: str = "A") -> None:
        for _ in range(messages):
            trade = {"type": "trade", "ts": "2026-01-02T14:30:00Z", "number": next(self._numbers)}
            self.hub.publish(f"trades:{symbol}", trade)

    def flush(self) -> None:
        self.hub.registry.groups.settle()
        for _, subscriber in self.readers:
            subscriber.flush()


def names(count: int) -> list[str]:
    return ["trades:A", *(f"trades:S{number}" for number in range(1, count))]


def test_to_publish_costs_the_same_for_one_reader_and_two_hundred_of_one_symbol_or_all() -> None:
    costs = {
        (readers, len(asked), asked[0]): calls(Market().listened(readers, asked).publish)
        for readers in (1, 20, 200)
        for asked in (names(1), names(100), names(1_000), ["trades:*"])
    }
    assert len(set(costs.values())) == 1, costs


def test_a_wildcard_costs_the_same_however_many_symbols_there_are() -> None:
    market = Market().listened(10, ["trades:*"])
    market.publish(symbol="B")
    few = calls(lambda: market.publish(symbol="B"))
    for number in range(1_000):
        market.publish(symbol=f"S{number}")
    assert calls(lambda: market.publish(symbol="B")) == few


@pytest.mark.parametrize("asked", [names(1), names(1_000), ["trades:*"]], ids=["one", "a thousand", "all"])
def test_to_flush_costs_messages_and_readers_added_not_multiplied(asked: list[str]) -> None:
    cost: dict[tuple[int, int], int] = {}
    for readers, messages in itertools.product((1, 50), (1, 100)):
        market = Market().listened(readers, asked)
        market.publish(messages)
        cost[readers, messages] = calls(market.flush)
    assert cost[50, 100] - cost[50, 1] == cost[1, 100] - cost[1, 1]
    assert cost[50, 1] > cost[1, 1], "something was counted"


def test_what_is_flushed_is_one_frame_that_all_readers_share() -> None:
    market = Market().listened(50, ["trades:*"])
    before = len(market.readers[0][0].frames)
    market.publish(100)
    market.flush()
    frames = [wire.frames[before:] for wire, _ in market.readers]
    assert [len(one) for one in frames] == [1] * 50
    assert len({id(one[0]) for one in frames}) == 1
    assert len(messages_of(frames[0])) == 100
