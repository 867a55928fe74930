"""The sets a grid describes, and how much of the best one is luck."""

import math
from statistics import NormalDist, variance
from typing import Any

import pytest

from qsuite.domain.backtests.deflated import deflated_sharpe, expected_best, probable_sharpe
from qsuite.domain.backtests.grid import expand
from qsuite.domain.errors import Invalid

# -- the grid ---------------------------------------------------------------------------------------------------------


def test_lists_and_ranges_make_every_combination_the_last_changing_fastest() -> None:
    grid = expand("sma_cross", {"fast": [5, 10], "slow": {"from": 20, "to": 60, "step": 20}, "allow_short": True})
    assert [(each["fast"], each["slow"]) for each in grid.sets] == [
        (5, 20), (5, 40), (5, 60), (10, 20), (10, 40), (10, 60),
    ]  # fmt: skip
    assert all(each["allow_short"] is True for each in grid.sets)


def test_combinations_that_an_algorithm_cannot_take_are_left_out_and_counted() -> None:
    grid = expand("sma_cross", {"fast": [5, 30], "slow": [20, 40]})
    assert [(each["fast"], each["slow"]) for each in grid.sets] == [(5, 20), (5, 40), (30, 40)]
    assert grid.left_out == 1


def test_a_range_of_decimals_is_exact() -> None:
    grid = expand("mean_reversion", {"band_percent": {"from": 0.1, "to": 0.5, "step": 0.1}})
    assert [each["band_percent"] for each in grid.sets] == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"fast": {"from": 2, "to": 301, "step": 1}, "slow": {"from": 3, "to": 103, "step": 1}}, "parameters"),
        ({"fast": []}, "parameters.fast"),
        ({"fast": {"from": 2, "to": 10}}, "parameters.fast"),
        ({"fast": {"from": 2, "to": 10, "step": 0}}, "parameters.fast"),
        ({"fast": {"from": 10, "to": 2, "step": 1}}, "parameters.fast"),
        ({"fast": {"from": "two", "to": 10, "step": 1}}, "parameters.fast"),
        ({"fast": [5, 1_000]}, "parameters.fast"),
        ({"speed": [5]}, "parameters.speed"),
        ({"fast": [60], "slow": [50]}, "parameters"),
    ],
)
def test_what_no_grid_can_be_made_of_is_refused_by_its_name(parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        expand("sma_cross", parameters)
    assert list(refused.value.errors) == [field]


def test_no_parameters_are_one_set_of_defaults() -> None:
    assert expand("sma_cross", {}).sets == ({},)


# -- the deflated Sharpe ratio ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "wanted"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_the_example_of_the_paper_comes_out(trials: int, skewness: float, kurtosis: float, wanted: float) -> None:
    # Bailey and López de Prado 2014, "A numerical example": 2.5 a year over 1,250 days of which 250 make a year; the
    # variance of the trials' yearly ratios is 1/2.
    luck = expected_best(trials, 0.5 / 250)
    found = probable_sharpe(2.5 / math.sqrt(250), luck, returns=1250, skewness=skewness, kurtosis=kurtosis)
    assert found == pytest.approx(wanted, abs=5e-5)
    if trials == 100:
        assert luck == pytest.approx(0.1132, abs=5e-5)


def test_the_trials_themselves_say_how_much_they_vary() -> None:
    trials = [0.01, 0.05, -0.02, 0.08]
    found = deflated_sharpe(0.08, trials, returns=500, skewness=0.0, kurtosis=3.0)
    assert found is not None
    assert (found.trials, found.variance) == (4, variance(trials))
    normal = NormalDist()
    high, higher = normal.inv_cdf(0.75), normal.inv_cdf(1 - 1 / (4 * math.e))
    assert found.luck == pytest.approx(
        math.sqrt(variance(trials)) * (0.42278433509846714 * high + 0.5772156649 * higher)
    )
    assert 0.0 < found.probability < 1.0


def test_trials_that_are_all_alike_leave_the_plain_probability() -> None:
    found = deflated_sharpe(0.1, [0.1, 0.1, 0.1], returns=101, skewness=0.0, kurtosis=3.0)
    assert found is not None
    assert found.luck == 0.0
    assert found.probability == pytest.approx(NormalDist().cdf(0.1 * 10 / math.sqrt(1 + 0.1**2 / 2)))


def test_a_single_trial_has_nothing_to_be_compared_with() -> None:
    assert deflated_sharpe(0.1, [0.1], returns=100, skewness=0.0, kurtosis=3.0) is None
