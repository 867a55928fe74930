"""The algorithms a strategy can follow, by name: a function from bars to scores, the past it needs, its parameters.

A new one is a function in ``signals`` (or a module of its own) and an entry in ``ALGORITHMS``. Both functions that
run one, ``judge`` and ``judge_all``, are plain and take plain arguments, so that a worker process can do it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qsuite.domain.analytics.signals import (
    SLOW,
    BarSeries,
    Scored,
    Verdict,
    sma_cross,
    technical_indicators_v1,
    verdict_at,
)

HISTORY_BARS = 500
"""How many closed bars are looked at: with so many, what came before no longer changes the last digit of an average."""
LONGEST = 400

Parameters = Mapping[str, Any]


class Bound(NamedTuple):
    """A whole number among an algorithm's parameters."""

    default: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How to score bars; ``needs`` says how many there must be for the newest to be scored."""

    name: str
    score: Callable[[BarSeries, Parameters], Scored]
    needs: Callable[[Parameters], int]
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    check: Callable[[Parameters], str] = lambda parameters: ""
    """Say what is wrong with the parameters together, if anything."""


class Unscored(NamedTuple):
    """Why there is no signal."""

    code: str
    detail: str


def _fast_below_slow(parameters: Parameters) -> str:
    return "" if parameters["fast"] < parameters["slow"] else "fast must be below slow"


ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        # The slow average needs the most; MACD(12, 26, 9) begins at the 34th bar.
        Algorithm("technical_indicators_v1", technical_indicators_v1, lambda parameters: SLOW),
        Algorithm(
            "sma_cross",
            sma_cross,
            lambda parameters: int(parameters["slow"]) + 1,  # and the bar before, to have crossed from
            {"fast": Bound(20, 2, LONGEST), "slow": Bound(50, 3, LONGEST)},
            _fast_below_slow,
        ),
    )
}
DEFAULT = "technical_indicators_v1"


def with_defaults(algorithm: Algorithm, parameters: Parameters) -> dict[str, Any]:
    """Return the algorithm's own parameters, those not given at their default."""
    return {name: parameters.get(name, bound.default) for name, bound in algorithm.bounds.items()}


def judge(name: str, parameters: Parameters, bars: BarSeries) -> Verdict | Unscored:
    """Return the advice at the newest of these closed bars, or why there is none."""
    algorithm = ALGORITHMS[name]
    own = with_defaults(algorithm, parameters)
    needed, there = algorithm.needs(own), len(bars.closes)
    if there < needed:
        return Unscored("signal.too_few_bars", f"{there} closed bars are there, {needed} are needed")
    return verdict_at(algorithm.score(bars, own))


def judge_all(name: str, parameters: Parameters, many: Sequence[BarSeries]) -> list[Verdict | Unscored]:
    """Return the advice for each of several symbols, in their order."""
    return [judge(name, parameters, bars) for bars in many]
