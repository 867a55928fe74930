"""What accounts stand to win or lose: exposure as the controls count it, and value at risk.

Exposure comes from the engine's memory, which keeps it with every order; only the process that has the engine knows it.
Value at risk is computed in a worker process from stored daily bars.
"""

import time
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.analytics.var import ValueAtRisk, VarMethod, VarQuestion, value_at_risk
from qsuite.domain.analytics.var_backtest import LikelihoodRatio, VarBacktest, backtest
from qsuite.domain.errors import NotFound, Unavailable
from qsuite.domain.money import ZERO, show
from qsuite.domain.roles import Caller
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.risk import ExposureBook
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.daily_closes import DailyClosesRepo
from qsuite.repos.positions import PositionsRepo
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState
from qsuite.services.workers import WorkerPool

SHOWN = 1_000
CENT = Decimal("0.01")
SPARE_DAYS = 30
"""Read besides the window: days that some symbols have and others lack count for none."""


class ExposureService:
    """Answer for exposure and value at risk. ``price_of`` is what a unit of a position would bring or cost now."""

    def __init__(
        self,
        *,
        engine: TradingEngine,
        accounts: AccountsRepo,
        positions: PositionsRepo,
        closes: DailyClosesRepo,
        workers: WorkerPool,
        price_of: Callable[[Position], Decimal | None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._engine = engine
        self._accounts = accounts
        self._positions = positions
        self._closes = closes
        self._workers = workers
        self._price_of = price_of
        self._clock = clock

    # -- exposure -----------------------------------------------------------------------------------------------

    async def exposure(self, caller: Caller, account: UUID | None) -> dict[str, Any]:
        """Return the exposure of the caller's accounts, or of one; for whoever reads all of everybody and the system.

        Of everybody those with the largest gross exposure are shown, at most 1,000. Unavailable in a process that
        stands by.
        """
        if self._engine.state is not EngineState.ACTIVE:
            raise Unavailable("exposure is known where the engine is", code="engine.standby")
        accounts = _visible(caller, account)
        memory = self._engine.memory
        found = [memory.accounts[one] for one in accounts or memory.accounts if one in memory.accounts]
        if accounts is not None:  # who never traded has cash and nothing else
            found += await self._accounts.of_ids(one for one in accounts if one not in memory.accounts)
            if account is not None and not found:
                raise NotFound("no such account")
        shown = sorted((self._show_account(one) for one in found), key=lambda one: (-Decimal(one["gross"]), one["id"]))
        return {
            "accounts": shown[:SHOWN],
            "system": self._show_system() if caller.reads_all else None,
            "strategies": self._show_strategies() if caller.reads_all else None,
            "ts": format_rfc3339(self._clock()),
        }

    def _show_account(self, account: Account) -> dict[str, Any]:
        memory = self._engine.memory
        book = memory.exposures.accounts
        equity = memory.exposures.equity(account)
        multiple = memory.limits.effective(account.id).gross_exposure
        limit = multiple * equity if isinstance(multiple, Decimal) else None
        gross = book.of(account.id).gross
        return {
            "id": str(account.id),
            "equity": show(equity),
            "leverage": float(gross / equity) if equity > ZERO else None,
            "limit": _optional(limit),
            **_show_totals(book, account.id),
            "symbols": _show_lines(book, account.id),
        }

    def _show_strategies(self) -> list[dict[str, Any]]:
        book = self._engine.memory.exposures.strategies
        holders = sorted(book.holders(), key=lambda one: (-book.of(one).gross, one))[:SHOWN]
        return [{"id": str(one), **_show_totals(book, one), "symbols": _show_lines(book, one)} for one in holders]

    def _show_system(self) -> dict[str, Any]:
        memory = self._engine.memory
        totals, multiple = memory.exposures.accounts.total, memory.limits.effective(None).system_exposure
        limit = multiple * memory.exposures.largest_limit if isinstance(multiple, Decimal) else None
        return {
            "gross": show(totals.gross),
            "long_value": show(totals.long_value),
            "short_value": show(totals.short_value),
            "limit": _optional(limit),
        }

    # -- value at risk ------------------------------------------------------------------------------------------

    async def value_at_risk(
        self,
        caller: Caller,
        *,
        account: UUID | None,
        method: VarMethod,
        confidence: float,
        horizon_days: int,
        window: int,
        backtest_days: int | None = None,
    ) -> dict[str, Any]:
        """Return what may be lost on the positions of an account, by default the caller's first.

        For whoever has no account of their own that default is all accounts together. With ``backtest_days`` it is also
        said how such estimates of these positions did on so many past days.
        """
        account, quantities, values, unpriced = await self.held(caller, account)
        stated = {"method": method, "confidence": confidence, "horizon_days": horizon_days, "window": window}
        judged: VarBacktest | None = None
        if unpriced:
            found = ValueAtRisk(reason=f"no price of {', '.join(unpriced)} is known")
            judged = None if backtest_days is None else VarBacktest(reason=found.reason)
        else:
            closes = await self._closes.closes(values, window + (backtest_days or 0) + 1 + SPARE_DAYS)
            worth = {symbol: float(value) for symbol, value in values.items()}
            question = VarQuestion(values=worth, closes=closes, **stated)  # type: ignore[arg-type]
            found = await self._workers.run(value_at_risk, question)
            if backtest_days is not None:
                judged = await self._workers.run(backtest, question, backtest_days)
        return {
            "backtest": None if judged is None else show_backtest(judged),
            "account": None if account is None else str(account),
            **stated,
            "method": method.value,
            "observations": found.observations,
            "from": None if found.first_ns is None else format_rfc3339(found.first_ns),
            "to": None if found.last_ns is None else format_rfc3339(found.last_ns),
            "value_at_risk": money_of(found.value_at_risk),
            "expected_shortfall": money_of(found.expected_shortfall),
            "reason": found.reason,
            "positions": [
                {
                    "symbol": symbol,
                    "quantity": show(quantities[symbol]),
                    "market_value": _optional(values.get(symbol)),
                    "value_at_risk": money_of(found.by_symbol.get(symbol)),
                }
                for symbol in sorted(quantities)
            ],
        }

    async def held(
        self, caller: Caller, account: UUID | None
    ) -> tuple[UUID | None, dict[str, Decimal], dict[str, Decimal], list[str]]:
        """Return whose positions are looked at, None for all, then what ``_values`` does. NotFound."""
        if account is None and not caller.reads_all:
            account = caller.accounts[0] if caller.accounts else None
        accounts = _visible(caller, account)
        if account is not None and not await self._accounts.of_ids([account]):
            raise NotFound("no such account")
        return account, *self._values(await self._positions.of(accounts))

    def _values(self, held: Iterable[Position]) -> tuple[dict[str, Decimal], dict[str, Decimal], list[str]]:
        """Return what is held by symbol, what it is worth, and of what no price is known."""
        quantities: dict[str, Decimal] = {}
        values: dict[str, Decimal] = {}
        unpriced: set[str] = set()
        for position in held:
            if not position.quantity:
                continue
            symbol, price = position.symbol, self._price_of(position)
            quantities[symbol] = quantities.get(symbol, ZERO) + position.quantity
            if price is None:
                unpriced.add(symbol)
            else:
                values[symbol] = values.get(symbol, ZERO) + position.quantity * price
        return quantities, values, sorted(unpriced)


def _visible(caller: Caller, account: UUID | None) -> tuple[UUID, ...] | None:
    """Return whose figures to look at, None for everybody's. NotFound for an account that is not theirs."""
    if account is None:
        return None if caller.reads_all else caller.accounts
    if not caller.sees(account):
        raise NotFound("no such account")
    return (account,)


def _show_totals(book: ExposureBook, holder: UUID) -> dict[str, Any]:
    totals = book.of(holder)
    return {
        "gross": show(totals.gross),
        "long_value": show(totals.long_value),
        "short_value": show(totals.short_value),
    }


def _show_lines(book: ExposureBook, holder: UUID) -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "quantity": show(line.quantity),
            "working_buys": show(line.working_buys),
            "working_sells": show(line.working_sells),
            "mark": show(line.mark),
            "value": show(line.value),
            "worst_case": show(line.worst),
        }
        for symbol, line in sorted(book.lines(holder).items())
    ]


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else show(value)


