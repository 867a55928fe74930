"""Cash and positions, and what a fill does to them. Sums are exact: what is taken and what is left add up.

Quantity and cost are signed: a short position has both below zero, its cost being what selling it brought. Cost is kept
as a total, not as an average: closing a part takes its share of the total, closing the last takes all that is left, so
realised profit and remaining cost always add up to the money that moved.

Each fill is a double entry. What it adds to these ledger accounts sums to exactly zero:

    cash          money in hand
    position      what is held, at cost
    realized_pnl  profit taken, as a credit: a profit is below zero here
    commission    what trading cost
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from qsuite.domain.money import ZERO, share_of


class Permission(StrEnum):
    """What an account may do besides closing what it holds; without a permission it is refused, whoever asks.

    open           more than close what is held
    short          hold less than nothing; where the controls allow short sales at all
    market_orders  orders without a limit to their price
    strategies     orders of strategies
    """

    OPEN = "open"
    SHORT = "short"
    MARKET_ORDERS = "market_orders"
    STRATEGIES = "strategies"


EVERY_PERMISSION = frozenset(Permission)


class Access(StrEnum):
    """What a member, who is not its owner, may do with an account: look at it, or trade on it as well."""

    VIEW = "view"
    TRADE = "trade"


@dataclass(slots=True, kw_only=True)
class Account:
    """One account's money. ``deposited`` is what came in from outside; ``reserved`` backs working orders.

    ``day`` is the UTC day (days since the epoch) that ``day_open_equity`` was the equity at the beginning of.
    ``members`` are other users with access. ``reset_at`` is when it last began anew, 0 if it never did; ids of
    executions from then on are above ``reset_mark``.
    """

    id: UUID
    user: UUID
    name: str
    currency: str
    cash: Decimal
    deposited: Decimal
    created_at: int
    updated_at: int
    reserved: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    is_active: bool = True
    day: int = 0
    day_open_equity: Decimal = ZERO
    permissions: frozenset[Permission] = EVERY_PERMISSION
    members: Mapping[UUID, Access] = field(default_factory=dict)
    reset_at: int = 0
    reset_mark: UUID | None = None
    version: int = 1

    def traded_by(self, user: UUID) -> bool:
        """Say whether a user may trade on it."""
        return user == self.user or self.members.get(user) is Access.TRADE

    @property
    def available(self) -> Decimal:
        """Return the cash no working order has a claim on; what shorts hold back is not taken out (``risk.money``)."""
        return self.cash - self.reserved


@dataclass(slots=True, kw_only=True)
class Position:
    """What an account holds of a symbol, below zero when short; ``cost`` is the total paid for it.

    ``working_buys`` and ``working_sells`` are quantities of working orders, kept beside it for the controls;
    ``stored`` says whether storage knows it already.
    """

    account: UUID
    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    updated_at: int = 0
    version: int = 0
    working_buys: Decimal = ZERO
    working_sells: Decimal = ZERO
    stored: bool = False

    @property
    def avg_cost(self) -> Decimal | None:
        """Return the mean price it was opened at, or None when flat."""
        return self.cost / self.quantity if self.quantity else None

    def clear(self, now: int) -> None:
        """Make it flat, with no past. What works stays: that is the orders' to say."""
        self.quantity = self.cost = self.realized_pnl = self.commission = ZERO
        self.updated_at = now
        self.version += 1


class Settlement(NamedTuple):
    """What a fill did: the profit it realised, before commission, and its double entry."""

    realized: Decimal
    postings: dict[str, Decimal]


def take(position: Position, signed: Decimal, price: Decimal, commission: Decimal, now: int) -> Decimal:
    """Add a signed quantity to a position: what closes it first, then what opens it. Return the profit realised."""
    realized = ZERO
    closing = ZERO
    if position.quantity * signed < 0:
        closing = signed if abs(signed) <= abs(position.quantity) else -position.quantity
        cost = share_of(position.cost, -closing, position.quantity)
        realized = -closing * price - cost
        position.quantity += closing
        position.cost -= cost
    opening = signed - closing
    if opening:
        position.quantity += opening
        position.cost += opening * price
    position.realized_pnl += realized
    position.commission += commission
    position.updated_at = now
    position.version += 1
    return realized


def settle(
    account: Account, position: Position, signed: Decimal, price: Decimal, commission: Decimal, now: int
) -> Settlement:
    """Book one fill; ``signed`` is its quantity, below zero for a sale."""
    cost = position.cost
    realized = take(position, signed, price, commission, now)
    cash = -signed * price - commission
    account.cash += cash
    account.commission += commission
    account.realized_pnl += realized
    account.updated_at = now
    account.version += 1
    postings = {
        "cash": cash,
        "position": position.cost - cost,
        "realized_pnl": -realized,
        "commission": commission,
    }
    return Settlement(realized, postings)
