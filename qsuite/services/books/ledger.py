"""Accounts and positions against the sum of what happened to them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from uuid import UUID

from qsuite.repos.books import AccountRow, ExecutionRow, OrderRow, PositionRow
from qsuite.services.books.resets import Reset

ZERO = Decimal(0)
STORED = Context(prec=34)
WORKING = frozenset({"PENDING", "PARTIAL"})
TOLERANCE = Decimal("1e-12")
"""For profit only, whose average cost is a quotient: far below any price step, far above 34 digits' rounding."""

Fault = tuple[str, str]


@dataclass(slots=True)
class Money:
    """What an account's orders and executions add up to."""

    flow: Decimal = ZERO
    commission: Decimal = ZERO
    reserved: Decimal = ZERO
    posted: dict[str, Decimal] = field(default_factory=dict)
    has_ledger: bool = True
    """Whether every execution has its double entry: those of the first versions have none."""


@dataclass(slots=True)
class Own:
    """What the executions of one strategy's orders in a symbol add up to."""

    quantity: Decimal = ZERO
    commission: Decimal = ZERO


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
    own: dict[tuple[UUID, str], Own] = field(default_factory=lambda: defaultdict(Own))
    shorted: set[tuple[UUID, str]] = field(default_factory=set)
    unreserved: list[OrderRow] = field(default_factory=list)

    def book(self, order: OrderRow, executions: Sequence[ExecutionRow]) -> None:
        """Add an order's claim on cash, and its executions."""
        self.money[order.account].reserved += order.reserved
        if order.side == "BUY" and order.status in WORKING and order.reserved == 0 and not order.reduce_only:
            self.unreserved.append(order)
        for one in executions:
            sign = 1 if one.side == "BUY" else -1
            money = self.money[one.account]
            money.flow -= sign * one.quantity * one.price
            money.commission += one.commission
            self.quantities[one.account, one.symbol] += sign * one.quantity
            money.has_ledger &= bool(one.postings)
            for name, amount in one.postings.items():
                money.posted[name] = money.posted.get(name, ZERO) + amount
            if order.strategy is not None:
                own = self.own[order.strategy, order.symbol]
                own.quantity += sign * one.quantity
                own.commission += one.commission

    def follow(self, one: ExecutionRow) -> None:
        """Follow a fill in the order they happened, for profit."""
        signed = one.quantity if one.side == "BUY" else -one.quantity
        holding = self.holdings[one.account, one.symbol]
        holding.fill(signed, one.price)
        if holding.quantity < 0:
            self.shorted.add((one.account, one.symbol))

    def reset(self, reset: Reset) -> Iterator[str]:
        """Take an account back to nothing, and yield what was written off that its fills did not build up."""
        total = sum(reset.postings.values(), ZERO)
        if total != ZERO:
            yield f"its double entry sums to {total}"
        held = {one.symbol: one for one in reset.positions}
        for account, symbol in [key for key in self.holdings if key[0] == reset.account]:
            holding, written = self.holdings.pop((account, symbol)), held.get(symbol)
            quantity, cost = (ZERO, ZERO) if written is None else (written.quantity, written.amount)
            if holding.quantity != quantity or abs(holding.cost - cost) > TOLERANCE:
                fills = f"its fills give {holding.quantity} at {holding.cost}"
                yield f"writes off {quantity} of {symbol} at {cost}, {fills}"
        self._book_reset(reset)

    def _book_reset(self, reset: Reset) -> None:
        """Add a reset to the sums of executions: what these brought was taken away again."""
        money, posted = self.money[reset.account], reset.postings
        gone = posted["cash"] + posted["deposited"]
        money.commission += posted["commission"]
        money.flow += gone + posted["commission"]
        for name, amount in (("cash", gone), ("realized_pnl", posted["realized_pnl"])):
            money.posted[name] = money.posted.get(name, ZERO) + amount
        for one in reset.positions:
            self.quantities[one.holder, one.symbol] -= one.quantity
        for one in reset.strategies:
            own = self.own[one.holder, one.symbol]
            own.quantity -= one.quantity
            own.commission -= one.amount

    def order_faults(self) -> Iterator[Fault]:
        """Name working buys with no cash behind them. Only what covers a short needs none."""
        for order in self.unreserved:
            if (order.account, order.symbol) not in self.shorted:
                yield f"order {order.id}", "reserves nothing as a working BUY"

    def strategy_faults(self, positions: Iterable[PositionRow]) -> Iterator[Fault]:
        """Compare what strategies hold with the executions of their orders."""
        known = dict(self.own)
        for row in positions:
            own = known.pop((row.account, row.symbol), None) or Own()
            subject = f"strategy position {row.account} {row.symbol}"
            if row.quantity != own.quantity:
                yield subject, f"quantity is {row.quantity}, the strategy's executions sum to {own.quantity}"
            if row.commission != own.commission:
                yield subject, f"commission is {row.commission}, the strategy's executions sum to {own.commission}"
        for strategy, symbol in known:
            yield f"strategy position {strategy} {symbol}", "has executions and is not stored"

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
            moved, profit = money.posted.get("cash", ZERO), -money.posted.get("realized_pnl", ZERO)
            if money.has_ledger and row.cash - row.deposited != moved:
                yield subject, f"cash moved by {row.cash - row.deposited}, its ledger by {moved}"
            if money.has_ledger and row.realized_pnl != profit:
                yield subject, f"realized_pnl is {row.realized_pnl}, its ledger has {profit}"
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
