"""Make a control of a comparison with a figure: off passes, and a figure that is not there refuses.

A control of this kind is set to its figure once for each set of limits, not looked up again for each order.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from qsuite.domain.off import OFF
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.limits import NAMES, Limits
from qsuite.domain.trading.risk.review import Control, Review

Comparison = Callable[[Decimal, Review], Refusal | None]


class Limited(NamedTuple):
    """A comparison with the limit of this name; ``code`` is what it refuses with when that cannot be read."""

    name: str
    code: str
    compare: Comparison

    def set_to(self, limits: Limits) -> Control | None:
        """Return the control for these limits; None where it is off."""
        limit = getattr(limits, self.name)
        if limit is OFF:
            return None
        if not isinstance(limit, Decimal) or not limit.is_finite():
            return partial(_refuse, unreadable(self.code, self.name))
        return partial(self.compare, limit)


def limited(name: str, code: str) -> Callable[[Comparison], Limited]:
    """Return a decorator that makes a comparison a control; the comparison only ever sees numbers."""
    assert name in NAMES, name
    return partial(Limited, name, code)


def unreadable(code: str, name: str) -> Refusal:
    """Refuse because nobody knows what is allowed."""
    return Refusal(code, f"the limit {name} cannot be read")


def _refuse(refusal: Refusal, subject: Review) -> Refusal:
    return refusal
