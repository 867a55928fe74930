"""Which rows are learned from and which are foretold: always the past and then the future, with a gap between.

    axis      0 ─────────────────────────────────────────────────────────────────> time
    fold 1    [ learned from      ]purged│embargo│[ foretold ]
    fold 2    [ learned from                        ]purged│embargo│[ foretold ]

Purged are rows whose outcome was not known yet when the first row to be foretold was decided, since their labels hold
prices of the time that is to be foretold. The embargo leaves out so many bars more: features remember, so neighbours in
time say nearly the same (M. López de Prado, Advances in Financial Machine Learning, 2018, section 7.4; there rows after
the foretold ones are held back too, which cannot come up where nothing later is learned from).
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.learning.rows import Places


class Fold(NamedTuple):
    """Places of the rows learned from, and of those foretold."""

    train: Places
    test: Places


def walk_forward(at: Places, until: Places, folds: int, embargo: int) -> list[Fold]:
    """Cut the times of decisions into ``folds + 1`` equal parts and foretell each but the first from all before it."""
    times = np.unique(at)
    edges = [round(len(times) * part / (folds + 1)) for part in range(folds + 2)]
    found = []
    for begin, end in pairwise(edges[1:]):
        if begin < end:
            test = np.flatnonzero((at >= times[begin]) & (at <= times[end - 1]))
            found.append(Fold(known_before(until, int(times[begin]), embargo), test))
    return found


def known_before(until: Places, first: int, embargo: int) -> Places:
    """Return the rows whose outcome was known, and ``embargo`` bars past, when bar ``first`` closed.

    An outcome ends at the open of its bar ``until``, so that one of the very bar ``first`` is known at its close.
    """
    return np.flatnonzero(until + embargo <= first)


def held_back(at: Places, until: Places, share: float, embargo: int) -> Fold:
    """Keep the newest ``share`` of the times to calibrate on (``test``), and the rows known before them to fit to."""
    times = np.unique(at)
    first = int(times[min(len(times) - 1, round(len(times) * (1.0 - share)))])
    return Fold(known_before(until, first, embargo), np.flatnonzero(at >= first))
