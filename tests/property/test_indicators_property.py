"""For all prices: the past is all that counts, and averages are what the plain way gives."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.analytics.algorithms import ALGORITHMS, with_defaults
from qsuite.domain.analytics.indicators import bollinger, ema, macd, mfi, rsi, sma
from qsuite.domain.analytics.series import Candles, Instants, Series, as_series
from qsuite.domain.analytics.signals import BarSeries

PRICES = st.lists(st.integers(1, 10**7).map(lambda cents: cents / 100), min_size=60, max_size=160).map(as_series)


def _places(values: Series) -> Instants:
    return np.arange(len(values), dtype=np.int64)


INDICATORS: dict[str, Callable[[Series], Series]] = {
    "sma": lambda closes: sma(closes, 20),
    "ema": lambda closes: ema(closes, 20),
    "rsi": rsi,
    "macd": lambda closes: macd(closes).line,
    "signal": lambda closes: macd(closes).signal,
    "upper band": lambda closes: bollinger(closes, 5, 2.0).upper,
    "money flow": lambda closes: mfi(Candles(_places(closes), closes, closes, closes, closes, closes**2), 5),
}


@pytest.mark.parametrize("name", INDICATORS)
@settings(max_examples=40, deadline=None)
@given(closes=PRICES, cut=st.integers(1, 160))
def test_cutting_the_future_off_changes_no_value_to_the_last_bit(name: str, closes: Series, cut: int) -> None:
    whole, cut_off = INDICATORS[name](closes), INDICATORS[name](closes[:cut])
    assert np.array_equal(whole[: len(cut_off)], cut_off, equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(PRICES, st.integers(50, 160), st.randoms(use_true_random=False))
def test_no_signal_knows_what_comes_after_it(closes: Series, cut: int, chance: object) -> None:
    volumes = closes[::-1].copy()
    later = closes.copy()
    later[cut:] = later[cut:][::-1] * 1.5  # another future
    for algorithm in ALGORITHMS.values():
        parameters = with_defaults(algorithm, {})
        once = algorithm.score(BarSeries(closes, volumes), parameters)
        again = algorithm.score(BarSeries(later, volumes), parameters)
        alone = algorithm.score(BarSeries(closes[:cut], volumes[:cut]), parameters)
        assert once.scores[:cut].tolist() == again.scores[:cut].tolist() == alone.scores.tolist()
        for name, values in alone.features.items():
            assert np.array_equal(values, once.features[name][:cut], equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(PRICES, st.integers(2, 50))
def test_averages_are_what_the_plain_way_gives(closes: Series, length: int) -> None:
    means = [float(np.mean(closes[at + 1 - length : at + 1])) for at in range(length - 1, len(closes))]
    # A sum that moves on keeps the rounding of the greatest price that was in it.
    assert sma(closes, length)[length - 1 :] == pytest.approx(means, rel=1e-12, abs=1e-12 * closes.max())
    weight, last, plain = 2 / (length + 1), means[0], [means[0]]
    for close in closes[length:]:
        last += weight * (close - last)
        plain.append(last)
    assert ema(closes, length)[length - 1 :] == pytest.approx(plain, rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(PRICES)
def test_wilders_index_is_what_the_plain_way_gives_and_lies_between_0_and_100(closes: Series) -> None:
    moves = np.diff(closes)
    gain, loss = np.maximum(moves, 0)[:14].mean(), np.maximum(-moves, 0)[:14].mean()
    found = rsi(closes)
    for place in range(14, len(closes)):
        if place > 14:
            gain = (13 * gain + max(moves[place - 1], 0)) / 14
            loss = (13 * loss + max(-moves[place - 1], 0)) / 14
        plain = 100 * gain / (gain + loss) if gain + loss else 0.0
        assert found[place] == pytest.approx(plain, rel=1e-9, abs=1e-9)
        assert -1e-9 <= found[place] <= 100 + 1e-9
