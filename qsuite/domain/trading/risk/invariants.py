"""What must hold after every fill, checked at every fill: a breach means memory is wrong, so trading stops at once.

By induction: an order that was right before and is right by this step stays right, so looking at the step is enough.
"""

from decimal import Decimal

from qsuite.domain.money import ZERO
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.order import Execution, Order
from qsuite.domain.trading.risk.events import Refusal


def check_invariants(
    order: Order, position: Position, execution: Execution, *, filled_before: Decimal, held_before: Decimal
) -> Refusal | None:
    """Return what a fill broke, or None: order and position moved by exactly the fill, within what was asked."""
    if execution.quantity <= ZERO or order.filled_quantity > order.quantity:
        detail = f"order {order.id} has filled more than it asked for"
        return Refusal("risk.invariant", detail, order.quantity, order.filled_quantity)
    if order.filled_quantity != filled_before + execution.quantity:
        detail = f"the fills of order {order.id} do not add up"
        return Refusal("risk.invariant", detail, filled_before + execution.quantity, order.filled_quantity)
    expected = held_before + (execution.quantity if order.is_buy else -execution.quantity)
    if position.quantity != expected:
        detail = f"the position of {position.account} in {position.symbol} is not the sum of its fills"
        return Refusal("risk.invariant", detail, expected, position.quantity)
    if sum(execution.postings.values(), ZERO) != ZERO:
        detail = f"the ledger entry of execution {execution.id} does not sum to zero"
        return Refusal("risk.invariant", detail, ZERO, sum(execution.postings.values(), ZERO))
    return None
