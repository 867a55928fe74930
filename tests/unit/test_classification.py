"""How well labels were guessed, by hand and beside an independent implementation."""

import numpy as np
import pytest

from qsuite.domain.analytics.classification import accuracy, brier, calibration_error, compare, macro_f1

TRUTH = np.array([0, 0, 1, 1, 1, 2])
GUESS = np.array([0, 1, 1, 1, 2, 2])


def test_figures_are_those_counted_by_hand() -> None:
    scores = compare(TRUTH, {"a": GUESS, "always": np.ones(6, dtype=np.int64)}, 3, seed=1).scores
    # F1 by label: 2·1/(2+1), 2·2/(3+3), 2·1/(1+2); always 1: 0, 2·3/(3+6), 0.
    assert scores["a"]["accuracy"].value == pytest.approx(4 / 6)
    assert scores["a"]["macro_f1"].value == pytest.approx(2 / 3)
    assert scores["always"]["accuracy"].value == pytest.approx(0.5)
    assert scores["always"]["macro_f1"].value == pytest.approx(2 / 9)


def test_a_label_that_is_neither_there_nor_guessed_counts_as_missed() -> None:
    assert macro_f1(np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])) == pytest.approx(2 / 3)
    assert accuracy(np.array([[3.0, 1.0], [0.0, 4.0]])) == pytest.approx(7 / 8)


def test_intervals_agree_with_drawing_texts_one_by_one() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 300)
    good = np.where(rng.random(300) < 0.8, truth, rng.integers(0, 3, 300))
    poor = np.where(rng.random(300) < 0.5, truth, rng.integers(0, 3, 300))
    found = compare(truth, {"good": good, "poor": poor}, 3, seed=1)
    drawn = rng.integers(0, 300, (2_000, 300))
    right = (good == truth)[drawn].mean(axis=1)
    score = found.scores["good"]["accuracy"]
    assert (score.low, score.high) == pytest.approx(tuple(np.percentile(right, (2.5, 97.5))), abs=0.01)
    gain = found.gains["poor"]
    assert gain.low is not None
    assert gain.high is not None
    assert 0 < gain.low < gain.value < gain.high
    # Differences of the same texts vary less than the two figures do by themselves.
    apart = [found.scores[name]["macro_f1"] for name in ("good", "poor")]
    assert gain.high - gain.low < sum((each.high or 0) - (each.low or 0) for each in apart)
    assert compare(truth, {"good": good, "poor": poor}, 3, seed=1) == found


def test_probabilities_are_measured_against_what_was_so() -> None:
    likely = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]])
    truth = np.array([0, 2])
    assert brier(truth, likely) == pytest.approx((0.04 + 0.01 + 0.01 + 0.04 + 0.25 + 0.49) / 2)
    # One was 0.8 sure and right, one 0.5 sure and wrong.
    assert calibration_error(truth, likely) == pytest.approx((0.2 + 0.5) / 2)
