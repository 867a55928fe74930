"""How well labels were guessed: accuracy and macro-F1 with bootstrap intervals, Brier score and calibration.

Several classifiers are compared on the same texts. A resample of n texts is a multinomial draw over the cells of their
joint table (true label, each one's guess), which is the same as drawing texts, and as quick for a million of them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qsuite.domain.models import Score

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
"""Labels by their places, 0 to k - 1."""

RESAMPLES = 2_000
OUTER = (2.5, 97.5)
BINS = 10


class Compared(NamedTuple):
    """Each classifier's figures, and by how much the first one's macro-F1 is above each other's."""

    scores: Mapping[str, Mapping[str, Score]]
    gains: Mapping[str, Score]


def compare(truth: Codes, guesses: Mapping[str, Codes], k: int, seed: int) -> Compared:
    """Measure classifiers on the same texts; ``guesses`` are of n texts each, ``k`` how many labels there are."""
    n, m = len(truth), len(guesses)
    table = np.zeros((k,) * (m + 1))
    np.add.at(table, (truth, *guesses.values()), 1)
    draws = np.random.default_rng(seed).multinomial(n, table.ravel() / n, RESAMPLES).reshape(RESAMPLES, *table.shape)
    seen, drawn = _confusions(table[np.newaxis], m), _confusions(draws.astype(np.float64), m)
    scores = {
        name: {
            "accuracy": _score(accuracy(seen[at]), accuracy(drawn[at])),
            "macro_f1": _score(macro_f1(seen[at]), macro_f1(drawn[at])),
        }
        for at, name in enumerate(guesses)
    }
    gains = {
        name: _score(macro_f1(seen[0]) - macro_f1(seen[at]), macro_f1(drawn[0]) - macro_f1(drawn[at]))
        for at, name in enumerate(guesses)
        if at
    }
    return Compared(scores, gains)


def accuracy(confusions: Floats) -> Floats:
    """Return the part that was right, of matrices of true by guessed label (any axes before those two)."""
    right = np.trace(confusions, axis1=-2, axis2=-1)
    return np.asarray(right / confusions.sum(axis=(-2, -1)))


def macro_f1(confusions: Floats) -> Floats:
    """Return the mean of the labels' F1, that of a label neither there nor guessed being 0."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    either = confusions.sum(axis=-1) + confusions.sum(axis=-2)
    return np.asarray(np.divide(2 * right, either, out=np.zeros(either.shape), where=either > 0).mean(axis=-1))


def brier(truth: Codes, likely: Floats) -> float:
    """Return the mean squared distance of probabilities (n by k) from what was so: 0 at best, 2 at worst."""
    so = np.eye(likely.shape[1])[truth]
    return float(((likely - so) ** 2).sum(axis=1).mean())


def calibration_error(truth: Codes, likely: Floats) -> float:
    """Return how far, on average, confidence is from how often it was right, over ten bins of confidence."""
    sure = likely.max(axis=1)
    right = likely.argmax(axis=1) == truth
    bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, right, BINS) - np.bincount(bins, sure, BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _confusions(tables: Floats, m: int) -> list[Floats]:
    """Return each classifier's confusion matrices from joint tables (resample, truth, guesses…)."""
    return [tables.sum(axis=tuple(2 + other for other in range(m) if other != at)) for at in range(m)]


def _score(seen: Floats, drawn: Floats) -> Score:
    low, high = np.percentile(drawn, OUTER)
    return Score(float(seen[0]), float(low), float(high))
