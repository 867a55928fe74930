"""Gradient boosting on features of bars, its probabilities calibrated, and its forecasts of what it never saw.

    rows known by now ── oldest three quarters ──> boosted trees ─┐
                      ── newest quarter, purged ─> Platt's scaling┴─> probability of a rise

Every fold of the walk-forward and the model that is kept are fitted by this one recipe, so that what was judged is what
is used. Invariant: the same rows and seed give the same model to the last bit, whatever machine they are fitted on has
for cores: sums over several threads would be added up in the order in which those end.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np

from qsuite.domain.analytics.learning.features import Matrix
from qsuite.domain.analytics.learning.judgement import MODEL, Forecast, baselines, joined, of_model
from qsuite.domain.analytics.learning.market_model import Chances
from qsuite.domain.analytics.learning.rows import Rows
from qsuite.domain.analytics.learning.splits import held_back, walk_forward
from qsuite.domain.analytics.series import Series
from qsuite.domain.errors import Invalid, Unavailable
from qsuite.services.model_files import load

CALIBRATED_SHARE = 0.25
LEAST_OF_A_KIND = 20
"""Rises and falls there must be of each to fit to, and of each to calibrate on."""
TREES, LEAVES, RATE, LEAST_IN_A_LEAF, RIDGE = 60, 8, 0.05, 40, 1.0
"""Small trees and few of them: what there is to learn of prices is little, and what there is to mistake for it much."""
LOADED_MAX = 8
TRUSTED = frozenset(
    f"sklearn.{name}"
    for name in (
        "_loss._loss.CyHalfBinomialLoss",
        "_loss.link.Interval",
        "_loss.link.LogitLink",
        "_loss.loss.HalfBinomialLoss",
        "calibration.CalibratedClassifierCV",
        "calibration._CalibratedClassifier",
        "calibration._SigmoidCalibration",
        "ensemble._hist_gradient_boosting.binning._BinMapper",
        "ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
        "ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "frozen._frozen.FrozenEstimator",
        "preprocessing._label.LabelEncoder",
    )
) | {"numpy.random._generator.Generator", "numpy.uint64"}
"""What ``fit`` makes consists of these and plain numbers, and nothing else is loaded for one."""


class Recipe(NamedTuple):
    """How to fit: ``embargo`` in bars between what is learned from and what it is tried on, ``seed`` for the trees."""

    folds: int
    embargo: int
    seed: int


def foretell(rows: Rows, recipe: Recipe, told: Callable[[float], None]) -> tuple[Rows, dict[str, Forecast]]:
    """Return all rows that were foretold out of sample, and the forecasts of the model and of the baselines.

    ``told`` is called with how much is done after each fold. Invalid where there are too few rows to learn from.
    """
    folds = walk_forward(rows.at, rows.until, recipe.folds, recipe.embargo)
    forecasts: list[dict[str, Forecast]] = []
    for number, fold in enumerate(folds, 1):
        train, test = rows.take(fold.train), rows.take(fold.test)
        found = baselines(train, test)
        found[MODEL] = of_model(chances(fit(train, recipe), test.features))
        forecasts.append(found)
        told(number / len(folds))
    if not forecasts:
        raise too_few(0)
    tested = rows.take(np.concatenate([fold.test for fold in folds]))
    return tested, {name: joined([each[name] for each in forecasts]) for name in forecasts[0]}


def fit(rows: Rows, recipe: Recipe) -> Any:
    """Return a calibrated classifier. Invalid where the rows are too few, Unavailable without scikit-learn."""
    split = held_back(rows.at, rows.until, CALIBRATED_SHARE, recipe.embargo) if len(rows) else None
    if split is None or not all(_enough(rows.up[part]) for part in split):
        raise too_few(len(rows))
    sklearn = _learners()
    trees = sklearn.trees(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=RATE,
        min_samples_leaf=LEAST_IN_A_LEAF,
        l2_regularization=RIDGE,
        early_stopping=False,
        random_state=recipe.seed,
    )
    # Whole numbers: the classes are kept in the file as they come, and flags would be one type more to trust.
    up = rows.up.astype(np.int64)
    with sklearn.threads_limited(1):
        trees.fit(rows.features[split.train], up[split.train])
        calibrated = sklearn.calibrated(sklearn.frozen(trees), method="sigmoid")
        return calibrated.fit(rows.features[split.test], up[split.test])


def chances(classifier: Any, features: Matrix) -> Series:
    """Return the probability of a rise for each row of features."""
    found: Series = classifier.predict_proba(features)[:, 1]
    return found


@lru_cache(maxsize=LOADED_MAX)
def opened(data: bytes, sha256: str, trained_with: str) -> Chances:
    """Return what a stored classifier foretells with. Unavailable for a file that was not made here by this version.

    Slow the first time (scikit-learn is imported); a process keeps the last few.
    """
    if trained_with != learner_version():
        raise Unavailable(
            f"the model was trained with scikit-learn {trained_with}, which is not the one here: train again",
            code="model.other_version",
        )
    return partial(chances, load(data, sha256, TRUSTED))


def learner_version() -> str:
    """Return scikit-learn's version: trees of one are not promised to mean the same to another."""
    try:
        return version("scikit-learn")
    except PackageNotFoundError:
        raise not_installed() from None


class _Learners(NamedTuple):
    """What is used of scikit-learn and of what it brings along."""

    trees: Any
    calibrated: Any
    frozen: Any
    threads_limited: Any


def _learners() -> _Learners:
    # By name, at their first use: they are an extra, and take a second to load.
    try:
        return _Learners(
            import_module("sklearn.ensemble").HistGradientBoostingClassifier,
            import_module("sklearn.calibration").CalibratedClassifierCV,
            import_module("sklearn.frozen").FrozenEstimator,
            import_module("threadpoolctl").threadpool_limits,
        )
    except ImportError:
        raise not_installed() from None


def not_installed() -> Unavailable:
    """Say what is missing."""
    return Unavailable(
        "models need scikit-learn and skops: install QSuite with its extra 'models'", code="models.not_installed"
    )


def too_few(rows: int) -> Invalid:
    """Say that nothing can be learned."""
    return Invalid(f"{rows} rows of features are too few to learn from: ask for more bars", code="model.too_few_bars")


def _enough(up: Any) -> bool:
    return min(int(up.sum()), int((~up).sum())) >= LEAST_OF_A_KIND
