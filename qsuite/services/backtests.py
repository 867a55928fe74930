"""Backtests as people ask for them and see them.

    asked ──plan──> job ──> worker process ──> backtests (stored) ──> GET backtests/{id}/

What a request leaves open is settled here, by how this server trades on paper, so that the plan says all there is to
know: the commission, each ticker's own one, and the slippage.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.backtests.plan import Plan, Source
from qsuite.domain.backtests.record import Backtest
from qsuite.domain.backtests.terms import Finish
from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.jobs import Job
from qsuite.domain.listing import Listing, Page
from qsuite.domain.money import ZERO, show, show_all
from qsuite.domain.reference import Ticker
from qsuite.domain.roles import Caller
from qsuite.domain.strategies import read_parameters
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.commission import commission_from
from qsuite.domain.trading.paper import FillRules
from qsuite.repos.backtests import BacktestsRepo
from qsuite.services.jobs import JobService

KIND = "backtest"
CASH = Decimal(100_000)
MOST_BPS = 1_000

Shown = dict[str, Any]


class BacktestService:
    """Have backtests run, and show them. ``ticker`` finds one by its symbol."""

    def __init__(
        self,
        *,
        repo: BacktestsRepo,
        jobs: JobService,
        ticker: Callable[[str], Ticker | None],
        rules: FillRules,
    ) -> None:
        self._repo = repo
        self._jobs = jobs
        self._ticker = ticker
        self._rules = rules

    async def submit(self, caller: Caller, asked: Mapping[str, Any]) -> Job:
        """Queue a backtest. Invalid names fields that are wrong; TooMany when the queue is full."""
        return await self._jobs.submit(caller, KIND, self.plan(asked).plain())

    def plan(self, asked: Mapping[str, Any]) -> Plan:
        """Return the plan of what was asked. Invalid names fields that are wrong."""
        return make_plan(asked, self._ticker, self._rules)

    async def get(self, caller: Caller, identity: UUID) -> Backtest:
        """Return one of the caller's backtests with its course, or any for who reads all. NotFound."""
        found = await self._repo.get(identity)
        if not caller.may_read(found.owner):
            raise NotFound(f"no backtest {identity}")
        return found

    async def page(self, caller: Caller, listing: Listing) -> Page[Backtest]:
        """Return a page of the backtests the caller may see, without their course."""
        return await self._repo.page(listing, caller.reads_of)


def make_plan(asked: Mapping[str, Any], ticker: Callable[[str], Ticker | None], rules: FillRules) -> Plan:
    """Return the plan of what was asked, with what was left open as paper trading has it.

    Invalid names fields that are wrong. Slippage not given is the most that these rules draw.
    """
    tickers = {symbol: ticker(symbol) for symbol in asked["symbols"]}
    unknown = [symbol for symbol, found in tickers.items() if found is None]
    if unknown:
        raise Invalid("some symbols are unknown", errors={"symbols": [f"no ticker {name}" for name in unknown[:20]]})
    _check(asked)
    given, slippage = asked.get("commission"), asked.get("slippage_bps")
    own = {symbol: found.commission for symbol, found in tickers.items() if found is not None and found.commission}
    return Plan(
        strategy=asked["strategy"],
        symbols=tuple(asked["symbols"]),
        interval=asked["interval"],
        start=asked.get("start"),
        end=asked.get("end"),
        initial_cash=asked.get("initial_cash", CASH),
        parameters=_parameters(asked["strategy"], asked.get("parameters", {})),
        commission=rules.commission.shown if given is None else _commission(given),
        commissions={symbol: commission_from(each).shown for symbol, each in own.items()} if given is None else {},
        slippage_bps=rules.slippage_max_bps if slippage is None else slippage,
        participation=asked.get("participation"),
        seed=asked.get("seed", 0),
        source=Source(asked.get("source", Source.BARS)),
        adjusted=asked.get("adjusted", True),
        finish=Finish(asked.get("finish", Finish.LEAVE)),
    )


def _check(asked: Mapping[str, Any]) -> None:
    start, end, part = asked.get("start"), asked.get("end"), asked.get("participation")
    wrong = {
        "end": start is not None and end is not None and start >= end and "must be after start",
        "initial_cash": asked.get("initial_cash", CASH) <= ZERO and "must be above 0",
        "slippage_bps": not ZERO <= (asked.get("slippage_bps") or ZERO) <= MOST_BPS and f"must be from 0 to {MOST_BPS}",
        "participation": part is not None and not ZERO < part <= 1 and "must be above 0 and at most 1",
    }
    errors = {name: [message] for name, message in wrong.items() if isinstance(message, str)}
    if errors:
        raise Invalid("some fields are wrong", errors=errors)


def _parameters(strategy: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if "every_s" in given:
        errors = {"parameters.every_s": ["a backtest decides at each bar's close"]}
        raise Invalid("some fields are wrong", errors=errors)
    return read_parameters(strategy, given)


def _commission(given: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return commission_from(given).shown
    except ValueError as error:
        raise Invalid("some fields are wrong", errors={"commission": [str(error)]}) from None


def show_backtest(backtest: Backtest, *, course: bool = True) -> Shown:
    """Show a backtest; without its course as lists do."""
    shown = {"id": str(backtest.id), "owner": str(backtest.owner)} | backtest.plan.plain()
    shown |= show_all(asdict(backtest.figures))
    shown |= {
        "final_equity": show(backtest.final_equity),
        "bars": backtest.bars,
        "orders_refused": backtest.orders_refused,
        "created_at": format_rfc3339(backtest.created_at),
    }
    if course:
        shown["equity_curve"] = [_row(point._asdict()) for point in backtest.equity_curve]
        for name in ("trades", "open_trades", "refused"):
            shown[name] = [_row(asdict(each)) for each in getattr(backtest, name)]
    return shown


def _row(values: Mapping[str, Any]) -> Shown:
    return {
        name: format_rfc3339(value) if name in ("ts", "entry_ts", "exit_ts") else show_all(value)
        for name, value in values.items()
    }
