"""A made-up market, live: for every configured symbol quotes and trades drawn from a seed, stamped with the present.

    seed, model ──> domain.feeds.synthetic ──> what is due now, merged by time ──> MarketDataService.publish

Invariant: on an empty database the same settings give the same ticks, only their times depend on the start; after a
restart the price goes on from where it was last. Only the process that has the engine plays, so that two processes on
one database do not tear the price to and fro.
"""

import asyncio
from collections.abc import Callable
from operator import attrgetter

import structlog

from qsuite.domain.feeds.synthetic import MarketModel, SyntheticMarket, SyntheticTicks
from qsuite.domain.market import Tick, Trade
from qsuite.domain.money import MONEY
from qsuite.domain.reference import Ticker
from qsuite.domain.times import NS_PER_S
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.settings import FeedSettings, SyntheticSettings

log = structlog.get_logger(__name__)

BPS = 1e-4
STEPS_AT_ONCE = 200
"""Trades drawn before others get their turn on the event loop: 3 ms of work."""
CATCH_UP_NS = 2 * NS_PER_S
"""After a longer silence (a laptop asleep) the market goes on from now instead of rushing through what was missed."""
DESCRIPTION = "A made-up market: every price is drawn from a seed."


class SyntheticFeed:
    """A supervised loop."""

    name = "synthetic_feed"
    interval_s = 0.02

    def __init__(
        self,
        *,
        settings: FeedSettings,
        synthetic: SyntheticSettings,
        market: MarketDataService,
        reference: ReferenceService,
        leading: Callable[[], bool],
    ) -> None:
        self._symbols = settings.symbols
        self._settings = synthetic
        self._market = market
        self._reference = reference
        self._leading = leading
        self._playing: list[SyntheticTicks] = []
        self._started_ns = 0
        self._played_ns = 0

    async def run_once(self, now: int) -> None:
        """Publish what is due."""
        if not self._leading():
            self._playing = []
            return
        if not self._playing:
            await self._open(now)
        if now - self._played_ns > CATCH_UP_NS:
            self._started_ns += now - self._played_ns
        self._played_ns = max(now, self._played_ns)
        while batch := await self._due(self._played_ns - self._started_ns):
            await self._market.publish(batch)

    async def _open(self, now: int) -> None:
        tickers = [await self._ticker(symbol) for symbol in self._symbols]
        self._playing = [self._ticks(ticker) for ticker in tickers]
        self._started_ns = self._played_ns = now
        log.info("feed.synthetic", symbols=len(tickers), seed=self._settings.seed)

    async def _ticker(self, symbol: str) -> Ticker:
        return await self._reference.ensure_ticker(symbol, {"name": symbol, "description": DESCRIPTION})

    def _ticks(self, ticker: Ticker) -> SyntheticTicks:
        settings, last = self._settings, self._market.snapshot(ticker.symbol).trade
        seed = f"{settings.seed}:{ticker.symbol}:{0 if last is None else last.ts_ns}"
        price = settings.price if last is None else last.price
        model = MarketModel(
            volatility=settings.volatility_bps * BPS,
            jump_rate=settings.jump_rate,
            jump_size=settings.jump_bps * BPS,
        )
        return SyntheticTicks(
            ticker.symbol,
            SyntheticMarket(model, seed, float(MONEY.divide(price, ticker.tick_size))),
            seed,
            tick_size=ticker.tick_size,
            lot_size=ticker.lot_size,
            gap_ns=int(NS_PER_S / settings.rate),
        )

    async def _due(self, elapsed_ns: int) -> list[Tick]:
        """Return the next ticks due, by time; empty when there are none. It may take several rounds after a pause."""
        due: list[Tick] = []
        for playing in self._playing:
            if drawn := playing.until(elapsed_ns, STEPS_AT_ONCE):
                due += drawn
                await asyncio.sleep(0)
        due.sort(key=attrgetter("ts_ns"))
        return [self._stamped(tick) for tick in due]

    def _stamped(self, tick: Tick) -> Tick:
        ts_ns = self._started_ns + tick.ts_ns
        if isinstance(tick, Trade):
            return Trade(tick.symbol, ts_ns, tick.price, tick.size)
        return tick._replace(ts_ns=ts_ns)
