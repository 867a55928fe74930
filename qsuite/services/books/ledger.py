"""Accounts and positions against the sum of what happened to them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from uuid import UUID

from qsuite.repos.books import AccountRow, ExecutionRow, OrderRow, PositionRow

ZERO = Decimal(0)
STORED = Context(prec=34)
TOLERANCE = Decimal("1e-12")
"""For profit only, whose average cost is a quotient: far below any price step, far above 34 digits' rounding."""

Fault = tuple[str, str]


@dataclass(slots=True)
class Money:
    """What an account's orders and executions add up to."""

    flow: Decimal = ZERO
    commission: Decimal = ZERO
    reserved: Decimal = ZERO


@dataclass(slots=True)
class Holding:
    """A position followed fill by fill at average cost: long and short alike."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO

    def fill(self, signed: Decimal, price: Decimal) -> None:
        """Book a fill of a signed quantity: opening adds to the cost, closing takes its share of it."""
        closing = ZERO
        if self.quantity * signed < 0:
            closing = min(abs(signed), abs(self.quantity)).copy_sign(signed)
            share = self.cost * -closing / self.quantity
            self.realized += -closing * price - share
            self.cost -= share
            self.quantity += closing
        opening = signed - closing
        self.quantity += opening
        self.cost += opening * price


@dataclass(slots=True)
class Ledger:
    """Add up, then compare. Faults name what they are about."""

    money: dict[UUID, Money] = field(default_factory=lambda: defaultdict(Money))
    quantities: dict[tuple[UUID, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    holdings: dict[tuple[UUID, str], Holding] = field(default_factory=lambda: defaultdict(Holding))

    def book(self, order: OrderRow, executions: Sequence[ExecutionRow]) -> None:
        """Add an order's claim on cash, and its executions."""
        self.money[order.account].reserved += order.reserved
        for one in executions:
            sign = 1 if one.side == "BUY" else -1
            money = self.money[one.account]
            money.flow -= sign * one.quantity * one.price
            money.commission += one.commission
            self.quantities[one.account, one.symbol] += sign * one.quantity

    def follow(self, one: ExecutionRow) -> None:
        """Follow a fill in the order they happened, for profit."""
        signed = one.quantity if one.side == "BUY" else -one.quantity
        self.holdings[one.account, one.symbol].fill(signed, one.price)

    def account_faults(self, accounts: Iterable[AccountRow]) -> Iterator[Fault]:
        """Compare every account: cash to the last digit."""
        known = dict(self.money)
        profits: dict[UUID, Decimal] = defaultdict(Decimal)
        for (account, _), holding in self.holdings.items():
            profits[account] += holding.realized
        for row in accounts:
            money = known.pop(row.id, None) or Money()
            cash = row.deposited + money.flow - money.commission
            subject = f"account {row.id}"
            if row.cash != cash:
                yield subject, f"cash is {row.cash}; deposits, executions and commissions give {cash}"
            if row.commission != money.commission:
                yield subject, f"commission is {row.commission}, its executions sum to {money.commission}"
            if row.reserved != money.reserved:
                yield subject, f"reserved is {row.reserved}, its orders reserve {money.reserved}"
            if abs(row.realized_pnl - profits[row.id]) > TOLERANCE:
                yield subject, f"realized_pnl is {row.realized_pnl}, its fills give {profits[row.id]}"
        for account in known:
            yield f"account {account}", "has orders and is not stored"

    def position_faults(self, positions: Iterable[PositionRow]) -> Iterator[Fault]:
        """Compare every position: quantity to the last digit, cost and profit within the rounding of a quotient."""
        known = dict(self.quantities)
        for row in positions:
            key = (row.account, row.symbol)
            quantity, holding = known.pop(key, ZERO), self.holdings.get(key) or Holding()
            subject = f"position {row.account} {row.symbol}"
            if row.quantity != quantity:
                yield subject, f"quantity is {row.quantity}, its executions sum to {quantity}"
            if abs(row.cost - holding.cost) > TOLERANCE:
                yield subject, f"cost is {row.cost}, its fills give {holding.cost}"
            if abs(row.realized_pnl - holding.realized) > TOLERANCE:
                yield subject, f"realized_pnl is {row.realized_pnl}, its fills give {holding.realized}"
            average = STORED.divide(row.cost, row.quantity) if row.quantity else None
            if row.avg_cost != average:
                yield subject, f"avg_cost is {row.avg_cost}, its cost and quantity give {average}"
        for account, symbol in known:
            yield f"position {account} {symbol}", "has executions and is not stored"
