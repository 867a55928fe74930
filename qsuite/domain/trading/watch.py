"""Stub until RISK-1's lands."""

from qsuite.domain.trading.commands import Outcome
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.state import TradingState


def after_fill(state: TradingState, order: Order, now: int) -> None: ...
def mark_accounts(state: TradingState, now: int) -> Outcome:
    return Outcome()
