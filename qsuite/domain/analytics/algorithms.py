"""The algorithms a strategy can follow, by name: a function from bars to scores, the past it needs, its parameters.

A new one is a function in ``signals`` (or a module of its own) and an entry in ``ALGORITHMS``. Both functions that
run one, ``judge`` and ``judge_all``, are plain and take plain arguments, so that a worker process can do it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qsuite.domain.analytics.catalog import LONGEST, read_name
from qsuite.domain.analytics.signals import (
    RSI_HIGH,
    RSI_LENGTH,
    RSI_LOW,
    SLOW,
    BarSeries,
    Scored,
    Verdict,
    breakout,
    mean_reversion,
    rsi_reversal,
    sma_cross,
    technical_indicators_v1,
    verdict_at,
)
from qsuite.domain.money import parse_decimal

HISTORY_BARS = 500
"""How many closed bars are looked at: with so many, what came before no longer changes the last digit of an average."""
TEXT_MAX = 200

Parameters = Mapping[str, Any]


class Bound(NamedTuple):
    """A number among an algorithm's parameters; where it is not ``whole``, a double."""

    default: float
    low: float
    high: float
    whole: bool = True

    def read(self, value: object) -> float:
        """Return what was sent, an int where it is to be whole. ValueError says what may be sent."""
        if self.whole:
            if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
                raise ValueError(f"a whole number from {self.low:.0f} to {self.high:.0f}")
            return value
        try:
            # It is a statistic, so a double will do; one that was stored comes back as one.
            number = value if isinstance(value, float) else float(parse_decimal(value))
        except ValueError:
            number = math.nan
        if not self.low <= number <= self.high:
            raise ValueError(f"a number from {self.low:g} to {self.high:g}")
        return number


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How to score bars; ``needs`` says how many there must be for the newest to be scored.

    ``looks_back`` is how many its score depends on, where an average never quite forgets; ``check`` says what is wrong
    with the parameters together, if anything; ``texts`` are parameters that are words of up to ``TEXT_MAX`` letters.
    """

    name: str
    score: Callable[[BarSeries, Parameters], Scored]
    needs: Callable[[Parameters], int]
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    check: Callable[[Parameters], str] = lambda parameters: ""
    looks_back: Callable[[Parameters], int] = lambda parameters: HISTORY_BARS
    texts: tuple[str, ...] = ()


class Unscored(NamedTuple):
    """Why there is no signal."""

    code: str
    detail: str


def _fast_below_slow(parameters: Parameters) -> str:
    return "" if parameters["fast"] < parameters["slow"] else "fast must be below slow"


def _low_below_high(parameters: Parameters) -> str:
    return "" if parameters["low"] < parameters["high"] else "low must be below high"


def _rsi_looks_back(parameters: Parameters) -> int:
    return read_name(f"rsi_{parameters['length']}").bars_before + 2


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
        Algorithm(
            "mean_reversion",
            mean_reversion,
            lambda parameters: int(parameters["length"]),
            {"length": Bound(20, 2, LONGEST), "band_percent": Bound(2.0, 0.01, 50.0, whole=False)},
        ),
        Algorithm(
            "rsi_reversal",
            rsi_reversal,
            lambda parameters: int(parameters["length"]) + 2,  # the first index, and one to have come back from
            {
                "length": Bound(RSI_LENGTH, 2, 100),
                "low": Bound(RSI_LOW, 1.0, 99.0, whole=False),
                "high": Bound(RSI_HIGH, 1.0, 99.0, whole=False),
            },
            _low_below_high,
            _rsi_looks_back,
        ),
        Algorithm(
            "breakout",
            breakout,
            lambda parameters: int(parameters["length"]) + 1,  # and the bar that breaks out
            {"length": Bound(20, 2, LONGEST)},
        ),
    )
}
DEFAULT = "technical_indicators_v1"


def with_defaults(algorithm: Algorithm, parameters: Parameters) -> dict[str, Any]:
    """Return the algorithm's own parameters, those not given at their default."""
    return {name: parameters.get(name, bound.default) for name, bound in algorithm.bounds.items()}


def history_of(name: str, parameters: Parameters) -> int:
    """Return how many closed bars to hand over, for a verdict that more of them would not change."""
    algorithm = ALGORITHMS[name]
    return max(HISTORY_BARS, algorithm.looks_back(with_defaults(algorithm, parameters)))


def judge(name: str, parameters: Parameters, bars: BarSeries) -> Verdict | Unscored:
    """Return the advice at the newest of these closed bars, or why there is none."""
    return advice_of(ALGORITHMS[name], parameters, bars)


def advice_of(algorithm: Algorithm, parameters: Parameters, bars: BarSeries) -> Verdict | Unscored:
    """Return an algorithm's advice at the newest of these closed bars, or why there is none."""
    own = with_defaults(algorithm, parameters)
    needed, there = algorithm.needs(own), len(bars.closes)
    if there < needed:
        return _too_few(there, needed)
    return verdict_at(algorithm.score(bars, own))


def judge_newest(names: Sequence[str], many: Sequence[tuple[BarSeries, int]]) -> list[list[list[Verdict | Unscored]]]:
    """Return the advice of several algorithms at the newest so many bars of several symbols.

    By symbol, by algorithm, oldest bar first.
    """
    return [[_judge_last(name, bars, fresh) for name in names] for bars, fresh in many]


def judge_all(name: str, parameters: Parameters, many: Sequence[BarSeries]) -> list[Verdict | Unscored]:
    """Return the advice for each of several symbols, in their order."""
    return [judge(name, parameters, bars) for bars in many]


def _judge_last(name: str, bars: BarSeries, fresh: int) -> list[Verdict | Unscored]:
    algorithm = ALGORITHMS[name]
    own = with_defaults(algorithm, {})
    needed, there = algorithm.needs(own), len(bars.closes)
    places = range(there - fresh, there)
    scored = algorithm.score(bars, own) if there >= needed else None
    return [
        verdict_at(scored, place) if scored is not None and place + 1 >= needed else _too_few(place + 1, needed)
        for place in places
    ]


def _too_few(there: int, needed: int) -> Unscored:
    return Unscored("signal.too_few_bars", f"{there} closed bars are there, {needed} are needed")
