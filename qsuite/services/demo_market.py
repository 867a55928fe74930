"""A market to try QSuite with: real daily prices, and a live market played from them.

Prices: AAPL, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01, raw as they were quoted then (so a split is a jump from one
day to the next), public domain, from the package ``bokeh-sampledata``. The live market takes one of those real days
after the other and walks it from its open over its high and low to its close along a path drawn from a seed: days are
real, the moves within them are made up, and every ticker's description says so.

The ticks carry the present time. Which day is played follows from the clock alone, so a restart goes on where the
market would be by then, and two runs with one seed at one time show the same prices.
"""

import asyncio
import csv
import gzip
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from importlib import resources
from typing import NamedTuple
from uuid import UUID

import structlog

from qsuite.domain.errors import SetupError
from qsuite.domain.intraday import SESSION_NS, STEPS_MIN, intraday_path, path_ticks
from qsuite.domain.market import Bar, Tick
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.times import NS_PER_S, datetime_to_ns, floor_ms, format_rfc3339
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.settings import MarketSettings

log = structlog.get_logger(__name__)

NAMES: Mapping[str, str] = {
    "AAPL": "Apple Inc.",
    "GOOG": "Google Inc.",
    "IBM": "International Business Machines Corporation",
    "MSFT": "Microsoft Corporation",
}
PROVENANCE = (
    "Daily prices 2000-03-01 to 2013-03-01, unadjusted, public domain (Quandl WIKI by bokeh-sampledata). "
    "The demo's live market plays those real days one after the other: each day's open, high, low and close are real, "
    "the path between them is simulated, and its ticks carry the present time."
)
SOURCE_CODE = "demo"
SOURCE_NAME = "Demo market (WIKI daily prices by bokeh-sampledata)"
PACKAGE = "bokeh_sampledata"
TICK_SIZE = Decimal("0.01")
LOAD_SIZE = 1_000

STEP_NS = NS_PER_S // 2
"""Between two trades of a symbol."""
CATCH_UP_NS = 2 * NS_PER_S
"""After a longer silence (a laptop asleep) the market goes on from now instead of rushing through what was missed."""
YIELD_NS = 60 * NS_PER_S
"""A symbol for which another feed brought ticks within this time is left to that feed."""

Progress = Callable[[int, int], None]
"""Told how many bars are done, and of how many."""


class Loaded(NamedTuple):
    """What loading found: bars stored now, bars that were there before, and bars a user's own prices stand in for."""

    created: int
    unchanged: int
    conflicts: int


