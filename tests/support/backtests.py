"""Backtests of the reference data: its bars, the four reference traders, and trades as the reference lists them."""

import csv
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np

from qsuite.domain.backtests.desk import Desk
from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.run import Result, run
from qsuite.domain.backtests.terms import Finish, Terms, open_limits
from qsuite.domain.backtests.traders import Trader
from qsuite.domain.market import Bar
from qsuite.domain.reference import Ticker
from qsuite.domain.times import parse_rfc3339

GOOG = "GOOG"
ALL_OF_IT = Decimal(1) - Decimal(2) ** -52


def ticker(symbol: str, **changed: Any) -> Ticker:
    return Ticker(id=UUID(int=1), symbol=symbol, name=symbol, **({"tick_size": Decimal("0.0001")} | changed))


def bar(number: int, prices: str, volume: int = 1000, symbol: str = "IBM", interval: str = "1d") -> Bar:
    """Make the bar of a day from ``open high low close``."""
    opened, high, low, close = map(Decimal, prices.split())
    return Bar(symbol, interval, (20_000 + number) * 86_400 * 10**9, opened, high, low, close, Decimal(volume))


@cache
def goog_bars(shared_data: Path) -> list[Bar]:
    with (shared_data / "reference/backtestingpy/goog_daily_2004_2013.csv").open() as file:
        return [
            Bar(GOOG, "1d", parse_rfc3339(f"{row['date']}T00:00:00Z"),
                Decimal(row["open"]), Decimal(row["high"]), Decimal(row["low"]), Decimal(row["close"]),
                Decimal(row["volume"]))
            for row in csv.DictReader(file)
        ]  # fmt: skip


def play(trader: Trader, *many: Iterable[Bar], **terms: Any) -> Result:
    bars = [list(each) for each in many]
    tickers = {each[0].symbol: ticker(each[0].symbol) for each in bars}
    given = {"cash": Decimal(10_000), "tickers": tickers, "limits": open_limits(short_sale=True)}
    return run(Terms(**(given | terms)), of_bars(bars), trader)


class Does:
    """Do what a function says at each bar, by its number."""

    def __init__(self, at: Mapping[int, Callable[[Desk], Any]]) -> None:
        self.at = at
        self.seen = 0

    def on_bar(self, desk: Desk) -> None:
        todo = self.at.get(self.seen)
        self.seen += 1
        if todo is not None:
            todo(desk)


# -- the reference traders, as their rules say ---------------------------------------------------------------------


def crossed(closes: Any, fast: int = 10, slow: int = 30) -> int:
    """Return 1 where the fast average crossed above the slow one at the newest close, -1 below, 0 else."""
    if len(closes) <= slow:
        return 0
    now = np.mean(closes[-fast:]) - np.mean(closes[-slow:])
    before = np.mean(closes[-fast - 1 : -1]) - np.mean(closes[-slow - 1 : -1])
    return int(before < 0 < now) - int(now < 0 < before)


class S1:
    """Reverse at each crossing, with all there is."""

    def on_bar(self, desk: Desk) -> None:
        side = crossed(desk.bars(GOOG).closes)
        if side:
            desk.close(GOOG)
            (desk.buy if side > 0 else desk.sell)(GOOG, fraction=ALL_OF_IT)


class S3:
    """A bracket at each crossing above."""

    def on_bar(self, desk: Desk) -> None:
        bars = desk.bars(GOOG)
        if not desk.position(GOOG) and crossed(bars.closes) > 0:
            close = bars[-1].close
            desk.buy(GOOG, 10, stop_loss=close * Decimal("0.97"), take_profit=close * Decimal("1.06"))


class Rhythm:
    """Renew an entry at every 20th decision while flat; leave some bars after it."""

    stays = 10

    def __init__(self) -> None:
        self.entered: int | None = None

    def on_bar(self, desk: Desk) -> None:
        bars = desk.bars(GOOG)
        number = len(bars) - 1
        if not desk.position(GOOG):
            self.entered = None
        elif self.entered is None:
            self.entered = number
            self.protect(desk)
        if self.entered is not None and number >= self.entered + self.stays:
            desk.close(GOOG)
        if number and number % 20 == 0:
            desk.cancel(tag="entry")
            if not desk.position(GOOG):
                self.enter(desk, bars[-1].close)

    def enter(self, desk: Desk, close: Decimal) -> None:
        raise NotImplementedError

    def protect(self, desk: Desk) -> None:
        pass


class S4(Rhythm):
    """Enter at a limit below."""

    def enter(self, desk: Desk, close: Decimal) -> None:
        desk.buy(GOOG, 10, limit=close * Decimal("0.98"), tag="entry")


class S5(Rhythm):
    """Enter at a stop above, with a stop below from the bar after."""

    stays = 15
    stop = Decimal(0)

    def enter(self, desk: Desk, close: Decimal) -> None:
        desk.buy(GOOG, 10, stop=close * Decimal("1.02"), tag="entry")
        self.stop = close * Decimal("0.99")

    def protect(self, desk: Desk) -> None:
        desk.sell(GOOG, 10, stop=self.stop, reduce_only=True)


REFERENCE: dict[str, Callable[[], Trader]] = {
    "S1_sma10_30_reverse": S1,
    "S3_bracket": S3,
    "S4_limit_entry_10bar_exit": S4,
    "S5_stop_entry_sl_15bar_exit": S5,
}


class Listed(NamedTuple):
    """One trade as the reference lists it; prices to a hundred-thousandth, since it computed them in floats."""

    size: int
    entry: str
    exit: str
    entry_price: Decimal
    exit_price: Decimal
    pnl: Decimal


PLACES = Decimal("0.00001")


def listed(shared_data: Path, name: str) -> list[Listed]:
    with (shared_data / "reference/backtests/backtestingpy_goog_trades.csv").open() as file:
        return [
            Listed(int(row["size"]), row["entry_date"], row["exit_date"],
                   *(Decimal(row[each]).quantize(PLACES) for each in ("entry_price", "exit_price", "pnl")))
            for row in csv.DictReader(file) if row["strategy"] == name
        ]  # fmt: skip


@cache
def reference_run(shared_data: Path, name: str) -> Result:
    return play(REFERENCE[name](), goog_bars(shared_data), finish=Finish.LAST_OPEN)
