"""The page of a stored backtest: what is kept of it, and the prices it was played on, where they are few enough.

A chart of prices is of one symbol. Holding several is a figure among the others, not a line.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from qsuite.domain.backtests.plan import Source
from qsuite.domain.backtests.record import Backtest
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import bar_end
from qsuite.domain.market import Bar
from qsuite.domain.times import format_rfc3339
from qsuite.repos.database import Database
from qsuite.services.backtest_report import html_report
from qsuite.services.backtest_runs import bars_of
from qsuite.services.backtests import show_backtest

MOST_BARS = 20_000
"""Prices of longer backtests are not read for a picture that has some 900 points across."""

Rows = Sequence[Mapping[str, Any]]


class BacktestPages:
    """Make pages of backtests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, backtest: Backtest) -> str:
        """Return the page. Without prices where there are none any more."""
        bars = await self._bars(backtest)
        return await asyncio.to_thread(_page, backtest, bars)

    async def _bars(self, backtest: Backtest) -> Sequence[Bar]:
        plan = backtest.plan
        if len(plan.symbols) != 1 or plan.source is not Source.BARS or backtest.bars > MOST_BARS:
            return ()
        try:
            return (await bars_of(self._database, plan, lambda part: None))[plan.symbols[0]]
        except Invalid:  # they were deleted since
            return ()


def _page(backtest: Backtest, bars: Sequence[Bar]) -> str:
    return html_report(show_backtest(backtest), benchmark=_held(backtest, bars), prices=_closes(bars))


def _closes(bars: Sequence[Bar]) -> Rows:
    return [{"ts": format_rfc3339(bar_end(bar.ts_ns, bar.interval)), "close": bar.close} for bar in bars]


def _held(backtest: Backtest, bars: Sequence[Bar]) -> Rows:
    if not bars:
        return ()
    shares = backtest.plan.initial_cash / bars[0].close
    return [{"ts": row["ts"], "equity": shares * row["close"]} for row in _closes(bars)]
