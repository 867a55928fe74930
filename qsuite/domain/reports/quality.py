"""Best execution: how far fills were from the market when their order came, and from what everybody else paid since."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.money import ZERO

BPS = Decimal(10_000)
PLACES = Decimal("0.0001")


def arrival_price(market: Snapshot) -> Decimal | None:
    """Return what an order that comes now is held against: the middle of the quote, else the last trade."""
    quote = market.quote
    if quote is not None and quote.bid is not None and quote.ask is not None:
        return (quote.bid + quote.ask) / 2
    return None if market.trade is None else market.trade.price


def slippage_bps(side: str, price: Decimal, reference: Decimal | None) -> Decimal | None:
    """Return how much worse a price was than its reference, in basis points, None without one."""
    if not reference:
        return None
    worse = price - reference if side == "BUY" else reference - price
    return worse / reference * BPS


def shown_bps(value: Decimal | None) -> Decimal | None:
    """Return basis points as they are shown: a statistic, to four places."""
    return None if value is None else value.quantize(PLACES)


def vwap(ticks: Iterable[Trade | Quote]) -> Decimal | None:
    """Return the mean price of trades, weighted by size, None of none that had a size."""
    value = size = ZERO
    for tick in ticks:
        if isinstance(tick, Trade):
            value += tick.price * tick.size
            size += tick.size
    return value / size if size else None


@dataclass(slots=True)
class Mean:
    """A mean weighted by quantity."""

    quantity: Decimal = ZERO
    weighted: Decimal = ZERO

    def add(self, value: Decimal | None, quantity: Decimal) -> None:
        """Take a value in; one that is not known counts for nothing."""
        if value is not None:
            self.quantity += quantity
            self.weighted += value * quantity

    @property
    def value(self) -> Decimal | None:
        """Return it."""
        return self.weighted / self.quantity if self.quantity else None


@dataclass(slots=True)
class Quality:
    """How well a group of orders was filled."""

    orders: int = 0
    executions: int = 0
    quantity: Decimal = ZERO
    value: Decimal = ZERO
    commission: Decimal = ZERO
    arrival: Mean = field(default_factory=Mean)
    vwap: Mean = field(default_factory=Mean)
