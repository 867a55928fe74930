"""The figures of a backtest: against published statistics, an independent library's numbers, and hand arithmetic."""

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.backtests.figures import (
    Traded,
    buy_and_hold,
    curve_figures,
    drawdown_of,
    exposure,
    figures,
    pace,
)
from qsuite.domain.backtests.trades import Trades, trades_of
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.order import Side

HOUR_NS = DAY_NS // 24
CURVE = np.array([100.0, 110.0, 99.0, 108.9, 121.0, 115.0])


@dataclass(frozen=True)
class Fill:
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    execution_time: int


def fill(side: Side, quantity: str, price: str, commission: str = "0", day: int = 0, symbol: str = "GOOG") -> Fill:
    return Fill(symbol, side, Decimal(quantity), Decimal(price), Decimal(commission), day * DAY_NS)


def day_of(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def reference(shared_data: Path, name: str, strategy: str) -> list[dict[str, str]]:
    path = shared_data / "reference" / "backtests" / name
    with gzip.open(path, "rt") if name.endswith(".gz") else path.open() as file:
        return [row for row in csv.DictReader(file) if row["strategy"].startswith(strategy)]


def fills_of(rows: list[dict[str, str]]) -> Iterator[Fill]:
    """Return the fills behind trades that follow one another; what leaves one and enters the next is one fill."""
    turned = Decimal(0)
    for row, after in zip(rows, [*rows[1:], rows[-1]], strict=True):
        size = Decimal(row["size"])
        yield _signed(size + turned, row["entry_price"], row["entry_date"])
        together = (after["entry_date"], after["entry_price"]) == (row["exit_date"], row["exit_price"])
        turned = -size if together and size * Decimal(after["size"]) < 0 else Decimal(0)
        if not turned:
            yield _signed(-size, row["exit_price"], row["exit_date"])


def _signed(amount: Decimal, price: str, when: str) -> Fill:
    side = Side.BUY if amount > 0 else Side.SELL
    return Fill("GOOG", side, abs(amount), Decimal(price), Decimal(0), day_of(when))


# -- trades -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strategy", "count"), [("S1", 66), ("S3", 33), ("S4", 63), ("S5", 77)])
def test_fills_of_the_reference_backtests_give_their_trades(shared_data: Path, strategy: str, count: int) -> None:
    rows = reference(shared_data, "backtestingpy_goog_trades.csv", strategy)
    closed = trades_of(fills_of(rows)).closed
    assert len(closed) == len(rows) == count
    for trade, row in zip(closed, rows, strict=True):
        size = Decimal(row["size"])
        assert trade.quantity == abs(size)
        assert trade.side is (Side.BUY if size > 0 else Side.SELL)
        assert (trade.entry_ts, trade.exit_ts) == (day_of(row["entry_date"]), day_of(row["exit_date"]))
        assert (trade.entry_price, trade.exit_price) == (Decimal(row["entry_price"]), Decimal(row["exit_price"]))
        assert float(trade.pnl) == pytest.approx(float(row["pnl"]), abs=1e-9)


def test_a_fill_that_turns_a_position_over_shares_its_commission_by_quantity() -> None:
    closed, still = trades_of([fill(Side.BUY, "10", "100", "1"), fill(Side.SELL, "15", "110", "3", day=1)])
    assert [(each.pnl, each.commission, each.quantity) for each in closed] == [(Decimal(97), Decimal(3), Decimal(10))]
    assert [(each.side, each.held, each.entry_price, each.commission) for each in still] == [
        (Side.SELL, Decimal(-5), Decimal(110), Decimal(1))
    ]
    # 10 x 100 and 1 went out, 15 x 110 less 3 came in.
    assert closed[0].pnl + still[0].cash == Decimal(-1001) + Decimal(1647)


def test_entries_and_exits_in_parts_are_one_trade_at_mean_prices() -> None:
    fills = [
        fill(Side.BUY, "10", "100"),
        fill(Side.BUY, "30", "104", day=1),
        fill(Side.SELL, "20", "110", day=2),
        fill(Side.SELL, "20", "100", day=3),
    ]
    (trade,) = trades_of(fills).closed
    assert (trade.quantity, trade.entry_price, trade.exit_price) == (Decimal(40), Decimal(103), Decimal(105))
    assert trade.pnl == Decimal(80)
    assert (trade.entry_ts, trade.exit_ts) == (0, 3 * DAY_NS)


def test_symbols_are_traded_apart() -> None:
    fills = [fill(Side.BUY, "1", "10"), fill(Side.SELL, "1", "11", symbol="IBM"), fill(Side.SELL, "1", "12", day=1)]
    closed, still = trades_of(fills)
    assert [each.symbol for each in closed] == ["GOOG"]
    assert [each.symbol for each in still] == ["IBM"]


# -- the curve --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "IBM", "MSFT"])
def test_a_real_curve_has_the_figures_that_empyrical_gives_it(shared_data: Path, symbol: str) -> None:
    with (shared_data / "reference" / "risk" / "empyrical_metrics.csv").open() as file:
        wanted = {row["metric"]: row["value"] for row in csv.DictReader(file) if row["symbol"] == symbol}
    with gzip.open(shared_data / "daily" / "us_equities_wiki_daily.csv.gz", "rt") as file:
        closes = np.array([float(row["adj_close"]) for row in csv.DictReader(file) if row["symbol"] == symbol])
    assert len(closes) - 1 == int(wanted["n_returns"])
    found = curve_figures(closes, 252.0)
    for ours, theirs in (
        ("total_return", "cum_return_final"),
        ("cagr", "annual_return"),
        ("volatility", "annual_volatility"),
        ("sharpe_ratio", "sharpe_ratio_rf0"),
        ("sortino_ratio", "sortino_ratio_mar0"),
        ("calmar_ratio", "calmar_ratio"),
    ):
        assert getattr(found, ours) == pytest.approx(float(wanted[theirs]), rel=1e-9), ours
    # There the moments are those of a sample.
    count = len(closes) - 1
    assert found.skewness is not None
    assert found.kurtosis is not None
    skewness = found.skewness * (count * (count - 1)) ** 0.5 / (count - 2)
    excess = ((count + 1) * (found.kurtosis - 3) + 6) * (count - 1) / ((count - 2) * (count - 3))
    assert skewness == pytest.approx(float(wanted["skew_population"]), rel=1e-9)
    assert excess == pytest.approx(float(wanted["kurtosis_excess_sample"]), rel=1e-9)
    drawdown = drawdown_of(np.arange(len(closes)), closes)
    assert drawdown is not None
    assert drawdown.depth == pytest.approx(float(wanted["max_drawdown"]), rel=1e-9)


@pytest.mark.parametrize("strategy", ["S1", "S3", "S4", "S5"])
def test_a_reference_backtest_has_its_published_statistics(shared_data: Path, strategy: str) -> None:
    published = {
        row["statistic"]: row["value"] for row in reference(shared_data, "backtestingpy_goog_stats.csv", strategy)
    }
    rows = reference(shared_data, "backtestingpy_goog_equity.csv.gz", strategy)
    starts = np.array([day_of(row["date"]) for row in rows])
    trades = trades_of(fills_of(reference(shared_data, "backtestingpy_goog_trades.csv", strategy)))
    found = figures(
        ends_ns=starts + DAY_NS,
        equity=np.array([float(row["equity"]) for row in rows]),
        trades=trades,
        traded=Traded(),
        interval="1d",
    )
    for ours, theirs in (
        (found.total_return, "Return [%]"),
        (found.cagr, "Return (Ann.) [%]"),
        (found.max_drawdown, "Max. Drawdown [%]"),
        (found.win_rate, "Win Rate [%]"),
        (found.exposure, "Exposure Time [%]"),
    ):
        assert ours == pytest.approx(float(published[theirs]) / 100, rel=1e-9), theirs
    assert found.calmar_ratio == pytest.approx(float(published["Calmar Ratio"]), rel=1e-9)
    assert found.total_trades == int(published["# Trades"])
    assert found.longest_drawdown_days == int(published["Max. Drawdown Duration"].split()[0])


def test_figures_of_a_short_curve_are_those_reckoned_by_hand() -> None:
    # Down 10 % from 110, back on the fourth day after it; then 115 of 121.
    ends = np.arange(1, 7) * DAY_NS
    drawdown = drawdown_of(ends, CURVE)
    assert drawdown is not None
    assert drawdown.depth == pytest.approx(-0.1)
    assert drawdown.days == drawdown.longest_days == 3.0
    found = curve_figures(CURVE, 252.0)
    returns = [0.1, -0.1, 0.1, 121 / 108.9 - 1, 115 / 121 - 1]
    mean = sum(returns) / 5
    deviation = (sum((each - mean) ** 2 for each in returns) / 4) ** 0.5
    assert found.total_return == pytest.approx(0.15)
    assert found.sharpe_ratio == pytest.approx(mean / deviation * 252**0.5)
    assert found.sortino_ratio == pytest.approx(mean * 252**0.5 / ((0.1**2 + (6 / 121) ** 2) / 5) ** 0.5)


def test_a_drawdown_still_open_lasts_to_the_end() -> None:
    drawdown = drawdown_of(np.arange(4) * DAY_NS, np.array([10.0, 8.0, 9.0, 9.5]))
    assert drawdown is not None
    assert drawdown.depth == pytest.approx(-0.2)
    assert drawdown.days == 3.0


# -- what nothing was measured of -------------------------------------------------------------------------------------


@pytest.mark.parametrize("equity", [[], [100.0], [100.0, 100.0, 100.0], [100.0, 0.0, 0.0], [100.0, -5.0, 10.0]])
def test_what_nothing_was_measured_of_is_none_and_nothing_is_infinite(equity: list[float]) -> None:
    found = figures(
        ends_ns=np.arange(1, len(equity) + 1) * DAY_NS,
        equity=np.array(equity),
        trades=Trades((), ()),
        traded=Traded(),
        interval="1d",
        benchmark=np.array(equity),
    )
    for each in fields(found):
        value = getattr(found, each.name)
        assert value is None or np.isfinite(float(value)), each.name
    assert found.sharpe_ratio is None
    assert found.win_rate is None
    assert found.profit_factor is None


def test_trades_that_never_lost_have_no_profit_factor() -> None:
    trades = trades_of([fill(Side.BUY, "1", "10"), fill(Side.SELL, "1", "12", day=1)])
    ends = np.arange(1, 4) * DAY_NS
    found = figures(
        ends_ns=ends,
        equity=np.array([10.0, 12.0, 12.0]),
        trades=trades,
        traded=Traded(Decimal(22), Decimal("0.5"), Decimal("0.25")),
        interval="1d",
    )
    assert (found.win_rate, found.profit_factor, found.costs) == (1.0, None, Decimal("0.75"))
    assert found.turnover == pytest.approx(22 / (34 / 3))


# -- time -------------------------------------------------------------------------------------------------------------


def test_exposure_counts_the_bars_in_which_anything_was_held() -> None:
    ends = np.arange(1, 11) * DAY_NS
    # From the third bar's open to the fifth's, and from the ninth's on.
    trades = trades_of(
        [fill(Side.BUY, "1", "10", day=2), fill(Side.SELL, "1", "10", day=4), fill(Side.SELL, "1", "10", day=8)]
    )
    assert exposure(ends, trades) == pytest.approx(5 / 10)


def weekdays(count: int) -> list[int]:
    return [day for day in range(4, 4 + 2 * count) if day % 7 not in (2, 3)][:count]


def test_a_year_has_as_many_bars_as_its_market_trades() -> None:
    days = np.array(weekdays(200)) * DAY_NS
    every_day = np.arange(200) * DAY_NS
    session = np.array([day + DAY_NS // 2 + bar * 60 * 10**9 for day in days[:20] for bar in range(1, 391)])
    assert pace(days + DAY_NS, "1d") == 252.0
    assert pace(every_day + DAY_NS, "1d") == 365.0
    assert pace(session, "1m") == 252.0 * 390
    assert pace(np.arange(1, 24 * 70 + 1) * HOUR_NS, "1h") == pytest.approx(365.0 * 24)
    assert pace(every_day, "1w") == 52.0
    assert pace(every_day, "1mo") == 12.0


def test_buy_and_hold_gives_each_symbol_an_equal_share() -> None:
    curve = buy_and_hold([np.array([10.0, 20.0]), np.array([50.0, 25.0])])
    assert curve.tolist() == [1.0, 1.25]
