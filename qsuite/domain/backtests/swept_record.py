"""A sweep as it is kept: what was asked, one row of figures a set, their ranking, and how much of the best is luck.

Invariant: the columns have one place a set, in the order of the grid; ``ranking`` holds those places, the best first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from qsuite.domain.backtests.deflated import Deflated, deflated_sharpe
from qsuite.domain.backtests.grid import Grid
from qsuite.domain.backtests.plan import Plan
from qsuite.domain.backtests.sweep import Swept

RANKS = ("sharpe_ratio", "total_return", "cagr", "sortino_ratio", "calmar_ratio", "profit_factor")
"""Figures to rank by; the higher the better."""
FIGURES = tuple(item.name for item in fields(Swept))
Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One that ran. ``plan`` is of the best set, ``asked`` the lists its parameters were chosen from.

    ``sets`` are the columns of the parameters that vary, ``figures`` those of what came of them. ``left_out`` counts
    combinations that the algorithm cannot take. ``deflated`` is of the best set; its ratios are per bar, as
    ``bars_a_year`` many make a year's. None of both where no set could be ranked.
    """

    id: UUID
    owner: UUID
    plan: Plan
    asked: Mapping[str, Any]
    rank_by: str
    bars: int
    bars_a_year: float
    count: int
    left_out: int
    sets: Columns
    figures: Columns
    ranking: tuple[int, ...]
    deflated: Deflated | None
    created_at: int


def ranked(rows: Sequence[Swept], by: str) -> tuple[int, ...]:
    """Return the places of sets, the best first, of equals the earlier; those without the figure come last."""

    def order(place: int) -> tuple[bool, float]:
        value = getattr(rows[place], by)
        return value is None, 0.0 if value is None else -value

    return tuple(sorted(range(len(rows)), key=order))


def deflate(rows: Sequence[Swept], best: int, *, returns: int, per_year: float) -> Deflated | None:
    """Deflate the Sharpe ratio of one set by those of all; None where it has none, or nothing to compare with."""
    row = rows[best]
    if row.sharpe_ratio is None or row.skewness is None or row.kurtosis is None:
        return None
    scale = per_year**0.5
    trials = [each.sharpe_ratio / scale for each in rows if each.sharpe_ratio is not None]
    return deflated_sharpe(
        row.sharpe_ratio / scale, trials, returns=returns, skewness=row.skewness, kurtosis=row.kurtosis
    )


def columns_of(grid: Grid) -> Columns:
    """Return the values of each parameter that some set was given, one a set."""
    names = list(dict.fromkeys(name for each in grid.sets for name in each))
    return {name: [each.get(name) for each in grid.sets] for name in names}


def figures_of(rows: Sequence[Swept]) -> Columns:
    """Return the rows as columns."""
    return {name: [getattr(row, name) for row in rows] for name in FIGURES}
