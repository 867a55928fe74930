"""How large one order may be, and how small. Orders without a limit count at the collar price."""

from decimal import Decimal

from qsuite.domain.money import show
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.limited import limited
from qsuite.domain.trading.risk.review import Review


@limited("max_quantity", "risk.max_quantity")
def max_quantity(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse a quantity above the limit."""
    quantity = subject.order.quantity
    if quantity > limit:
        return Refusal("risk.max_quantity", f"at most {show(limit)} in one order", limit, quantity)
    return None


@limited("max_value", "risk.max_value")
def max_value(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse a value above the limit. Where no price is known, ``priced`` refuses after it, whatever else is off."""
    if subject.worst_price is not None and subject.value > limit:
        return Refusal("risk.max_value", f"at most {show(limit)} in one order", limit, subject.value)
    return None


@limited("min_value", "risk.min_value")
def min_value(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse a value below the limit, unless the order closes a position: what is left of one must not be trapped."""
    if subject.worst_price is None or subject.value >= limit:
        return None
    if subject.closes and subject.order.remaining == abs(subject.position.quantity):
        return None
    return Refusal("risk.min_value", f"at least {show(limit)} in one order", limit, subject.value)
