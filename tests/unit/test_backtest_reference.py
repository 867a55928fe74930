"""Backtests against published ones: trade by trade, and the equity of every day."""

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from qsuite.domain.backtests.trades import trades_of
from qsuite.domain.times import NS_PER_S
from tests.support.backtests import PLACES, REFERENCE, Listed, listed, reference_run

CENT = Decimal("0.01")


def day_of(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // NS_PER_S, UTC).date().isoformat()


@pytest.mark.parametrize(("name", "count"), list(zip(REFERENCE, (66, 33, 63, 77), strict=True)))
def test_the_reference_traders_trade_exactly_as_listed(shared_data: Path, name: str, count: int) -> None:
    result = reference_run(shared_data, name)
    found = [
        Listed(
            int(trade.quantity if trade.side == "BUY" else -trade.quantity),
            day_of(trade.entry_ts),
            day_of(trade.exit_ts),
            trade.entry_price.quantize(PLACES),
            trade.exit_price.quantize(PLACES),
            trade.pnl.quantize(PLACES),
        )
        for trade in trades_of(result.executions).closed
    ]
    assert len(found) == count
    assert found == listed(shared_data, name)
    assert not result.refused
    assert not result.positions


@pytest.mark.parametrize("name", REFERENCE)
def test_the_equity_of_every_day_is_the_published_one_to_the_cent(shared_data: Path, name: str) -> None:
    with gzip.open(shared_data / "reference/backtests/backtestingpy_goog_equity.csv.gz", "rt") as file:
        published = {row["date"][:10]: row["equity"] for row in csv.DictReader(file) if row["strategy"] == name}
    marks = reference_run(shared_data, name).marks
    days = {day_of(mark.ts_ns - 1): mark.equity.quantize(CENT) for mark in marks}
    assert days == {day: Decimal(equity).quantize(CENT) for day, equity in published.items()}
    assert len(days) == 2148


def test_the_first_one_ends_with_the_published_equity(shared_data: Path) -> None:
    assert reference_run(shared_data, "S1_sma10_30_reverse").marks[-1].equity == Decimal("51422.99")
