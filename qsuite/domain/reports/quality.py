"""Best execution: how far fills were from the market when their order came, and from what everybody else paid since."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.market import Snapshot, Tick, Trade
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


class Span(NamedTuple):
    """From when (included) until when (not) an order's market is looked at."""

    start_ns: int
    end_ns: int
    order: UUID


def together(spans: Iterable[Span], near_ns: int) -> list[list[Span]]:
    """Return spans in groups that overlap or lie near each other, so that the market of each group is read once."""
    groups: list[list[Span]] = []
    end_ns = None
    for span in sorted(spans):
        if end_ns is None or span.start_ns - end_ns > near_ns:
            groups.append([])
            end_ns = span.end_ns
        groups[-1].append(span)
        end_ns = max(end_ns, span.end_ns)
    return groups


def vwaps(spans: Sequence[Span], ticks: Iterable[Tick]) -> dict[UUID, Decimal | None]:
    """Return the mean price of the trades in each span, weighted by size, None where none had a size.

    One pass over the ticks of all spans, by time: what was traded so far is noted where each begins, and taken off
    where it ends.
    """
    edges = sorted([*((span.start_ns, False, span) for span in spans), *((span.end_ns, True, span) for span in spans)])
    begun: dict[UUID, tuple[Decimal, Decimal]] = {}
    means: dict[UUID, Decimal | None] = {}
    value = size = ZERO
    place = 0

    def pass_edges(ts_ns: int | None) -> int:
        at = place
        while at < len(edges) and (ts_ns is None or edges[at][0] <= ts_ns):
            _, over, span = edges[at]
            if over:
                value_before, size_before = begun.pop(span.order)
                traded = size - size_before
                means[span.order] = (value - value_before) / traded if traded else None
            else:
                begun[span.order] = value, size
            at += 1
        return at

    for tick in ticks:
        place = pass_edges(tick.ts_ns)
        if isinstance(tick, Trade):
            value += tick.price * tick.size
            size += tick.size
    pass_edges(None)
    return means


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
