"""What is learned from: bars of some symbols as rows of features, each with what came of it, all on one axis of time.

    bar t closes ─ features known, decided ─> open of t+1 ──────── held ────────> open of t+1+horizon
                                              entered                             left; ``until``

The outcome is what could have been traded on the features: from the next open, never from the close that made them.
Invariant: a row's features use bars up to ``at`` alone, and its outcome no bar after ``until``; both are places on the
axis, which is every start of a bar of any of the symbols, so that rows of several symbols are told apart by time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.learning.features import FEATURES, WARM_UP, Matrix, features_of, rose
from qsuite.domain.analytics.series import Candles, Flags, Instants, Series

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by time, then symbol.

    ``returns`` is the outcome, ``up`` whether it is above zero, ``rose`` whether the bar itself closed above the one
    before, ``steps`` what the first bar of the outcome gives, from open to open. ``symbol`` is a place among the names.
    """

    features: Matrix
    up: Flags
    returns: Series
    steps: Series
    rose: Flags
    at: Places
    until: Places
    symbol: Places

    def take(self, places: Places) -> "Rows":
        """Return some of the rows, in the order given."""
        return Rows(**{name: getattr(self, name)[places] for name in Rows.__slots__})

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.up)


class Learnable(NamedTuple):
    """Rows, the axis that their places are on (starts of bars), and the names that their symbols are places among."""

    rows: Rows
    axis_ns: Instants
    symbols: tuple[str, ...]


def rows_of(many: Mapping[str, Candles], horizon: int) -> Learnable:
    """Return the rows of each symbol's bars that have both features and an outcome ``horizon`` bars long."""
    symbols = tuple(sorted(many))
    axis = np.unique(np.concatenate([many[name].starts_ns for name in symbols]))
    parts = [_of_symbol(many[name], horizon, axis, place) for place, name in enumerate(symbols)]
    rows = Rows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__slots__})
    return Learnable(rows.take(np.lexsort((rows.symbol, rows.at))), axis, symbols)


def _of_symbol(bars: Candles, horizon: int, axis: Instants, symbol: int) -> Rows:
    count = max(0, len(bars.opens) - 1 - horizon)
    if count < WARM_UP:
        count = 0
    features = features_of(bars)[:count] if count else np.empty((0, len(FEATURES)))
    entered, left = bars.opens[1 : 1 + count], bars.opens[1 + horizon : 1 + horizon + count]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns, steps = left / entered - 1.0, bars.opens[2 : 2 + count] / entered - 1.0
    places = np.searchsorted(axis, bars.starts_ns)
    rows = Rows(
        features=features,
        up=returns > 0.0,
        returns=returns,
        steps=steps,
        rose=rose(features),
        at=places[:count],
        until=places[1 + horizon : 1 + horizon + count],
        symbol=np.full(count, symbol, dtype=np.int64),
    )
    known = np.isfinite(features).all(axis=1) & np.isfinite(returns) & np.isfinite(steps)
    return rows.take(np.flatnonzero(known))