def read_demo_bars() -> dict[str, list[Bar]]:
    """Read the daily bars of the package, oldest first. SetupError when it is not installed."""
    try:
        # The file alone: importing the package would import pandas.
        packed = (resources.files(PACKAGE) / "_data" / "stocks.csv.gz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise SetupError("the demo's prices are not installed: pip install bokeh-sampledata") from None
    bars: dict[str, list[Bar]] = {symbol: [] for symbol in NAMES}
    rows = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    for row in rows:
        if row["Ticker"] in bars:
            bars[row["Ticker"]].append(_bar(row))
    return bars


def _bar(row: Mapping[str, str]) -> Bar:
    open_, high, low, close = (Decimal(row[name]) for name in ("Open", "High", "Low", "Close"))
    return Bar(
        row["Ticker"],
        "1d",
        datetime_to_ns(datetime.strptime(row["Date"], "%Y-%m-%d").replace(tzinfo=UTC)),
        open_,
        high,
        low,
        close,
        Decimal(row["Volume"]),
        adjusted_close=Decimal(row["Adj Close"]),
    )


async def load_demo(
    reference: ReferenceService,
    market_data: MarketDataRepo,
    *,
    new_id: Callable[[], UUID],
    progress: Progress = lambda done, total: None,
    clock: Callable[[], int] = time.time_ns,
) -> Loaded:
    """Store the demo's tickers and daily bars, as far as they are not there; again is quick and changes nothing."""
    bars = await asyncio.to_thread(read_demo_bars)
    source = await reference.ensure_data_source(SOURCE_CODE, SOURCE_NAME)
    total = sum(map(len, bars.values()))
    done = created = unchanged = conflicts = 0
    for symbol, history in bars.items():
        ticker = await reference.ensure_ticker(
            symbol, {"name": NAMES[symbol], "description": PROVENANCE, "data_source": source.id, "tick_size": TICK_SIZE}
        )
        missing = history
        if await market_data.count_of(BarQuery(symbol, "1d")) >= len(history):
            missing, done, unchanged = [], done + len(history), unchanged + len(history)
        for start in range(0, len(missing), LOAD_SIZE):
            now = floor_ms(clock())
            added = await market_data.add_new(
                [
                    MarketRecord(id=new_id(), ticker=ticker.id, bar=bar, created_at=now, updated_at=now)
                    for bar in missing[start : start + LOAD_SIZE]
                ]
            )
            created, unchanged = created + added.created, unchanged + added.unchanged
            conflicts += len(added.conflicts)
            done += added.created + added.unchanged + len(added.conflicts)
            progress(done, total)
    progress(total, total)
    return Loaded(created, unchanged, conflicts)


class DemoMarket:
    """Play the demo's days. A supervised loop; each round publishes what is due."""

    name = "demo_market"
    interval_s = 0.1

    def __init__(
        self,
        *,
        settings: MarketSettings,
        market: MarketDataService,
        reference: ReferenceService,
        bars: Mapping[str, Sequence[Bar]] | None = None,
    ) -> None:
        self._seed = settings.demo_seed
        self._session_ns = max(int(SESSION_NS / settings.demo_speed), STEPS_MIN * 1_000)
        self._steps = max(STEPS_MIN, self._session_ns // STEP_NS)
        self._market = market
        self._reference = reference
        self._bars = bars
        self._days: list[int] = []
        self._by_day: dict[tuple[str, int], Bar] = {}
        self._session = -1
        self._due: list[Tick] = []
        self._played_ns = 0
        self._own: frozenset[tuple[str, int]] = frozenset()
        self._foreign_ns: dict[str, int] = {}
        market.on_ticks(self._note_others)

    async def run_once(self, now: int) -> None:
        """Publish the ticks between the last round and now."""
        if not self._days:
            self._index(self._bars if self._bars is not None else await asyncio.to_thread(read_demo_bars))
        session = now // self._session_ns
        if session != self._session:
            await self._open(session)
        since = max(self._played_ns, now - CATCH_UP_NS)
        past = [tick for tick in self._due if tick.ts_ns <= now]
        self._due = self._due[len(past) :]
        # In the first round of all, what came last before now: the market opens with prices.
        batch = [tick for tick in past if tick.ts_ns > since] if self._played_ns else _newest(past)
        self._played_ns = now
        await self._publish([tick for tick in batch if self._plays(tick.symbol, now)])

    def day(self, now: int) -> str:
        """Return the date that is played at an instant, as ``2008-09-15``; for people to see."""
        return format_rfc3339(self._days[now // self._session_ns % len(self._days)])[:10] if self._days else ""

    def _index(self, bars: Mapping[str, Sequence[Bar]]) -> None:
        self._by_day = {(bar.symbol, bar.ts_ns): bar for history in bars.values() for bar in history}
        # Only days on which all of them traded, so that every symbol lives all the time (GOOG begins in August 2004).
        self._days = sorted(set.intersection(*({bar.ts_ns for bar in history} for history in bars.values())))

    async def _open(self, session: int) -> None:
        """Draw the paths of a session; 20 ms of work for each symbol, so it is done in a thread."""
        ts_ns = self._days[session % len(self._days)]
        bars = [bar for (_, day_ns), bar in self._by_day.items() if day_ns == ts_ns]
        start_ns = session * self._session_ns
        paths = [
            await asyncio.to_thread(partial(self._walk, bar, start_ns))
            for bar in bars
            if self._reference.ticker(bar.symbol) is not None
        ]
        self._session = session
        # What is left of the session before comes first: its close is due between two rounds.
        self._due += sorted((tick for path in paths for tick in path), key=lambda tick: (tick.ts_ns, tick.seq))
        log.info("demo.session", date=format_rfc3339(ts_ns)[:10])

    def _walk(self, bar: Bar, start_ns: int) -> list[Tick]:
        seed = f"{self._seed}:{bar.symbol}:{bar.ts_ns}"
        path = intraday_path(bar, seed, steps=self._steps, tick_size=TICK_SIZE, session_ns=self._session_ns)
        return path_ticks(path, bar.symbol, start_ns)

    async def _publish(self, batch: list[Tick]) -> None:
        if batch:
            self._own = frozenset((tick.symbol, tick.ts_ns) for tick in batch)
            await self._market.publish(batch)

    def _note_others(self, ticks: Sequence[Tick]) -> None:
        for tick in ticks:
            if tick.symbol in NAMES and (tick.symbol, tick.ts_ns) not in self._own:
                self._foreign_ns[tick.symbol] = self._played_ns

    def _plays(self, symbol: str, now: int) -> bool:
        # A replay of the same symbol and the demo would tear the price to and fro between two markets.
        return symbol not in self._foreign_ns or now - self._foreign_ns[symbol] > YIELD_NS


def _newest(ticks: Sequence[Tick]) -> list[Tick]:
    """Return each symbol's last trade and quote, in order."""
    last: dict[tuple[str, type], Tick] = {(tick.symbol, type(tick)): tick for tick in ticks}
    return sorted(last.values(), key=lambda tick: (tick.ts_ns, tick.seq))
