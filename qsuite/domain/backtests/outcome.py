"""What a run comes to: its fills as round trips, and its figures."""

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Series
from qsuite.domain.backtests.figures import Figures, Traded, buy_and_hold, figures
from qsuite.domain.backtests.run import Result
from qsuite.domain.backtests.trades import Trades, trades_of
from qsuite.domain.money import ZERO
from qsuite.domain.trading.order import Execution


class Outcome(NamedTuple):
    """Round trips and figures."""

    trades: Trades
    figures: Figures


def outcome(result: Result, interval: str) -> Outcome:
    """Reckon what a run of bars of an interval comes to."""
    trades = trades_of(result.executions)
    ends_ns = np.array([mark.ts_ns for mark in result.marks], dtype=np.int64)
    equity = np.array([mark.equity for mark in result.marks], dtype=np.float64)
    reckoned = figures(
        ends_ns=ends_ns,
        equity=equity,
        trades=trades,
        traded=traded(result),
        interval=interval,
        benchmark=held(result),
    )
    return Outcome(trades, reckoned)


def traded(result: Result) -> Traded:
    """Add up what was traded, and what that cost."""
    fills = result.executions
    return Traded(
        value=sum((fill.price * fill.quantity for fill in fills), ZERO),
        commission=sum((fill.commission for fill in fills), ZERO),
        slippage=sum((_slipped(fill) * fill.quantity for fill in fills), ZERO),
    )


def held(result: Result) -> Series | None:
    """Return the curve of holding equal shares of all symbols that had bars, as multiples of the start.

    Each share is cash until its symbol's first close. None where nothing had bars.
    """
    shares = []
    for closes in result.closes.values():
        first = next((close for close in closes if close is not None), None)
        if first is not None:
            shares.append(np.array([first if close is None else close for close in closes], dtype=np.float64))
    return buy_and_hold(shares) if shares else None


def _slipped(fill: Execution) -> Decimal:
    """Return by how much a fill's price was worse than the print it took."""
    return abs(fill.price - fill.basis["price"]) if fill.basis["rule"] == "last" else ZERO
