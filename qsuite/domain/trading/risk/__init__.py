"""Pre-trade controls: whether an order may go to the market."""

from qsuite.domain.trading.risk.limits import OFF, LimitBook, Limits
from qsuite.domain.trading.risk.review import Refusal, Review, reservation, review, worst_price

__all__ = ["OFF", "LimitBook", "Limits", "Refusal", "Review", "reservation", "review", "worst_price"]