def money_of(value: float | None) -> str | None:
    """Write an estimate to the cent: more digits would claim to be known."""
    return None if value is None else show(Decimal(value).quantize(CENT, ROUND_HALF_EVEN))


def show_backtest(found: VarBacktest) -> dict[str, Any]:
    """Show how estimates of value at risk did."""
    return {
        "reason": found.reason,
        "days": found.days,
        "from": None if found.first_ns is None else format_rfc3339(found.first_ns),
        "to": None if found.last_ns is None else format_rfc3339(found.last_ns),
        "expected": found.expected,
        "breaches": len(found.breaches),
        "accepted": None if found.least is None else {"least": found.least, "most": found.most},
        "verdict": None if found.verdict is None else found.verdict.value,
        "kupiec": _show_ratio(found.kupiec),
        "independence": _show_ratio(found.independence),
        "coverage": _show_ratio(found.coverage),
        "breached": [
            {
                "ts": format_rfc3339(breach.ts_ns),
                "loss": money_of(breach.loss),
                "value_at_risk": money_of(breach.value_at_risk),
            }
            for breach in found.breaches
        ],
    }


def _show_ratio(found: LikelihoodRatio | None) -> dict[str, float] | None:
    return None if found is None else {"statistic": found.statistic, "p_value": found.p_value}
