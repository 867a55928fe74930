"""A sweep does to every set what the event-driven run does with its parameters: the same fills, equity and figures."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsuite.domain.backtests.panel import candles_of, panel_of
from qsuite.domain.backtests.sweep import SweepRun, sweep
from qsuite.domain.backtests.swept_costs import slipped
from qsuite.domain.backtests.terms import FREE, Finish, open_limits
from qsuite.domain.errors import Invalid
from qsuite.domain.market import Bar
from qsuite.domain.trading.commission import Commission
from qsuite.domain.trading.paper.basis import slipped as one_slipped
from tests.support.sweeps import (
    A_CENT_AT_LEAST_ONE,
    TENTH_OF_A_PERCENT,
    TIERS,
    assert_the_same,
    made_up,
    terms_for,
)

CROSSES = [{"fast": fast, "slow": slow} for fast, slow in ((3, 9), (5, 20), (10, 30))]
WHOLE_EQUITY = {"equity_fraction": Decimal(1)}


@pytest.mark.parametrize(
    "sized",
    [
        WHOLE_EQUITY,
        {"equity_fraction": Decimal("0.35"), "allow_short": True},
        {"equity_fraction": Decimal("0.8"), "allow_short": True},
        {"quantity": Decimal(700)},
        {"quantity": Decimal(1500), "allow_short": True},
        {"order_value": Decimal(40_000)},
        {},
    ],
    ids=str,
)
def test_crossovers_come_to_the_same_however_they_are_sized(sized: dict[str, Any]) -> None:
    bars = made_up(5)
    terms = terms_for(bars, commission=TENTH_OF_A_PERCENT, slippage_bps=(Decimal("2.5"), Decimal("2.5")))
    assert assert_the_same("sma_cross", bars, terms, [each | sized for each in CROSSES]) >= 20


def test_without_costs_they_come_to_the_same_as_well() -> None:
    bars = made_up(8)
    sets = [CROSSES[0] | WHOLE_EQUITY, CROSSES[0] | WHOLE_EQUITY | {"allow_short": True}]
    sets += [CROSSES[0] | {"quantity": Decimal(1000), "allow_short": True}]
    assert assert_the_same("sma_cross", bars, terms_for(bars), sets) >= 20


@pytest.mark.parametrize(
    ("algorithm", "sets"),
    [
        ("mean_reversion", [{"length": 10, "band_percent": 2.0}, {"length": 20, "band_percent": 3.5}]),
        ("rsi_reversal", [{"length": 5}, {"length": 14, "low": 40.0, "high": 60.0}]),
        ("breakout", [{"length": 5}, {"length": 20}]),
        ("technical_indicators_v1", [{}]),
    ],
)
@pytest.mark.parametrize(
    "sized", [{"equity_fraction": Decimal("0.5")}, {"quantity": Decimal(300), "allow_short": True}]
)
def test_every_algorithm_comes_to_the_same(algorithm: str, sets: list[dict[str, Any]], sized: dict[str, Any]) -> None:
    bars = made_up(6)
    terms = terms_for(bars, commission=A_CENT_AT_LEAST_ONE, slippage_bps=(Decimal(1), Decimal(1)))
    assert_the_same(algorithm, bars, terms, [each | sized for each in sets])


@pytest.mark.parametrize("finish", Finish)
@pytest.mark.parametrize("commission", [FREE, TIERS])
def test_several_symbols_share_one_account(finish: Finish, commission: Commission) -> None:
    bars = made_up(7, 120, ("A", "B", "C"))
    terms = terms_for(
        bars, commission=commission, finish=finish, lot_size=Decimal("0.1"), slippage_bps=(Decimal(3), Decimal(3))
    )
    sets = [
        {"fast": 3, "slow": 9, "equity_fraction": Decimal("0.4")},
        {"fast": 4, "slow": 11, "equity_fraction": Decimal("0.6"), "allow_short": True},
        {"fast": 3, "slow": 8},
        {"fast": 4, "slow": 10, "allow_short": True},
    ]
    assert assert_the_same("sma_cross", bars, terms, sets) > 50


def test_crossovers_on_real_prices_come_to_the_same(shared_data: Path) -> None:
    with (shared_data / "reference" / "backtestingpy" / "goog_daily_2004_2013.csv").open() as file:
        bars = {"GOOG": [_bar(row) for row in csv.DictReader(file)]}
    terms = terms_for(bars, cash=Decimal(10_000), commission=TENTH_OF_A_PERCENT)
    sets = [
        {"fast": 10, "slow": 30} | WHOLE_EQUITY,
        {"fast": 10, "slow": 20, "quantity": Decimal(7), "allow_short": True},
    ]
    assert assert_the_same("sma_cross", bars, terms, sets) > 120


def _bar(row: Mapping[str, str]) -> Bar:
    start = int(datetime.fromisoformat(row["date"]).replace(tzinfo=UTC).timestamp()) * 10**9
    prices = [Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")]
    return Bar("GOOG", "1d", start, *prices)


def test_what_only_an_event_driven_run_can_do_is_refused() -> None:
    bars = made_up(1, 60)
    panel = panel_of("1d", {symbol: candles_of(own) for symbol, own in bars.items()})
    terms = terms_for(
        bars,
        participation=Decimal("0.1"),
        slippage_bps=(Decimal(0), Decimal(5)),
        limits=replace(open_limits(), max_quantity=Decimal(5)),
    )
    with pytest.raises(Invalid) as refused:
        sweep(SweepRun(algorithm="sma_cross", panel=panel, terms=terms), CROSSES)
    assert set(refused.value.errors) == {"participation", "slippage_bps", "limits"}


@pytest.mark.parametrize("tick", ["0.0001", "0.01", "0.25", "1"])
@pytest.mark.parametrize("bps", ["0", "2.5", "7", "100"])
def test_prices_slip_to_the_very_tick_that_one_orders_does(tick: str, bps: str) -> None:
    step, share = Decimal(tick), Decimal(bps)
    # Of the first, 1.00025 times are a quarter of a thousandth of a tick beyond a whole one.
    chosen = [Decimal("2670.4001"), *(number * step for number in (1, 2, 39_999, 40_000, 26_704_001))]
    for buy in (True, False):
        found = slipped(np.array([float(price) for price in chosen]), share, step, buy=buy)
        assert [Decimal(repr(each)) for each in found.tolist()] == [
            one_slipped(each, share, step, buy=buy) for each in chosen
        ]
