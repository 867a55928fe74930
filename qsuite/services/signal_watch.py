"""Public signals without anybody asking: at the close of each bar, or on a schedule.

    trades ─> live bars ──closed──┐
    the clock, once a bar ────────┴─> symbols that are due ─> the bars kept of them ─> verdicts ─> stored, told

Of each symbol and interval as many closed bars are kept as an algorithm looks back on, as plain numbers, and a bar that
closes is added: nothing is read again. They are read from storage when the engine starts here, for a bar whose trades
were not all seen, for bars that came by another way than ticks, and after storage was away. The clock looks for those
where no trade closed a bar.

Invariant: each closed bar is judged once, in order (of a recording that is rushed through, as many as are kept), and
after a restart the newest one of each symbol. What storage does not take stays due.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from qsuite.domain.analytics.algorithms import Unscored, history_of, judge_newest
from qsuite.domain.analytics.kept_bars import KeptBars
from qsuite.domain.analytics.signals import Verdict, numbers_of
from qsuite.domain.errors import Unavailable
from qsuite.domain.intervals import bar_end, bucket_start
from qsuite.domain.market import Bar
from qsuite.domain.strategies import GRACE_NS
from qsuite.domain.times import NS_PER_S
from qsuite.services.closed_bars import ClosedBars
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.services.signals import Judged, SignalService

log = structlog.get_logger(__name__)

AT_ONCE = 16
"""Symbols judged in one go, in a thread: a few milliseconds."""
WAITING_MAX = 300
"""So many closed bars of a symbol wait at most; when more did, they are read."""


class Watched(NamedTuple):
    """A symbol's bars of one interval."""

    symbol: str
    interval: str


@dataclass(slots=True)
class Progress:
    """How far one is: the bars kept, which were judged, and the closed ones that are not yet in."""

    kept: KeptBars | None = None
    judged_ns: int | None = None
    waiting: list[Bar] = field(default_factory=list)
    closed: int = 0
    """How many bars the market closed since the engine started here: of the first not every trade was seen."""


