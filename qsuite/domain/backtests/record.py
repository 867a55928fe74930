"""A backtest as it is kept: what was asked, the figures, and as much of its course as a document may hold.

Invariant: the figures are of all of it. Where the curve has more points than are kept, every so manieth is, and the
last; where there are more trades or refusals, the first ones are. How many there were is kept beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeVar
from uuid import UUID

from qsuite.domain.backtests.asks import Refused
from qsuite.domain.backtests.figures import Figures
from qsuite.domain.backtests.outcome import Outcome
from qsuite.domain.backtests.plan import Plan
from qsuite.domain.backtests.run import Result
from qsuite.domain.backtests.trades import ClosedTrade, OpenTrade

MOST_POINTS = 5_000
MOST_TRADES = 20_000
MOST_REFUSED = 100
T = TypeVar("T")


class Point(NamedTuple):
    """What the account was worth at the close of a bar."""

    ts: int
    equity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """One that ran. ``bars``, ``orders_refused`` and the figures' ``total_trades`` count all there were."""

    id: UUID
    owner: UUID
    plan: Plan
    figures: Figures
    final_equity: Decimal
    bars: int
    orders_refused: int
    equity_curve: tuple[Point, ...] = ()
    trades: tuple[ClosedTrade, ...] = ()
    open_trades: tuple[OpenTrade, ...] = ()
    refused: tuple[Refused, ...] = ()
    created_at: int


def record_of(identity: UUID, owner: UUID, plan: Plan, result: Result, reckoned: Outcome, now: int) -> Backtest:
    """Make the record of a run."""
    points = [Point(mark.ts_ns, mark.equity) for mark in result.marks]
    return Backtest(
        id=identity,
        owner=owner,
        plan=plan,
        figures=reckoned.figures,
        final_equity=points[-1].equity if points else plan.initial_cash,
        bars=len(points),
        orders_refused=len(result.refused),
        equity_curve=thinned(points, MOST_POINTS),
        trades=reckoned.trades.closed[:MOST_TRADES],
        open_trades=reckoned.trades.open,
        refused=result.refused[:MOST_REFUSED],
        created_at=now,
    )


def thinned(points: Sequence[T], most: int) -> tuple[T, ...]:
    """Return every so manieth point, from the first, and the last: at most so many."""
    if len(points) <= most:
        return tuple(points)
    step = -(-(len(points) - 1) // (most - 1))
    kept = points[:-1:step]
    return (*kept, points[-1])
