"""The page of a backtest: of a stored one with the prices it was played on, where they are few enough, or of a run.

A chart of prices is of one symbol. Holding several is a figure among the others, not a line.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from qsuite.domain.backtests.outcome import held
from qsuite.domain.backtests.plan import NOBODY, Plan, Source
from qsuite.domain.backtests.record import Backtest, record_of
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import bar_end
from qsuite.domain.market import Bar
from qsuite.domain.money import ZERO
from qsuite.domain.times import format_rfc3339
from qsuite.repos.database import Database
from qsuite.services.backtest_report import html_report
from qsuite.services.backtest_runs import Ran, bars_of
from qsuite.services.backtests import show_backtest

MOST_BARS = 20_000
"""Prices of longer backtests are not read for a picture that has some 900 points across."""

Points = Sequence[tuple[int, Decimal]]
"""Instants and what something was worth then."""


class BacktestPages:
    """Make pages of backtests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, backtest: Backtest) -> str:
        """Return the page. Without prices where there are none any more."""
        bars = await self._bars(backtest)
        return await asyncio.to_thread(_page_of_stored, backtest, bars)

    async def _bars(self, backtest: Backtest) -> Sequence[Bar]:
        plan = backtest.plan
        if len(plan.symbols) != 1 or plan.source is not Source.BARS or backtest.bars > MOST_BARS:
            return ()
        try:
            return (await bars_of(self._database, plan, lambda part: None))[plan.symbols[0]]
        except Invalid:  # they were deleted since
            return ()


def page_of_run(plan: Plan, ran: Ran) -> str:
    """Return the page of a run that is not kept, beside holding all its symbols."""
    record = record_of(NOBODY, NOBODY, plan, ran.result, ran.outcome, 0)
    instants = [mark.ts_ns for mark in ran.result.marks]
    curve = held(ran.result)
    worth = [] if curve is None else [plan.initial_cash * Decimal(str(each)) for each in curve.tolist()]
    closes = ran.result.closes[plan.symbols[0]] if len(plan.symbols) == 1 else ()
    known = [(ts, close) for ts, close in zip(instants, closes, strict=False) if close]
    return _page(record, list(zip(instants, worth, strict=False)), known)


def _page_of_stored(backtest: Backtest, bars: Sequence[Bar]) -> str:
    closes = [(bar_end(bar.ts_ns, bar.interval), bar.close) for bar in bars]
    shares = backtest.plan.initial_cash / bars[0].close if bars else ZERO
    return _page(backtest, [(ts, shares * close) for ts, close in closes], closes)


def _page(backtest: Backtest, worth: Points, closes: Points) -> str:
    return html_report(
        show_backtest(backtest),
        benchmark=[{"ts": format_rfc3339(ts), "equity": equity} for ts, equity in worth],
        prices=[{"ts": format_rfc3339(ts), "close": close} for ts, close in closes],
    )
