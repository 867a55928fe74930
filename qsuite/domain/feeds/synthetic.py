"""A made-up market: returns whose size comes in clusters, jumps, quotes on the tick grid, trades inside the quote.

    return_n   = sigma_n * z_n + jump_n                     z: bell curve; jump: now and then, of another size
    sigma_n+1^2 = omega + alpha * (sigma_n z_n)^2 + beta * sigma_n^2      GARCH(1,1), Bollerslev 1986

Invariant: the same model, seed and start give the same ticks for ever and on every machine: additions, products and
square roots of IEEE doubles over the integer generator of ``domain.intraday``, nothing of a mathematics library.
A jump does not feed the clusters, so that the figures of the clusters are those of the textbook.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.intraday import Draws
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.money import MONEY

ALPHA, BETA = 0.10, 0.88
"""How much a surprise, and how much the past, makes the next move larger; daily returns of shares are near these."""
LOWEST_TICKS = 10.0
SPREAD_TICKS_MAX = 12
LOTS_MAX = 300
INSIDE = 0.2
"""Share of the trades that happen between bid and ask where there is room; the others are at one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketModel:
    """How prices move from one trade to the next. ``volatility`` and ``jump_size`` are standard deviations of returns,
    in the long run and of a jump; ``jump_rate`` is the share of trades at which the price jumps.
    """

    volatility: float
    jump_rate: float
    jump_size: float
    alpha: float = ALPHA
    beta: float = BETA


class Step(NamedTuple):
    """One trade and the quote it met, in ticks and lots; ``shock`` is its return without the jump."""

    shock: float
    jump: float
    bid: int
    ask: int
    price: int
    lots: int
    bid_lots: int
    ask_lots: int


class SyntheticMarket:
    """The walk of one symbol, a step at a time; ``start_ticks`` is its first price in ticks."""

    def __init__(self, model: MarketModel, seed: int | str, start_ticks: float) -> None:
        self._model = model
        self._draws = Draws(seed)
        self._middle = max(start_ticks, LOWEST_TICKS)
        self._long_run = model.volatility * model.volatility
        self._omega = self._long_run * (1.0 - model.alpha - model.beta)
        self._variance = self._long_run

    def step(self) -> Step:
        """Walk on by one trade."""
        draws, model = self._draws, self._model
        calm = self._variance
        shock = math.sqrt(calm) * draws.bell()
        jump = model.jump_size * draws.bell() if draws.uniform() < model.jump_rate else 0.0
        self._variance = self._omega + model.alpha * shock * shock + model.beta * calm
        # A price near nothing stays there: a share of a few ticks cannot be quoted on both sides.
        self._middle = max(self._middle * (1.0 + shock + jump), LOWEST_TICKS)
        bid, ask = self._quoted(calm)
        lots = draws.between(1, LOTS_MAX) if draws.uniform() < 0.1 else draws.between(1, 10)
        return Step(
            shock,
            jump,
            bid,
            ask,
            self._traded(bid, ask),
            lots,
            lots + draws.between(0, 99),
            lots + draws.between(0, 99),
        )

    def _quoted(self, variance: float) -> tuple[int, int]:
        """Return bid and ask: wider while the market is wild, as who quotes then risks more."""
        wild = math.sqrt(variance / self._long_run) if self._long_run else 1.0
        spread = min(SPREAD_TICKS_MAX, self._draws.between(1, 2) + int(wild))
        bid = int(self._middle - spread / 2 + 0.5)
        return bid, bid + spread

    def _traded(self, bid: int, ask: int) -> int:
        if self._draws.uniform() < INSIDE:
            return self._draws.between(bid, ask)
        return bid if self._draws.uniform() < 0.5 else ask


class SyntheticTicks:
    """The ticks of one symbol: a quote and the trade it met in each slot of ``gap_ns``, at a moment drawn in it."""

    def __init__(
        self,
        symbol: str,
        market: SyntheticMarket,
        seed: int | str,
        *,
        tick_size: Decimal,
        lot_size: Decimal,
        gap_ns: int,
    ) -> None:
        self._symbol = symbol
        self._market = market
        self._moments = Draws(f"{seed}:moments")
        self._tick_size = tick_size
        self._lot_size = lot_size
        self._gap_ns = gap_ns
        self._slot = 0
        self._next_ns = self._moment()

    def until(self, elapsed_ns: int, most: int) -> list[Tick]:
        """Return the next ticks due ``elapsed_ns`` after the start, of at most so many trades; their times count from
        the start.
        """
        ticks: list[Tick] = []
        while self._next_ns <= elapsed_ns and len(ticks) < 2 * most:
            ticks += self._ticks(self._market.step(), self._next_ns)
            self._slot += 1
            self._next_ns = self._moment()
        return ticks

    def _moment(self) -> int:
        return self._slot * self._gap_ns + int(self._moments.uniform() * self._gap_ns)

    def _ticks(self, step: Step, ts_ns: int) -> tuple[Quote, Trade]:
        bid, ask, price = (MONEY.multiply(each, self._tick_size) for each in (step.bid, step.ask, step.price))
        lots, bid_lots, ask_lots = (
            MONEY.multiply(each, self._lot_size) for each in (step.lots, step.bid_lots, step.ask_lots)
        )
        quote = Quote(self._symbol, ts_ns, bid, ask, bid_lots, ask_lots)
        return quote, Trade(self._symbol, ts_ns, price, lots)
