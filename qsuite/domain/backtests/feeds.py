"""The past in periods: what one bar's time holds for all symbols, first what opens it, then what follows.

Invariant: periods come oldest first and do not overlap, so that no bar is shown before all that ended earlier.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from qsuite.domain.backtests.engine import Engine
from qsuite.domain.backtests.walk import open_of, walk
from qsuite.domain.bars import PriceSide, build_bars
from qsuite.domain.intervals import bar_end, bucket_end, bucket_start
from qsuite.domain.market import Bar, Quote, Tick

Opened = Callable[[Sequence[str]], None]
"""Told of symbols whose first print of the period was just shown: orders for them may go."""


class Period(Protocol):
    """One bar's time. ``bars`` are those that close at its end."""

    @property
    def start_ns(self) -> int:
        """Return when it begins."""

    @property
    def end_ns(self) -> int:
        """Return when its bars are closed, and known."""

    @property
    def bars(self) -> Sequence[Bar]:
        """Return its bars, one a symbol at most."""

    def play(self, engine: Engine, opened: Opened) -> None:
        """Show the engine all that happened in it."""


@dataclass(frozen=True, slots=True)
class BarPeriod:
    """Bars that begin together, as prints: all opens first, so that a sale can pay for what is bought."""

    start_ns: int
    end_ns: int
    bars: Sequence[Bar]

    def play(self, engine: Engine, opened: Opened) -> None:
        """Print the opens, then each bar's way."""
        bounded = engine.terms.participation is not None
        prints = [tick for bar in self.bars if (tick := open_of(bar, bounded=bounded)) is not None]
        for tick in prints:
            engine.show(tick)
        opened([tick.symbol for tick in prints])
        for bar in self.bars:
            walk(engine, bar, bounded=bounded)


@dataclass(frozen=True, slots=True)
class TickPeriod:
    """Ticks as they came, of any symbols."""

    start_ns: int
    end_ns: int
    bars: Sequence[Bar]
    ticks: Sequence[Tick]

    def play(self, engine: Engine, opened: Opened) -> None:
        """Show the ticks; a symbol's first one opens it."""
        seen: set[str] = set()
        for tick in self.ticks:
            engine.show(tick)
            if tick.symbol not in seen:
                seen.add(tick.symbol)
                opened((tick.symbol,))


def of_bars(many: Iterable[Iterable[Bar]]) -> Iterator[BarPeriod]:
    """Put the bars of several symbols into periods. ValueError where they overlap or are out of order."""
    merged = heapq.merge(*many, key=lambda bar: bar.ts_ns)
    before_ns: int | None = None
    for start_ns, group in groupby(merged, key=lambda bar: bar.ts_ns):
        bars = list(group)
        end_ns = max(bar_end(start_ns, bar.interval) for bar in bars)
        if before_ns is not None and start_ns < before_ns:
            raise ValueError(f"a bar of {bars[0].symbol} begins before one that came earlier has ended")
        if len({bar.symbol for bar in bars}) < len(bars):
            raise ValueError(f"two bars of {bars[0].symbol} begin together")
        before_ns = end_ns
        yield BarPeriod(start_ns, end_ns, bars)


def of_ticks(ticks: Iterable[Tick], interval: str) -> Iterator[TickPeriod]:
    """Put ticks, oldest first, into periods of an interval; a symbol's bar is built of its trades, else of its mids."""
    for start_ns, group in groupby(ticks, key=lambda tick: bucket_start(tick.ts_ns, interval)):
        held = list(group)
        by_symbol: dict[str, list[Tick]] = {}
        for tick in held:
            by_symbol.setdefault(tick.symbol, []).append(tick)
        bars = [bar for symbol, own in by_symbol.items() for bar in build_bars(own, symbol, interval, side=_side(own))]
        yield TickPeriod(start_ns, bucket_end(start_ns, interval), bars, held)


def _side(ticks: Sequence[Tick]) -> PriceSide:
    return "mid" if all(isinstance(tick, Quote) for tick in ticks) else "trade"
