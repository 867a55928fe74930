"""For all bars, with still prices, nothing traded, falls to nothing: live indicators say what the whole series says."""

import os

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.analytics.catalog import FAMILIES
from qsuite.domain.analytics.series import Candles
from tests.support.analytics import PLAIN_AND_ODD_INDICATORS, assert_live_equals_whole

RUNS = 30 * int(os.environ.get("TEST_SCALE", "1"))
EVERY_FIVE_HOURS_NS = 5 * 3600 * 10**9
CONDITIONED = [name for name in PLAIN_AND_ODD_INDICATORS if not name.startswith("cci")]
"""All but the quotient of two differences, whose digits are lost where they are small beside the price."""


def bars_of(*, greatest: int, tick: float) -> st.SearchStrategy[Candles]:
    """Stretches of one price, with wicks or without, traded or not: from none to ``greatest`` ticks."""
    prices = st.one_of(st.integers(0, 20), st.integers(0, greatest))
    volumes = st.sampled_from([0.0, 0.0, 0.25, 100.0, 3e9])
    stretch = st.tuples(prices, st.integers(1, 15), st.integers(0, 3), st.integers(0, 3), volumes)
    return st.lists(stretch, min_size=12, max_size=30).map(lambda stretches: _candles(stretches, tick))


def _candles(stretches: list[tuple[int, int, int, int, float]], tick: float) -> Candles:
    rows = [
        (price, price + above, max(0, price - below), volume if place % 3 else 0.0)
        for price, length, above, below, volume in stretches
        for place in range(length)
    ]
    closes, highs, lows, volumes = (np.array(each, dtype=np.float64) for each in zip(*rows, strict=True))
    starts = np.arange(len(rows), dtype=np.int64) * EVERY_FIVE_HOURS_NS
    return Candles(starts, closes * tick, highs * tick, lows * tick, closes * tick, volumes)


@settings(max_examples=RUNS, deadline=None)
@given(bars_of(greatest=10**9, tick=0.01))
def test_live_equals_the_whole_series_whatever_prices_do(bars: Candles) -> None:
    assert_live_equals_whole(bars, CONDITIONED)


@settings(max_examples=RUNS, deadline=None)
@given(bars_of(greatest=4_000, tick=0.25))
def test_live_equals_the_whole_series_for_every_family(bars: Candles) -> None:
    assert_live_equals_whole(bars, list(FAMILIES))