class SignalWatch:
    """Make public signals. A supervised loop, at work where the engine is."""

    name = "signal_watch"
    interval_s = 1.0

    def __init__(
        self,
        *,
        signals: SignalService,
        bars: ClosedBars,
        market: MarketDataService,
        reference: ReferenceService,
        is_active: Callable[[], bool],
    ) -> None:
        self._signals = signals
        self._bars = bars
        self._market = market
        self._reference = reference
        self._is_active = is_active
        self._algorithms: tuple[str, ...] = ()
        self._intervals: tuple[str, ...] = ()
        self._symbols: tuple[str, ...] = ()
        self._every_s = 0
        self._count = 0
        self._progress: dict[Watched, Progress] = {}
        self._due: dict[Watched, None] = {}
        self._periods: dict[str, int] = {}
        market.on_closed_bar(self._note)

    @property
    def on(self) -> bool:
        """Say whether it was told to make any."""
        return bool(self._algorithms)

    def follow(
        self, algorithms: Sequence[str], intervals: Sequence[str], symbols: Sequence[str] = (), *, every_s: int = 0
    ) -> None:
        """Make these from now on, by default of all active tickers; ``every_s`` of the newest bars so often instead."""
        self._algorithms, self._intervals, self._symbols = tuple(algorithms), tuple(intervals), tuple(symbols)
        self._every_s = every_s
        self._count = max((history_of(name, {}) for name in algorithms), default=0)
        self._forget()
        for interval in intervals:
            self._market.watch_bars(interval)

    async def run_once(self, now: int) -> None:
        """Judge the bars that closed since the last round."""
        if not self.on or not self._is_active():
            self._forget()
            return
        self._look_at_the_clock(now)
        if not self._due:
            return
        try:
            await self._market.stored()  # the ticks of what closed may still be on their way
            for some in _parts(list(self._due), AT_ONCE):
                await self._judge_apart(some)
        except Unavailable as error:
            log.warning("signals.postponed", due=len(self._due), error=str(error))

    # -- what is due ------------------------------------------------------------------------------------------------

    def _note(self, bar: Bar) -> None:
        """Take a bar that the market closed."""
        if bar.interval not in self._intervals or self._every_s or not self._is_active():
            return
        if self._symbols and bar.symbol not in self._symbols:
            return
        one = Watched(bar.symbol, bar.interval)
        known = self._progress.setdefault(one, Progress())
        last = known.waiting[-1].ts_ns if known.waiting else known.judged_ns
        if not known.closed or len(known.waiting) >= WAITING_MAX or (last is not None and bar.ts_ns <= last):
            known.kept = None  # the market began within this bar, or went back: storage knows better
        known.closed += 1
        if known.kept is None:
            known.waiting.clear()
        else:
            known.waiting.append(bar)
        self._due[one] = None

    def _look_at_the_clock(self, now: int) -> None:
        for interval in self._intervals:
            period = now // (self._every_s * NS_PER_S) if self._every_s else bucket_start(now - GRACE_NS, interval)
            if self._periods.get(interval) == period:
                continue
            self._periods[interval] = period
            for symbol in self._of():
                known = self._progress.get(Watched(symbol, interval))
                newest_ns = None if known is None else known.judged_ns
                if newest_ns is None or self._every_s or bar_end(newest_ns, interval) < period:
                    self._due[Watched(symbol, interval)] = None

    def _of(self) -> Iterable[str]:
        if self._symbols:
            return [symbol for symbol in self._symbols if self._reference.ticker(symbol) is not None]
        return [ticker.symbol for ticker in self._reference.tickers() if ticker.is_active]

    def _forget(self) -> None:
        """Begin anew: whoever takes the engine over judges the newest bar of each symbol."""
        self._progress.clear()
        self._due.clear()
        self._periods.clear()

    # -- judging ----------------------------------------------------------------------------------------------------

    async def _judge_apart(self, some: Sequence[Watched]) -> None:
        """Judge all at once, or, where that fails, one by one: one symbol's fault stops no other."""
        try:
            await self._judge(some)
        except Unavailable:
            raise
        except Exception as error:  # whatever it is: logged, and looked at again when its next bar closes
            if len(some) > 1:
                for one in some:
                    await self._judge_apart([one])
                return
            log.error("signals.failed", symbol=some[0].symbol, interval=some[0].interval, exc_info=error)
            self._due.pop(some[0], None)

    async def _judge(self, some: Sequence[Watched]) -> None:
        closed = [self._progress.setdefault(one, Progress()).closed for one in some]
        fresh = [await self._fresh(one) for one in some]
        kept = [(self._kept(one).series(), len(bars)) for one, bars in zip(some, fresh, strict=True) if bars]
        verdicts = iter(await asyncio.to_thread(judge_newest, self._algorithms, kept) if kept else ())
        for one, bars, before in zip(some, fresh, closed, strict=True):
            if bars:
                await self._record(bars, next(verdicts))
                known = self._progress[one]
                known.judged_ns = bars[-1].ts_ns
                known.waiting = [bar for bar in known.waiting if bar.ts_ns > bars[-1].ts_ns]
            if self._progress[one].closed == before:  # none came in the meantime
                self._due.pop(one, None)

    async def _record(self, bars: Sequence[Bar], of_algorithms: Sequence[Sequence[Verdict | Unscored]]) -> None:
        for algorithm, verdicts in zip(self._algorithms, of_algorithms, strict=True):
            for bar, verdict in zip(bars, verdicts, strict=True):
                if not isinstance(verdict, Unscored):
                    await self._signals.record(Judged(bar, verdict), algorithm)

    async def _fresh(self, one: Watched) -> list[Bar]:
        """Return the closed bars that were not judged yet, the kept bars having them at their end."""
        known = self._progress[one]
        if known.kept is None or not known.waiting:
            await self._read(one, known)
        for bar in known.waiting:
            self._kept(one).add(bar.ts_ns, numbers_of(bar))
        return list(known.waiting)

    async def _read(self, one: Watched, known: Progress) -> None:
        """Read what is kept, and let wait what of it was not judged yet."""
        if known.kept is not None and not self._every_s:
            newest = await self._bars.newest(*one, 1)
            if not newest or newest[-1].ts_ns == known.judged_ns:
                return
        bars = await self._bars.newest(*one, self._count)
        known.kept = KeptBars(self._count)
        for bar in bars:
            known.kept.add(bar.ts_ns, numbers_of(bar))
        if known.judged_ns is None or self._every_s:
            known.waiting = bars[-1:]
        else:
            known.waiting = [bar for bar in bars if bar.ts_ns > known.judged_ns]

    def _kept(self, one: Watched) -> KeptBars:
        kept = self._progress[one].kept
        assert kept is not None, "what waits is kept"
        return kept


def _parts(items: list[Watched], size: int) -> Iterable[list[Watched]]:
    return (items[start : start + size] for start in range(0, len(items), size))
