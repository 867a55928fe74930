"""Pre-trade controls: whether an order may go to the market, and what watches over those that went.

limits, set_limits                        the figures, by scope, and how they change
exposure, rates, reference                what is kept to compare with them: O(1) to keep, O(1) to look at
gather, review                            all of it for one order
controls                                  the controls in their order, by theme:
standing, fields, size, price, money, pace
events, invariants                        what is told of a no, and what must hold after every fill
"""

from qsuite.domain.off import OFF, Off
from qsuite.domain.trading.risk.controls import review
from qsuite.domain.trading.risk.events import Refusal, RiskEvent, Severity, event_of_refusal, scope_event
from qsuite.domain.trading.risk.exposure import ExposureBook, Exposures
from qsuite.domain.trading.risk.gather import halt_over, review_of
from qsuite.domain.trading.risk.invariants import check_invariants
from qsuite.domain.trading.risk.limits import LimitBook, Limits, ScopeLimits
from qsuite.domain.trading.risk.money import buying_power, gross_limit
from qsuite.domain.trading.risk.pace import cancel_too_fast, day_of
from qsuite.domain.trading.risk.rates import RateBook
from qsuite.domain.trading.risk.reference import ReferencePrice, ReferenceTape
from qsuite.domain.trading.risk.review import (
    Origin,
    Review,
    cash_behind,
    protective_limit,
    reference_price,
    worst_price,
)
from qsuite.domain.trading.risk.set_limits import set_limits, target_problem

__all__ = [
    "OFF",
    "ExposureBook",
    "Exposures",
    "LimitBook",
    "Limits",
    "Off",
    "Origin",
    "RateBook",
    "ReferencePrice",
    "ReferenceTape",
    "Refusal",
    "Review",
    "RiskEvent",
    "ScopeLimits",
    "Severity",
    "buying_power",
    "cancel_too_fast",
    "cash_behind",
    "check_invariants",
    "day_of",
    "event_of_refusal",
    "gross_limit",
    "halt_over",
    "protective_limit",
    "reference_price",
    "review",
    "review_of",
    "scope_event",
    "set_limits",
    "target_problem",
    "worst_price",
]
