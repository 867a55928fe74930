"""What a backtest trades with: money, costs, limits, and how it ends.

The controls are those of paper trading, in a book of limits of the backtest's own. What bounds a desk (how large, how
many, how far from the market) is off unless asked for; what money can do is not: buying power always, and selling short
where it is allowed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from enum import StrEnum

from qsuite.domain.market import Bar
from qsuite.domain.money import ZERO, is_multiple
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.commission import Commission, Model
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import OFF, Limits

BPS = Decimal(10_000)
FREE = Commission(model=Model.PERCENT)
"""Trading that costs nothing."""


class Finish(StrEnum):
    """What becomes of positions that are open at the end: left, or closed at the last bar's open or its close."""

    LEAVE = "leave"
    LAST_OPEN = "last_open"
    LAST_CLOSE = "last_close"


def open_limits(*, short_sale: bool = False) -> Limits:
    """Return limits with every figure off; what an order must have behind it is not one of them."""
    off = {item.name: OFF for item in fields(Limits) if item.name not in ("short_sale", "self_trade")}
    return Limits(**off, short_sale=short_sale, self_trade=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """``tickers`` by symbol: what may be traded, on which grid, and at whose commission if it has its own.

    ``slippage_bps`` is the least and the most of it, in basis points: market orders draw between, by the ``seed``.
    ``participation`` is the part of a print's size that an order may take; None bounds nothing.
    ``limit_needs_through`` lets limits wait for a print beyond them.
    """

    cash: Decimal
    tickers: Mapping[str, Ticker]
    commission: Commission = FREE
    slippage_bps: tuple[Decimal, Decimal] = (ZERO, ZERO)
    participation: Decimal | None = None
    limit_needs_through: bool = False
    limits: Limits = field(default_factory=open_limits)
    seed: int = 0
    finish: Finish = Finish.LEAVE

    @property
    def currency(self) -> str:
        """Return what the account is kept in: the tickers' currency, which is one and the same."""
        return next((ticker.currency for ticker in self.tickers.values()), "USD")

    def rules(self) -> FillRules:
        """Return the fill rules. Nothing moves between an order and the print it meets but slippage, so no cushion."""
        low, high = self.slippage_bps
        return FillRules(
            commission=self.commission,
            participation=Decimal(1) if self.participation is None else self.participation,
            slippage_min_bps=low,
            slippage_max_bps=high,
            limit_needs_through=self.limit_needs_through,
            cushion=high / BPS,
        )


def on_their_grid(ticker: Ticker, bars: Iterable[Bar]) -> Ticker:
    """Return the ticker with a tick size that its bars' prices are multiples of: adjusted ones are finer."""
    prices = [price for bar in bars for price in (bar.open, bar.high, bar.low, bar.close)]
    if all(is_multiple(price, ticker.tick_size) for price in prices):
        return ticker
    finest = min(int(price.as_tuple().exponent) for price in prices)
    return replace(ticker, tick_size=Decimal((0, (1,), finest)))
