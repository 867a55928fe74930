"""Make a control of a comparison with a figure: off passes, and a figure that is not there refuses."""

from collections.abc import Callable
from decimal import Decimal

from qsuite.domain.off import OFF
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.limits import NAMES
from qsuite.domain.trading.risk.review import Control, Review

Comparison = Callable[[Review, Decimal], Refusal | None]


def limited(name: str, code: str) -> Callable[[Comparison], Control]:
    """Return a decorator that hands the limit of this name to a comparison, which only sees numbers."""
    assert name in NAMES, name

    def wrapped(compare: Comparison) -> Control:
        def control(subject: Review) -> Refusal | None:
            limit = getattr(subject.limits, name)
            if limit is OFF:
                return None
            if not isinstance(limit, Decimal) or not limit.is_finite():
                return unreadable(code, name)
            return compare(subject, limit)

        control.__doc__ = compare.__doc__
        return control

    return wrapped


def unreadable(code: str, name: str) -> Refusal:
    """Refuse because nobody knows what is allowed."""
    return Refusal(code, f"the limit {name} cannot be read")
