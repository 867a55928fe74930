"""Prices of the past: ticks as they came, and bars of any interval made from what there is.

    stored bars of the interval ──────────────┐
    stored bars of a smaller one ── resample ─┼── merged by time, the first that has a bucket gives it ──> bars
    ticks ─────────────── build ──────────────┘

Everything is read lazily, in the database's threads, and only as far as the page asked for reaches, or as whoever takes
a whole range in batches has come.
"""

import heapq
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import ExitStack, aclosing, closing
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from qsuite.domain.adjusted import adjusted
from qsuite.domain.bars import PriceSide, build_bars, resample
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import bar_end, bucket_end, bucket_start, nests, parse_interval
from qsuite.domain.listing import Page
from qsuite.domain.market import Bar, Tick
from qsuite.repos.cursors import cursor_after, read_cursor
from qsuite.repos.database import Database
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services.downloads import pulled
from qsuite.services.tick_slices import in_batches, in_pieces, in_slices

if TYPE_CHECKING:
    from qsuite.domain.tick_columns.columns import TickColumns

Opened = Callable[[Generator[Any, None, None]], Generator[Any, None, None]]
"""Take note of a database cursor, so that it is closed when the page is full."""

BUDGET_S = 20.0
"""What one page or batch of bars may take."""
TURN_S = 0.5
"""A batch of bars is passed on after this long, however few it holds."""
BATCH_BARS = 2_000
CHECKED_TICKS = 10_000
_MONTH_NS = 31 * 86_400 * 1_000_000_000


TicksAsked = TickQuery


class BarsAsked(NamedTuple):
    """Ask for bars that start at or after ``start_ns`` and before ``end_ns``; ``side`` is what ticks are read for.

    ``adjusted``: stored bars with their prices adjusted, and larger ones made of those.
    """

    symbol: str
    interval: str
    start_ns: int | None = None
    end_ns: int | None = None
    side: PriceSide = "trade"
    adjusted: bool = False


class Budget:
    """Until when the bars that are being made must be there."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew."""
        self.deadline_s = time.monotonic() + BUDGET_S


