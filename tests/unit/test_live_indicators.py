"""Indicators one bar at a time: at every bar of real prices what the whole series gives, and nothing before it may."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.analytics.catalog import FAMILIES, UnknownIndicator
from qsuite.domain.analytics.live import LiveIndicator, LivePanel
from qsuite.domain.analytics.live.twins import TWINS
from qsuite.domain.analytics.series import Candle, Candles, each_bar
from qsuite.domain.times import DAY_NS
from qsuite.research import LiveIndicators
from tests.support.analytics import PLAIN_AND_ODD_INDICATORS, assert_live_equals_whole, column, one_by_one, rows_of

MINUTE_NS = 60 * 10**9


def candles(rows: list[dict[str, str]], *, prefix: str = "", step_ns: int = DAY_NS) -> Candles:
    starts = np.arange(len(rows), dtype=np.int64) * step_ns
    names = [prefix + name for name in ("open", "high", "low", "close", "volume")]
    return Candles(starts, *(column(rows, name) for name in names))


def test_every_family_has_its_twin() -> None:
    assert TWINS.keys() == FAMILIES.keys()


def test_live_equals_the_whole_series_on_every_bar_of_thirteen_years_of_ibm(shared_data: Path) -> None:
    rows = rows_of(shared_data / "daily/us_equities_wiki_daily.csv.gz")
    assert_live_equals_whole(candles([row for row in rows if row["symbol"] == "IBM"]), list(FAMILIES))


def test_live_equals_the_whole_series_on_every_bar_of_google(shared_data: Path) -> None:
    rows = rows_of(shared_data / "reference/backtestingpy/goog_daily_2004_2013.csv")
    bars = [{name.lower(): value for name, value in row.items()} for row in rows]
    assert_live_equals_whole(candles(bars), PLAIN_AND_ODD_INDICATORS)


def test_live_equals_the_whole_series_on_every_minute_of_four_days(shared_data: Path) -> None:
    rows = rows_of(shared_data / "intraday/spy_minute_20201215_18.csv.gz")
    assert_live_equals_whole(candles(rows, step_ns=MINUTE_NS), PLAIN_AND_ODD_INDICATORS)


@pytest.mark.parametrize("jump", [0.01, 5.0, 1e7])
def test_what_is_left_of_one_move_long_ago_still_counts_however_little_it_is(jump: float) -> None:
    closes = np.concatenate((np.full(5, 1.0), np.full(120, 1.0 + jump)))
    bars = Candles(np.arange(125, dtype=np.int64), closes, closes, closes, closes, np.ones(125))
    assert_live_equals_whole(bars, PLAIN_AND_ODD_INDICATORS)
    assert one_by_one(["rsi_2"], bars)["rsi_2"][-1] == 100.0


def test_a_bar_that_changes_until_it_is_closed_leaves_no_trace(shared_data: Path) -> None:
    rows = rows_of(shared_data / "reference/backtestingpy/goog_daily_2004_2013.csv")[:150]
    bars = candles([{name.lower(): value for name, value in row.items()} for row in rows])
    watched, plain = LivePanel(PLAIN_AND_ODD_INDICATORS), LivePanel(PLAIN_AND_ODD_INDICATORS)
    for bar in each_bar(bars):
        watched.revise(bar._replace(close=bar.low, volume=0.0))
        watched.revise(bar._replace(high=2 * bar.high, close=2 * bar.high))
        closed = plain.push(bar)
        assert watched.revise(bar) == closed
        assert watched.push(bar) == closed


def test_sums_leave_nothing_behind_after_prices_fell_ten_million_fold_over_a_long_run() -> None:
    chance = np.random.default_rng(5)
    closes = np.concatenate((chance.uniform(0.5e7, 1.5e7, 20_000), np.full(60, 0.1)))
    live = LivePanel(["sma_20", "bbands_20_2", "vwap_20", "volume_ratio", "rsi_simple_14"])
    volumes = np.concatenate((chance.uniform(1e9, 1e12, 20_000), np.full(60, 3.3)))
    starts = range(len(closes))
    for bar in map(Candle, starts, closes, closes, closes, closes, volumes):
        found = live.push(bar)
    assert found["bbands_20_2.upper"] == found["bbands_20_2.lower"] == 0.1
    assert [found[name] for name in ("sma_20", "vwap_20", "volume_ratio", "rsi_simple_14")] == [
        pytest.approx(0.1, rel=1e-15),
        pytest.approx(0.1, rel=1e-15),
        pytest.approx(1.0, rel=1e-15),
        0.0,
    ]


def test_a_bar_is_pushed_once_and_in_order() -> None:
    live = LiveIndicator("sma_2")
    assert live.push(Candle(2, 1.0, 1.0, 1.0, 1.0, 1.0)) == {"sma_2": None}
    for start in (1, 2):
        with pytest.raises(ValueError, match="not after the last"):
            live.push(Candle(start, 1.0, 1.0, 1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="not after the last"):
        live.revise(Candle(2, 1.0, 1.0, 1.0, 5.0, 1.0))
    assert live.revise(Candle(3, 1.0, 1.0, 1.0, 5.0, 1.0)) == {"sma_2": 3.0}
    assert live.push(Candle(3, 1.0, 1.0, 1.0, 2.0, 1.0)) == {"sma_2": 1.5}


def test_what_is_no_indicator_has_no_live_one() -> None:
    with pytest.raises(UnknownIndicator):
        LivePanel(["sma_20", "astrology_7"])


def test_the_streams_bars_are_taken_as_they_come() -> None:
    def bar(minute: int, close: str, *, final: bool) -> dict[str, object]:
        prices = dict.fromkeys(("open", "high", "low", "close"), close)
        return {"type": "bar", "ts": f"2026-03-02T12:0{minute}:00Z", **prices, "volume": "5", "final": final}

    live = LiveIndicators(["sma_2", "obv"])
    stored = {key: value for key, value in bar(0, "10", final=True).items() if key not in ("ts", "final")}
    assert live.take(stored | {"timestamp": "2026-03-02T12:00:00Z"}) == {"sma_2": None, "obv": 5.0}
    assert live.take(bar(1, "11", final=False)) == {"sma_2": 10.5, "obv": 10.0}
    assert live.take(bar(1, "9", final=False)) == {"sma_2": 9.5, "obv": 0.0}
    closed = live.take(bar(1, "12", final=True))
    assert closed == {"sma_2": 11.0, "obv": 10.0}
    assert live.take(bar(1, "12", final=True)) == closed  # a snapshot shows it again
    assert live.take(bar(2, "14", final=False)) == {"sma_2": 13.0, "obv": 15.0}
    with pytest.raises(ValueError, match="not after the last"):
        live.take(bar(0, "10", final=True))


def test_many_symbols_keep_their_own_state() -> None:
    panels = {symbol: LivePanel(["ema_2"]) for symbol in ("A", "B")}
    for place, price in itertools.product(range(3), (10.0, 20.0)):
        found = panels["A" if price == 10.0 else "B"].push(Candle(place, price, price, price, price, 1.0))
        assert found == {"ema_2": price if place else None}
