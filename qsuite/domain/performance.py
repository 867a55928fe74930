"""How trading went: figures of orders and their fills.

    round trip    from flat over any number of fills back to flat, of one account in one symbol, fills in order of time;
                  one that turns a position over ends a round trip and begins the next. It made money if more came in
                  than went out, commission counted. It belongs to the moment it closed.
    slippage      how much worse a fill was than the middle of the quote it met, or where there was none than the price
                  the market showed; in basis points of it, weighted by value. Below zero it was better.

What nothing was measured of is None, never zero.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.trading.order import Execution, Order, Side, Status

BPS = Decimal(10_000)
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Which trading is looked at: ``from_ns`` is in it, ``to_ns`` is not; accounts None are all."""

    accounts: tuple[UUID, ...] | None = None
    symbol: str | None = None
    strategy: UUID | None = None
    from_ns: int | None = None
    to_ns: int | None = None

    def holds(self, ts_ns: int) -> bool:
        """Say whether an instant lies in it."""
        return (self.from_ns is None or ts_ns >= self.from_ns) and (self.to_ns is None or ts_ns < self.to_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFigures:
    """Of orders placed in the period. ``sent`` is the quantity of those that reached the market, ``filled`` of that."""

    by_status: Mapping[str, int] = field(default_factory=dict)
    sent: Decimal = ZERO
    filled: Decimal = ZERO
    avg_execution_ms: float | None = None

    @property
    def fill_rate(self) -> float | None:
        """Return the part of what was sent that traded."""
        return float(self.filled / self.sent) if self.sent else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FillFigures:
    """Of fills in the period. ``cost`` is what slippage took, of ``reference`` that the same would have been worth."""

    count: int = 0
    volume: Decimal = ZERO
    value: Decimal = ZERO
    commission: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    cost: Decimal = ZERO
    reference: Decimal = ZERO

    @property
    def avg_slippage_bps(self) -> float | None:
        """Return the mean slippage."""
        return float(self.cost / self.reference * BPS) if self.reference else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TripFigures:
    """Of round trips closed in the period; those that came out even are in neither of the two parts."""

    closed: int = 0
    winning: int = 0
    losing: int = 0

    @property
    def success_rate(self) -> float | None:
        """Return the share that made money."""
        return self.winning / self.closed if self.closed else None


class RoundTrip(NamedTuple):
    """A round trip that closed, and what it made after commission."""

    account: UUID
    symbol: str
    closed_at: int
    profit: Decimal


def order_figures(orders: Iterable[Order]) -> OrderFigures:
    """Add up orders."""
    by_status: dict[str, int] = {}
    sent = filled = ZERO
    waited_ns: list[int] = []
    for order in orders:
        by_status[order.status.value] = by_status.get(order.status.value, 0) + 1
        if order.status not in (Status.HELD, Status.REJECTED):
            sent += order.quantity
            filled += order.filled_quantity
        if order.status is Status.FILLED:
            waited_ns.append(order.updated_at - order.created_at)
    mean_ms = sum(waited_ns) / len(waited_ns) / NS_PER_MS if waited_ns else None
    return OrderFigures(by_status=by_status, sent=sent, filled=filled, avg_execution_ms=mean_ms)


def fill_figures(fills: Iterable[Execution]) -> FillFigures:
    """Add up fills."""
    count, volume, value, commission, realized, cost, reference = 0, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO
    for fill in fills:
        count += 1
        volume += fill.quantity
        value += fill.quantity * fill.price
        commission += fill.commission
        realized -= fill.postings.get("realized_pnl", ZERO)
        shown = reference_price(fill)
        if shown is not None:
            cost += _signed(fill) * (fill.price - shown)
            reference += fill.quantity * shown
    return FillFigures(
        count=count,
        volume=volume,
        value=value,
        commission=commission,
        realized_pnl=realized,
        cost=cost,
        reference=reference,
    )


def reference_price(fill: Execution) -> Decimal | None:
    """Return what a fill is compared with, from its basis; None where that does not say."""
    bid, ask = fill.basis.get("bid"), fill.basis.get("ask")
    if bid is not None and ask is not None:
        middle: Decimal = (bid + ask) / 2
        return middle
    shown: Decimal | None = fill.basis.get("price")
    return shown


def trip_figures(trips: Iterable[RoundTrip]) -> TripFigures:
    """Count round trips."""
    closed = winning = losing = 0
    for trip in trips:
        closed += 1
        winning += trip.profit > ZERO
        losing += trip.profit < ZERO
    return TripFigures(closed=closed, winning=winning, losing=losing)


def round_trips(fills: Iterable[Execution]) -> Iterator[RoundTrip]:
    """Yield round trips as they close; the fills of each account and symbol in order of time, from the first one on."""
    held: dict[tuple[UUID, str], Decimal] = {}
    made: dict[tuple[UUID, str], Decimal] = {}
    for fill in fills:
        key = (fill.account, fill.symbol)
        signed = _signed(fill)
        before = held.get(key, ZERO)
        after = held[key] = before + signed
        turned = before * after < ZERO
        closing = -before if turned else signed
        fee = fill.commission * closing / signed
        made[key] = made.get(key, ZERO) - closing * fill.price - fee
        if turned or not after:
            yield RoundTrip(fill.account, fill.symbol, fill.execution_time, made[key])
            made[key] = (closing - signed) * fill.price - (fill.commission - fee)


def _signed(fill: Execution) -> Decimal:
    return fill.quantity if fill.side is Side.BUY else -fill.quantity