class PriceHistory:
    """Read ticks and bars."""

    def __init__(
        self,
        *,
        database: Database,
        ticks: TicksRepo,
        market_data: MarketDataRepo,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._database = database
        self._ticks = ticks
        self._market_data = market_data
        self._clock = clock

    async def ticks(self, query: TickQuery, *, page: int, page_size: int, cursor: str | None) -> Page[Tick]:
        """Return one page of ticks in order."""
        return await self._ticks.page(query, page=page, page_size=page_size, cursor=cursor)

    def tick_batches(self, query: TickQuery) -> AsyncGenerator[list[Tick], None]:
        """Yield all of a query's ticks in order."""
        return pulled(self._database, lambda: in_batches(in_slices(self._ticks, query)))

    def tick_runs(self, query: TickQuery) -> "AsyncGenerator[TickColumns, None]":
        """Yield all of a query's ticks in order, as columns."""
        return pulled(self._database, lambda: in_pieces(self._ticks.columns(query)))

    async def bar_batches(self, asked: BarsAsked) -> AsyncGenerator[list[Bar], None]:
        """Yield all bars by time."""
        intervals = await self._market_data.intervals(asked.symbol)
        async with aclosing(pulled(self._database, lambda: self._batches(asked, intervals))) as batches:
            async for batch in batches:
                yield batch

    async def bars(self, asked: BarsAsked, *, page_size: int, cursor: str = "") -> Page[Bar]:
        """Return one page of bars by time; ``cursor`` is that of the page before."""
        scope = repr(("bars", asked))
        if cursor:
            (after_ns,) = read_cursor(cursor, scope, 1)
            asked = asked._replace(start_ns=int(after_ns) + 1)
        intervals = await self._market_data.intervals(asked.symbol)
        items = await self._database.in_reader(self._read, asked, intervals, page_size + 1)
        if len(items) <= page_size:
            return Page(items, None)
        items.pop()
        return Page(items, None, cursor_after([items[-1].ts_ns], scope), has_next=True)

    # -- in a thread ------------------------------------------------------------------------------------------------

    def _read(self, asked: BarsAsked, intervals: list[str], limit: int) -> list[Bar]:
        with closing(self._made(asked, intervals, Budget())) as bars:
            return list(islice(bars, limit))

    def _batches(self, asked: BarsAsked, intervals: list[str]) -> Generator[list[Bar], None, None]:
        budget = Budget()
        with closing(self._made(asked, intervals, budget)) as bars:
            batch: list[Bar] = []
            since = time.monotonic()
            for bar in bars:
                batch.append(bar)
                if len(batch) == BATCH_BARS or time.monotonic() - since > TURN_S:
                    yield batch
                    batch, since = [], time.monotonic()
                    budget.renew()
            if batch:
                yield batch

    def _made(self, asked: BarsAsked, intervals: list[str], budget: Budget) -> Generator[Bar, None, None]:
        with ExitStack() as opened:
            sources = self._sources(asked, intervals, budget, lambda cursor: opened.enter_context(closing(cursor)))
            numbered = [_numbered(source, rank) for rank, source in enumerate(sources)]
            merged = heapq.merge(*numbered, key=lambda each: (each[0].ts_ns, each[1]))
            for bar in _first_of_each_start(bar for bar, _ in merged):
                yield bar._replace(final=bar_end(bar.ts_ns, bar.interval) <= self._clock())

    def _sources(
        self, asked: BarsAsked, intervals: list[str], budget: Budget, opened: Opened
    ) -> Iterator[Iterator[Bar]]:
        """Yield what can give the bars, the best first."""
        symbol, interval, start_ns, end_ns, side, _ = asked
        offset_ns = 0
        if interval in intervals and side == "trade":
            offset_ns = self._offset(asked)
            yield self._stored(BarQuery(symbol, interval, start_ns, end_ns), asked, opened)
        # Buckets that begin in the range, whole: the first may begin before it, the last may reach beyond it.
        first_ns = None if start_ns is None else _first_start(start_ns, interval, offset_ns)
        last_ns = None if end_ns is None else _first_start(end_ns, interval, offset_ns)
        if side == "trade":
            for smaller in sorted(intervals, key=_width, reverse=True):
                if smaller != interval and nests(smaller, interval):
                    parts = self._stored(BarQuery(symbol, smaller, first_ns, last_ns), asked, opened)
                    yield resample(parts, interval, utc_offset_ns=offset_ns)
        kind = "trade" if side == "trade" else "quote"
        ticks = opened(in_slices(self._ticks, TickQuery(symbol, first_ns, last_ns, kind)))
        ticks = opened(_within(budget, ticks))
        yield build_bars(ticks, symbol, interval, side=side, utc_offset_ns=offset_ns)

    def _stored(self, query: BarQuery, asked: BarsAsked, opened: Opened) -> Iterator[Bar]:
        bars = opened(self._market_data.iterate(query))
        return map(adjusted, bars) if asked.adjusted else bars

    def _offset(self, asked: BarsAsked) -> int:
        """Return how the stored bars cut their day, so that what is built beside them is cut alike."""
        with closing(self._market_data.iterate(BarQuery(asked.symbol, asked.interval))) as bars:
            first = next(bars, None)
        return 0 if first is None else bucket_start(first.ts_ns, asked.interval) - first.ts_ns


def _within(budget: Budget, ticks: Iterator[Tick]) -> Generator[Tick, None, None]:
    for number, tick in enumerate(ticks):
        if number % CHECKED_TICKS == 0 and time.monotonic() > budget.deadline_s:
            raise Invalid(
                "that takes too many ticks: ask for fewer bars or a shorter interval", code="bars.too_many_ticks"
            )
        yield tick


def _numbered(source: Iterator[Bar], rank: int) -> Iterator[tuple[Bar, int]]:
    for bar in source:
        yield bar, rank


def _first_of_each_start(bars: Iterator[Bar]) -> Iterator[Bar]:
    previous_ns: int | None = None
    for bar in bars:
        if bar.ts_ns != previous_ns:
            yield bar
        previous_ns = bar.ts_ns


def _first_start(ts_ns: int, interval: str, offset_ns: int) -> int:
    """Return the first start of a bucket at or after an instant."""
    start_ns = bucket_start(ts_ns, interval, offset_ns)
    return start_ns if start_ns == ts_ns else bucket_end(ts_ns, interval, offset_ns)


def _width(interval: str) -> int:
    return parse_interval(interval).width_ns or _MONTH_NS
