"""Cash and positions, and what a fill does to them. Sums are exact: what is taken and what is left add up.

Cost is kept as a total, not as an average: a partial sale takes its share of the total, the last sale takes all that is
left, so realised profit and remaining cost always add up to the money that moved.
"""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from qsuite.domain.money import ZERO, share_of
from qsuite.domain.trading.order import Side


@dataclass(slots=True, kw_only=True)
class Account:
    """One account's money. ``deposited`` is what came in from outside; ``reserved`` backs working buys."""

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
    version: int = 1

    @property
    def available(self) -> Decimal:
        """Return the cash no working order has a claim on."""
        return self.cash - self.reserved


@dataclass(slots=True, kw_only=True)
class Position:
    """What an account holds of a symbol; ``cost`` is the total paid for it.

    ``working_buys`` and ``working_sells`` are quantities of working orders, kept beside it for the controls;
    ``stored`` says whether storage knows it already.
    """

    account: UUID
    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    updated_at: int = 0
    version: int = 0
    working_buys: Decimal = ZERO
    working_sells: Decimal = ZERO
    stored: bool = False

    @property
    def avg_cost(self) -> Decimal | None:
        """Return the mean price paid, or None when flat."""
        return self.cost / self.quantity if self.quantity else None


def settle(
    account: Account, position: Position, side: Side, quantity: Decimal, price: Decimal, commission: Decimal, now: int
) -> Decimal:
    """Book one fill and return the profit it realised, before commission."""
    value = quantity * price
    if side is Side.BUY:
        account.cash -= value
        position.quantity += quantity
        position.cost += value
        realized = ZERO
    else:
        assert quantity <= position.quantity, "sold more than is held"
        account.cash += value
        cost = share_of(position.cost, quantity, position.quantity)
        position.quantity -= quantity
        position.cost -= cost
        realized = value - cost
    account.cash -= commission
    account.commission += commission
    account.realized_pnl += realized
    account.updated_at = position.updated_at = now
    account.version += 1
    position.realized_pnl += realized
    position.version += 1
    return realized
