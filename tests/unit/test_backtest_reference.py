"""Backtests against published ones: trade by trade, and the equity of every day."""

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import pytest

from qsuite.domain.backtests.desk import Desk
from qsuite.domain.backtests.feeds import of_ticks
from qsuite.domain.backtests.run import run
from qsuite.domain.backtests.terms import Terms, open_limits
from qsuite.domain.backtests.trades import trades_of
from qsuite.domain.intervals import MINUTE_NS
from qsuite.domain.market import Trade
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.commands import MarketMoved
from qsuite.domain.trading.order import TimeInForce
from qsuite.services.files import FileOptions, open_market_file
from tests.support.analytics import rows_of
from tests.support.backtests import PLACES, REFERENCE, Listed, listed, reference_run, ticker
from tests.support.trading import Desk as PaperDesk

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


def test_the_accounting_cases_come_out_to_the_last_digit(shared_data: Path) -> None:
    fills = rows_of(shared_data / "reference/portfolio/cash_fills.csv")
    expected = [Decimal(row["equity"]) for row in rows_of(shared_data / "reference/portfolio/cash_equity.csv")]
    prices = [Decimal(row["fill_price"]) for row in fills]
    quantities = [Decimal(row["fill_quantity"]) for row in fills]
    terms = Terms(
        cash=Decimal(100_000),
        tickers={"CASH": ticker("CASH")},
        limits=open_limits(short_sale=True),
    )
    # A minute for each fill: what is asked for at its end meets the next print, at which the account is valued.
    shown = enumerate([Decimal(1), *prices])
    ticks = [Trade("CASH", minute * MINUTE_NS, price, Decimal(0), minute) for minute, price in shown]

    class Fills:
        def __init__(self) -> None:
            self.left = iter(quantities)

        def on_bar(self, desk: Desk) -> None:
            quantity = next(self.left, None)
            if quantity is not None:
                (desk.buy if quantity > 0 else desk.sell)("CASH", abs(quantity))

    result = run(terms, of_ticks(ticks, "1m"), Fills())
    assert [(fill.price, fill.quantity) for fill in result.executions] == [
        (price, abs(quantity)) for price, quantity in zip(prices, quantities, strict=True)
    ]
    assert [mark.equity for mark in result.marks] == expected
    assert len(expected) == 14


def test_on_real_ticks_orders_fill_as_they_do_on_paper(shared_data: Path) -> None:
    file = open_market_file(shared_data / "ticks/ibm_trades_20131007_11.csv.gz", FileOptions(symbol="IBM"))
    rows = (row for chunk in file.chunks() for row in chunk.rows)
    trades = [row for row in islice(rows, 4_000) if isinstance(row, Trade)]
    ticks = [trade._replace(seq=number) for number, trade in enumerate(trades, start=1)]
    minutes = [list(group) for _, group in groupby(ticks, key=lambda tick: tick.ts_ns // MINUTE_NS)]
    asked: list[dict[str, Any]] = [
        {"limit": minute[-1].price - Decimal("0.05"), "quantity": 300} if number % 3 else {"quantity": 200}
        for number, minute in enumerate(minutes)
    ]

    class Asks:
        seen = 0

        def on_bar(self, desk: Desk) -> None:
            want = dict(asked[self.seen])
            desk.buy("IBM", want.pop("quantity"), **want)
            self.seen += 1

    rules = {"participation": Decimal("0.5"), "slippage_bps": (Decimal(2), Decimal(2))}
    tickers = {"IBM": ticker("IBM", tick_size=Decimal("0.01"))}
    terms = Terms(cash=Decimal(10**9), tickers=tickers, **rules)  # type: ignore[arg-type]
    result = run(terms, of_ticks(ticks, "1m"), Asks())

    paper = PaperDesk(cash="1000000000", limits=open_limits(), rules=terms.rules())
    paper.tickers["IBM"] = tickers["IBM"]
    waiting: list[dict[str, Any]] = []
    for want, minute in zip(asked, minutes, strict=True):
        for place, tick in enumerate(minute):
            paper.market["IBM"] = paper.market["IBM"].then(tick)
            paper.send(MarketMoved(ticks=[tick]))
            for each in waiting if place == 0 else ():
                price = each.get("limit")
                paper.place("BUY", each["quantity"], price, time_in_force=TimeInForce.GTC)
        waiting = [want]
    on_paper = paper.state.take_changes().executions
    assert [(fill.price, fill.quantity) for fill in result.executions] == [
        (fill.price, fill.quantity) for fill in on_paper
    ]
    assert len(on_paper) > 50
