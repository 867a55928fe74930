"""A sweep beside the event-driven run of each of its sets: bars to trade on, and the comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.figures import Figures, Traded, figures
from qsuite.domain.backtests.panel import candles_of, panel_of
from qsuite.domain.backtests.plan import sized
from qsuite.domain.backtests.run import Result, run
from qsuite.domain.backtests.sweep import SweepRun, Swept, equity_of, sweep
from qsuite.domain.backtests.terms import Terms, open_limits
from qsuite.domain.backtests.traders import AlgorithmTrader
from qsuite.domain.backtests.trades import trades_of
from qsuite.domain.market import Bar
from qsuite.domain.reference import Ticker
from qsuite.domain.strategies import Strategy
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.commission import Commission, Model, Tier

CASH = Decimal(100_000)
TENTH_OF_A_PERCENT = Commission(model=Model.PERCENT, percent=Decimal("0.1"))
A_CENT_AT_LEAST_ONE = Commission(per_share=Decimal("0.01"), minimum=Decimal(1), maximum=Decimal(30))
TIERS = Commission(model=Model.TIERED, tiers=(Tier(Decimal(100), Decimal("0.02")), Tier(None, Decimal("0.005"))))
Bars = Mapping[str, Sequence[Bar]]


def made_up(seed: int, count: int = 200, symbols: Sequence[str] = ("X",)) -> dict[str, list[Bar]]:
    """Return daily bars of a random walk in cents; of several symbols each lacks a few days."""
    chance = np.random.default_rng(seed)
    return {symbol: _walk(chance, symbol, count, gaps=len(symbols) > 1) for symbol in symbols}


def _walk(chance: np.random.Generator, symbol: str, count: int, *, gaps: bool) -> list[Bar]:
    closes = np.round(60 * np.exp(np.cumsum(chance.normal(0, 0.02, count))), 2)
    opens = np.round(np.roll(closes, 1) * np.exp(chance.normal(0, 0.01, count)), 2)
    bars = []
    for day in range(count):
        if gaps and chance.random() < 0.1:
            continue
        inner = sorted((float(opens[day]), float(closes[day])))
        low, high = round(inner[0] * 0.99, 2), round(inner[1] * 1.01, 2)
        prices = [Decimal(repr(round(float(each), 2))) for each in (opens[day], high, low, closes[day])]
        volume = Decimal(int(chance.integers(1_000, 9_000)))
        bars.append(Bar(symbol, "1d", day * DAY_NS, *prices, volume))
    return bars


def terms_for(bars: Bars, **given: Any) -> Terms:
    lots = given.pop("lot_size", Decimal(1))
    tickers = {
        symbol: Ticker(id=UUID(int=number), symbol=symbol, name=symbol, lot_size=lots)
        for number, symbol in enumerate(bars)
    }
    return Terms(**{"cash": CASH, "tickers": tickers} | given)


def event_driven(algorithm: str, bars: Bars, terms: Terms, parameters: Mapping[str, Any]) -> Result:
    strategy = Strategy(
        id=UUID(int=1),
        name="sweep",
        account=UUID(int=2),
        created_by=UUID(int=3),
        risk_limit=CASH,
        algorithm=algorithm,
        symbols=tuple(bars),
        parameters=sized(parameters, tuple(bars)),
    )
    terms = replace(terms, limits=open_limits(short_sale=bool(parameters.get("allow_short"))))
    return run(terms, of_bars(bars.values()), AlgorithmTrader(strategy, bars))


def figures_of(result: Result) -> Figures:
    fills = result.executions
    return figures(
        ends_ns=np.array([mark.ts_ns for mark in result.marks]),
        equity=np.array([float(mark.equity) for mark in result.marks]),
        trades=trades_of(fills),
        traded=Traded(
            sum((each.quantity * each.price for each in fills), Decimal(0)),
            sum((each.commission for each in fills), Decimal(0)),
            sum((abs(each.price - each.basis["price"]) * each.quantity for each in fills), Decimal(0)),
        ),
        interval="1d",
    )


def assert_the_same(algorithm: str, bars: Bars, terms: Terms, sets: Sequence[Mapping[str, Any]]) -> int:
    """Compare each set with its own event-driven run; return how many fills that were."""
    panel = panel_of("1d", {symbol: candles_of(own) for symbol, own in bars.items()})
    swept = SweepRun(algorithm=algorithm, panel=panel, terms=terms)
    count = 0
    for parameters, row in zip(sets, sweep(swept, sets), strict=True):
        result = event_driven(algorithm, bars, terms, parameters)
        equity = equity_of(swept, parameters)
        for mark, ours in zip(result.marks, equity.tolist(), strict=True):
            assert ours == pytest.approx(float(mark.equity), abs=1e-6), (parameters, mark.ts_ns)
        _assert_same_figures(row, figures_of(result), parameters)
        count += len(result.executions)
    return count


def _assert_same_figures(row: Swept, wanted: Figures, parameters: Mapping[str, Any]) -> None:
    for each in fields(row):
        ours, theirs = getattr(row, each.name), getattr(wanted, each.name)
        if theirs is None:
            assert ours is None, (parameters, each.name)
        else:
            assert ours == pytest.approx(float(theirs), rel=1e-8, abs=1e-8), (parameters, each.name)
