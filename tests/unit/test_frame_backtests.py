"""Traders of one's own over pandas frames, as research writes them."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from qsuite.domain.backtests.terms import open_limits
from qsuite.research import backtest, look_ahead


def frame(closes: list[float], **columns: Any) -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=len(closes), freq="D")
    prices = {name: np.array(closes) for name in ("open", "high", "low", "close")}
    return pd.DataFrame(prices | columns, index=index)


class Trend:
    """Buy above the mean of five closes, sell below."""

    def on_bar(self, desk: Any) -> None:
        closes = desk.bars("IBM").closes
        if len(closes) < 5:
            return
        above = closes[-1] > closes[-5:].mean()
        if above and not desk.position("IBM"):
            desk.buy("IBM", fraction=1)
        elif not above and desk.position("IBM"):
            desk.close("IBM")


CLOSES = [10.0, 10, 10, 10, 11, 12.5, 13, 9, 8.75, 8]


def test_a_frame_is_played_and_comes_back_as_frames() -> None:
    played = backtest(Trend(), {"IBM": frame(CLOSES)}, cash=1000)
    # Above the mean at 11, so bought at 12.5; below it at 9, so sold at 8.75.
    (trade,) = played.trades.to_dict("records")
    assert (trade["quantity"], trade["entry_price"], trade["exit_price"], trade["pnl"]) == (80, 12.5, 8.75, -300)
    assert trade["entry_ts"] == pd.Timestamp("2024-01-06", tz="UTC")
    assert list(played.equity) == [1000] * 6 + [1040, 720, 700, 700]
    assert played.equity.index[0] == pd.Timestamp("2024-01-02", tz="UTC")  # a bar's close is known at its end
    assert played.figures.total_return == pytest.approx(-0.3)
    assert played.figures.benchmark_return == pytest.approx(-0.2)


def test_costs_and_volume_count_where_asked_for() -> None:
    thin = frame(CLOSES, volume=[100.0] * 10)
    played = backtest(
        Trend(), {"IBM": thin}, cash=1000, participation="0.1", slippage_bps=10,
        commission={"model": "per_share", "per_share": "0.01"},
    )  # fmt: skip
    assert played.figures.costs > 0
    assert max(fill.quantity for fill in played.result.executions) <= 10


def test_the_controls_hold_where_their_limits_are_given() -> None:
    small = replace(open_limits(), max_quantity=Decimal(50))
    played = backtest(Trend(), {"IBM": frame(CLOSES)}, cash=1000, limits=small)
    assert {each.code for each in played.result.refused} == {"risk.max_quantity"}
    assert played.trades.empty


def test_a_trader_that_peeks_is_found() -> None:
    class Peeks:
        def __init__(self, bars: Any) -> None:
            self.closes = [float(bar.close) for bar in bars["IBM"]]

        def on_bar(self, desk: Any) -> None:
            now = len(desk.bars("IBM"))
            if now < len(self.closes) and self.closes[now] > self.closes[now - 1]:
                desk.buy("IBM", 1)

    wave = [100 + 10 * float(np.sin(number)) for number in range(40)]
    assert look_ahead(Peeks, {"IBM": frame(wave)}, cuts=5) is not None
    assert look_ahead(lambda bars: Trend(), {"IBM": frame(wave)}, cuts=5) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (frame(CLOSES).drop(columns="low"), "no frame of bars"),
        (frame(CLOSES).reset_index(drop=True), "no frame of bars"),
        (frame([]), "no frame of bars"),
        (frame([1.0, float("nan")]), "no price"),
        (frame([1.0, 2.0]).iloc[::-1], "order the bars"),
    ],
)
def test_what_is_no_frame_of_bars_is_refused(given: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        backtest(Trend(), {"IBM": given})


def test_intraday_frames_of_other_zones_are_bars_too() -> None:
    index = pd.date_range("2024-01-02 09:30", periods=6, freq="5min", tz="America/New_York")
    prices = frame([10.0, 10, 10, 10, 11, 12]).set_index(index)
    played = backtest(Trend(), {"IBM": prices})
    assert played.equity.index[0] == pd.Timestamp("2024-01-02 14:35", tz="UTC")
