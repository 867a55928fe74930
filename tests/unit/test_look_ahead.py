"""No trader knows what has not happened yet, and one that does is found out."""

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from qsuite.domain.analytics.algorithms import ALGORITHMS, Algorithm
from qsuite.domain.analytics.signals import BarSeries, Scored
from qsuite.domain.backtests.desk import Desk
from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.history import History
from qsuite.domain.backtests.look_ahead import Bars, look_ahead, other_future
from qsuite.domain.backtests.run import run
from qsuite.domain.backtests.terms import Terms, open_limits
from qsuite.domain.backtests.traders import AlgorithmTrader, Trader
from qsuite.domain.market import Bar
from qsuite.domain.strategies import Strategy, read_parameters
from tests.support.analytics import after_a_fall
from tests.support.backtests import GOOG, REFERENCE, bar, ticker

D = Decimal
OFTEN: dict[str, dict[str, Any]] = {
    "technical_indicators_v1": {},
    "sma_cross": {"fast": 2, "slow": 5},
    "mean_reversion": {"length": 5},
    "rsi_reversal": {"length": 3},
    "breakout": {"length": 5},
}
"""Parameters with which each algorithm trades often on a hundred and fifty bars."""
TERMS = Terms(cash=D(1_000_000), tickers={GOOG: ticker(GOOG)}, limits=open_limits(short_sale=True))


def walk(count: int = 120) -> list[Bar]:
    """Make bars that wander far enough for every algorithm to trade, some with a burst of volume."""
    drawn = random.Random(5)
    made, price = [], 100.0
    for number in range(count):
        opened, price = price, price * (1 + drawn.gauss(0, 0.03) + 0.02 * np.sin(number / 9))
        high, low = max(opened, price) * 1.01, min(opened, price) * 0.99
        volume = 3000 if drawn.random() < 0.4 else 1000
        made.append(bar(number, " ".join(f"{each:.2f}" for each in (opened, high, low, price)), volume, symbol=GOOG))
    return made


def fallen() -> list[Bar]:
    """Make the one kind of bars on which the standard algorithm is sure enough to buy: at the last but three."""
    series = after_a_fall()
    figures = zip([*series.closes, 100.6, 100.6, 100.6], [*series.volumes, 1000, 1000, 1000], strict=True)
    return [
        bar(number, " ".join([f"{close:.2f}"] * 4), int(volume), symbol=GOOG)
        for number, (close, volume) in enumerate(figures)
    ]


BARS = {GOOG: walk()}
BARS_OF = dict.fromkeys(ALGORITHMS, BARS) | {"technical_indicators_v1": {GOOG: fallen()}}


def follows(algorithm: str, own: dict[str, Any]) -> Callable[[Bars | None], Trader]:
    strategy = Strategy(
        id=UUID(int=1), name="", account=UUID(int=2), created_by=UUID(int=3), risk_limit=D(10_000_000),
        algorithm=algorithm, symbols=(GOOG,), parameters=own | {"quantity": D(10), "allow_short": True},
    )  # fmt: skip
    return lambda bars: AlgorithmTrader(strategy, bars)


class OneBarAhead:
    """A leak: show a trader a desk whose bars end one bar later."""

    def __init__(self, trader: Trader, bars: Bars) -> None:
        self.trader, self.future = trader, bars

    def on_bar(self, desk: Desk) -> None:
        known = len(desk.bars(GOOG))
        ahead = History()
        for each in self.future[GOOG][: known + 1]:
            ahead.add(each)
        self.trader.on_bar(_Peeking(desk, ahead))  # type: ignore[arg-type]


class _Peeking:
    def __init__(self, desk: Desk, ahead: History) -> None:
        self._desk, self._ahead = desk, ahead

    def bars(self, symbol: str) -> History:
        return self._ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk, name)


def test_every_algorithm_is_tried() -> None:
    assert OFTEN.keys() == ALGORITHMS.keys()
    assert all(read_parameters(name, own) == own for name, own in OFTEN.items())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_algorithm_knows_the_future_and_a_planted_leak_of_each_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ALGORITHMS[name]

    def early(bars: BarSeries, own: Any) -> Scored:
        scored = honest.score(bars, own)
        return Scored(np.roll(scored.scores, -1), scored.features)

    assert look_ahead(TERMS, BARS_OF[name], follows(name, OFTEN[name]), cuts=6) is None
    monkeypatch.setitem(ALGORITHMS, name, replace(honest, score=early))  # type: ignore[arg-type]
    leak = look_ahead(TERMS, BARS_OF[name], follows(name, OFTEN[name]), cuts=6)
    assert leak is not None
    assert leak.as_it_came != leak.otherwise


@pytest.mark.parametrize("name", REFERENCE)
def test_no_reference_trader_knows_the_future_and_a_planted_leak_of_each_is_found(name: str) -> None:
    make = REFERENCE[name]
    assert look_ahead(TERMS, BARS, lambda bars: make(), cuts=5) is None
    assert look_ahead(TERMS, BARS, lambda bars: OneBarAhead(make(), bars), cuts=5) is not None


def test_a_leak_through_the_mean_of_all_that_will_be_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(bars: BarSeries, own: Any) -> Scored:
        return Scored(np.where(bars.closes < np.mean(bars.closes), 100, -100), {})

    monkeypatch.setitem(ALGORITHMS, "mean", Algorithm("mean", score, lambda own: 1))  # type: ignore[arg-type]
    assert look_ahead(TERMS, BARS, follows("mean", {}), cuts=3) is not None


def test_an_algorithm_advises_the_same_whether_it_is_given_all_bars_or_those_up_to_now() -> None:
    for name, own in OFTEN.items():
        bars = BARS_OF[name]
        make = follows(name, own)
        all_at_once = asks_of(make(bars), bars)
        assert all_at_once == asks_of(make(None), bars)
        assert len(all_at_once) >= (1 if name == "technical_indicators_v1" else 5), name


def test_the_other_future_keeps_the_past_and_turns_what_follows() -> None:
    bars = [bar(0, "10 12 8 10"), bar(1, "10 20 5 12.5")]
    kept, turned = other_future(bars, bars[0].ts_ns, D("0.01"))
    assert kept == bars[0]
    # It rose, so all is half: half of 10 x 10 / 5, of 10 x 10 / 20, of 10 x 10 / 12.5. The low becomes the high.
    assert turned[3:7] == (D(5), D(10), D("2.5"), D(4))


def test_a_desk_holds_nothing_of_the_future_that_could_be_dug_out() -> None:
    class Digs:
        def on_bar(self, desk: Desk) -> None:
            bars = desk.bars(GOOG)
            with pytest.raises(IndexError):
                bars[len(bars)]
            for shown in (bars.opens, bars.highs, bars.lows, bars.closes, bars.volumes):
                assert len(shown) == len(bars)
                assert np.isnan(np.ravel(whole(shown))).sum() % (whole(shown).shape[-1] - len(bars)) == 0
                with pytest.raises(ValueError, match="read-only"):
                    shown[0] = 1.0
            assert not whole(bars.ts_ns)[len(bars) :].any()

    def whole(shown: Any) -> Any:
        return shown if shown.base is None else whole(shown.base)

    assert look_ahead(TERMS, BARS, lambda bars: Digs(), cuts=1) is None


def asks_of(trader: Trader, bars: Bars) -> list[tuple[int, Any]]:
    return [(ask.decided_at, ask.size) for ask in run(TERMS, of_bars(bars.values()), trader).asked]
