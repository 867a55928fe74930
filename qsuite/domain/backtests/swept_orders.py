"""What each set of a sweep asks for and when: one order for each bar that is sure enough of a side.

An order decided at a bar's close meets the symbol's next bar at its open, as everywhere in backtests; one decided at
the last bar meets nothing. Invariant: the orders of a set stand in the order in which the event-driven run places
them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.algorithms import ALGORITHMS, Algorithm, with_defaults
from qsuite.domain.analytics.series import Flags, Instants
from qsuite.domain.analytics.signals import ACTIONABLE, WHOLE
from qsuite.domain.backtests.panel import Panel

SURE = int(ACTIONABLE * WHOLE)
Places = npt.NDArray[np.int64]


class Orders(NamedTuple):
    """Orders of one set: the period they meet the market in, the symbol's column, whether they buy."""

    periods: Instants
    columns: Places
    buys: Flags


class Asked:
    """The orders of sets of one algorithm; what follows from the same parameters is computed once."""

    def __init__(self, algorithm: str, panel: Panel) -> None:
        self._algorithm = ALGORITHMS[algorithm]
        self._panel = panel
        self._series = [panel.series(column) for column in range(len(panel.symbols))]
        self._known: dict[tuple[Any, ...], Orders] = {}

    def by(self, parameters: Mapping[str, Any]) -> Orders:
        """Return the orders of a set, sizes apart."""
        own = with_defaults(self._algorithm, parameters)
        key = tuple(own.values())
        if key not in self._known:
            self._known[key] = _in_order([self._of(column, own) for column in range(len(self._series))])
        return self._known[key]

    def forget(self) -> None:
        """Drop what was computed so far: the next sets have other parameters."""
        self._known.clear()

    def _of(self, column: int, own: Mapping[str, Any]) -> tuple[Orders, Instants]:
        """Return a symbol's orders, and the periods in which they were decided."""
        rows = self._panel.periods[column]
        bars = _decided(self._algorithm, self._series[column], own)
        at, buys = bars
        at, buys = at[at < len(rows) - 1], buys[at < len(rows) - 1]
        return Orders(rows[at + 1], np.full(len(at), column, dtype=np.int64), buys), rows[at]


def _decided(algorithm: Algorithm, series: Any, own: Mapping[str, Any]) -> tuple[Places, Flags]:
    needed = algorithm.needs(own)
    if len(series.closes) < needed:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_)
    scores = algorithm.score(series, own).scores
    at = np.flatnonzero(np.abs(scores) > SURE)
    at = at[at >= needed - 1]
    return at, scores[at] > 0


def _in_order(parts: Sequence[tuple[Orders, Instants]]) -> Orders:
    if len(parts) == 1:
        return parts[0][0]
    periods, columns, buys = (np.concatenate([getattr(orders, name) for orders, _ in parts]) for name in Orders._fields)
    decided = np.concatenate([at for _, at in parts])
    order = np.lexsort((columns, decided, periods))
    return Orders(periods[order], columns[order], buys[order])
