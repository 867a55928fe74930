"""Strategies at work: signals become orders, one for each signal at most, whatever is killed on the way.

    closed bars ─> verdicts ─> signal stored, with the order it is to become ─> order placed ─> signal marked
                                              │                                       │
                    killed here: PENDING, and no order     killed here: PENDING, and the order is there

A round of the loop finds what is PENDING and places it again: under a client id made of the signal's own id, so that
the engine answers with the order that is there, or places it now. Invariant: a strategy's orders are placed as its
owner, through the same door and the same controls as anybody's.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from qsuite.domain.analytics.signals import Advice
from qsuite.domain.errors import Conflict, Forbidden, Invalid, NotFound, OrderRefused, QSuiteError, TooMany, Unavailable
from qsuite.domain.money import ZERO
from qsuite.domain.roles import Caller, Role
from qsuite.domain.signals import Fate, Signal
from qsuite.domain.strategies import Strategy, period_of
from qsuite.domain.strategy_orders import Desk, intent_of
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.order import OrderType, TimeInForce
from qsuite.repos.signals import SignalsRepo
from qsuite.repos.strategy_books import StrategyBooks, Working
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.services.signals import Judged, Missed, SignalService
from qsuite.services.strategies import StrategyService
from qsuite.services.trading import TradingService
from qsuite.services.users import UserService

log = structlog.get_logger(__name__)

RUNS_AT_ONCE = 4
PENDING_AT_ONCE = 200
INACTIVE = "strategy.inactive"
OWNER = "strategy.owner"
"""Its owner may no longer trade."""


class Run(NamedTuple):
    """What one run of a strategy came to: a signal for each symbol, or why there is none."""

    signals: list[Signal]
    missed: list[Missed]


class LastRun(NamedTuple):
    """When a strategy last ran on this process, and what went wrong, if anything."""

    at: int
    error: str | None


class StrategyRuns:
    """Run strategies. A supervised loop, which runs those that were started.

    ``is_active`` says whether this process holds the engine, ``halted`` whether a kill switch covers a strategy,
    ``collar`` by how much the controls reckon a market order dearer than the market.
    """

    name = "strategy_runs"
    interval_s = 1.0

    def __init__(
        self,
        *,
        strategies: StrategyService,
        signals: SignalService,
        repo: SignalsRepo,
        books: StrategyBooks,
        trading: TradingService,
        users: UserService,
        market: MarketDataService,
        reference: ReferenceService,
        is_active: Callable[[], bool],
        halted: Callable[[Strategy], bool],
        collar: Decimal,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._strategies = strategies
        self._signals = signals
        self._repo = repo
        self._books = books
        self._trading = trading
        self._users = users
        self._market = market
        self._reference = reference
        self._is_active = is_active
        self._halted = halted
        self._collar = collar
        self._clock = clock
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._periods: dict[UUID, int] = {}
        self._gate = asyncio.Semaphore(RUNS_AT_ONCE)
        self.last_runs: dict[UUID, LastRun] = {}

    # -- by themselves ----------------------------------------------------------------------------------------------

    async def run_once(self, now: int) -> None:
        """Settle what was left pending, then run whatever is due. One strategy's fault stops no other."""
        if not self._is_active():
            self._periods.clear()  # whoever takes the engine over runs everything at once
            return
        await self._settle_leftovers()
        due = [each for each in self._strategies.running() if self._is_due(each, now)]
        await asyncio.gather(*(self._run_due(strategy, now) for strategy in due))
        for gone in self._periods.keys() - {each.id for each in self._strategies.running()}:
            del self._periods[gone]

    def _is_due(self, strategy: Strategy, now: int) -> bool:
        return self._periods.get(strategy.id) != period_of(strategy, now) and not self._halted(strategy)

    async def _run_due(self, strategy: Strategy, now: int) -> None:
        async with self._gate:
            try:
                await self._run(strategy)
            except Unavailable as error:  # storage or engine are away: this period is tried again
                log.warning("strategy.postponed", strategy=str(strategy.id), error=str(error))
                return
            except Exception as error:  # whatever it is: logged, shown, no other strategy's trouble
                self.last_runs[strategy.id] = LastRun(
                    now, error.detail if isinstance(error, QSuiteError) else "internal"
                )
                log.error("strategy.failed", strategy=str(strategy.id), exc_info=error)
            self._periods[strategy.id] = period_of(strategy, now)

    async def _settle_leftovers(self) -> None:
        """Bring to its end what a crash or an outage left pending."""
        for signal in await self._repo.pending(PENDING_AT_ONCE):
            assert signal.strategy is not None, "only a strategy's signal is ever pending"
            async with self._lock(signal.strategy):  # a run on its way has its own in hand
                try:
                    await self._settle(signal)
                except Unavailable as error:  # it stays pending
                    log.warning("signal.postponed", signal=str(signal.id), error=str(error))
                except Exception as error:  # whatever it is: logged, and no other signal's trouble
                    log.error("signal.failed", signal=str(signal.id), exc_info=error)

    # -- on request -------------------------------------------------------------------------------------------------

    async def run(self, caller: Caller, identity: UUID) -> Run:
        """Run the caller's own strategy now. Conflict while it is not active or halted."""
        strategy = await self._strategies.get(caller, identity)
        if strategy.account in caller.views:
            raise Forbidden("the account is only shown to you")
        if strategy.account not in caller.accounts:
            raise NotFound("no such strategy")
        if not strategy.is_active:
            raise Conflict("the strategy is not active", code="strategy.inactive")
        if self._halted(strategy):
            raise Conflict("trading is halted for the strategy", code="strategy.halted")
        if not self._is_active():
            raise Unavailable("the engine is not active here", code="engine.standby")
        return await self._run(strategy)

    async def _run(self, strategy: Strategy) -> Run:
        async with self._lock(strategy.id):
            judged, missed = await self._signals.judge(
                strategy.symbols, strategy.algorithm, strategy.parameters, strategy.interval
            )
            settled = []
            if judged:
                working = await self._books.working(strategy.id)
                held = await self._books.positions(strategy.id)
                equity = await self._equity(strategy)
                for each in judged:
                    signal = await self._store(strategy, each, held, working, equity)
                    settled.append(await self._settle(signal))
        self.last_runs[strategy.id] = LastRun(self._clock(), None)
        return Run(settled, missed)

    # -- a signal's way ---------------------------------------------------------------------------------------------

    async def _store(
        self,
        strategy: Strategy,
        judged: Judged,
        held: Mapping[str, Position],
        working: Mapping[str, Working],
        equity: Decimal,
    ) -> Signal:
        """Store the signal of a bar with what it is to become; the one stored before, where there is one."""
        signal = self._signals.signal_of(judged, strategy.algorithm)
        signal = replace(signal, strategy=strategy.id, account=strategy.account)
        known = await self._repo.find_at(signal)
        if known is not None:
            return known
        if judged.verdict.actionable:
            desk = self._desk(signal, held, working, equity)
            intent = intent_of(strategy, signal.signal, desk)
            if isinstance(intent, str):
                signal = replace(signal, status=Fate.SKIPPED, reason=intent)
            else:
                signal = replace(signal, status=Fate.PENDING, intent=intent)
        if await self._repo.add(signal):
            return signal
        return await self._repo.find_at(signal) or signal

    async def _settle(self, signal: Signal) -> Signal:
        """Place the order of a pending signal and write down what became of it; anything else stays as it is."""
        if signal.status is not Fate.PENDING:
            return signal
        caller = await self._owner(signal)
        if isinstance(caller, Caller) and self._clock() < signal.lapses_at:
            settled = await self._place(caller, signal)
        else:
            reason, fate = (None, Fate.LAPSED) if isinstance(caller, Caller) else (caller, Fate.SKIPPED)
            settled = await self._placed_before(signal) or replace(signal, status=fate, reason=reason)
        if settled.status is not Fate.PENDING:
            await self._repo.settle(settled)
        return settled

    async def _place(self, caller: Caller, signal: Signal) -> Signal:
        assert signal.intent is not None, "a pending signal says what it is to become"
        asked = {
            "account": signal.account,
            "symbol": signal.symbol,
            "side": signal.intent.side,
            "order_type": OrderType.MARKET,
            "quantity": signal.intent.quantity,
            "time_in_force": TimeInForce.DAY,
            "client_order_id": signal.client_order_id,
            "strategy": signal.strategy,
        }
        try:
            order = await self._trading.place(caller, asked)
        except OrderRefused as error:
            return replace(signal, status=Fate.REFUSED, order=_id_of(error.facts), reason=error.code)
        except Conflict as error:  # the id is ours alone, so the order that has it is this signal's
            return replace(signal, status=Fate.ORDERED, order=_id_of(error.facts), reason=error.code)
        except (NotFound, Forbidden, Invalid) as error:
            return replace(signal, status=Fate.SKIPPED, reason=error.code)
        except TooMany:
            return signal  # asked again in the next round
        return replace(signal, status=Fate.ORDERED, order=order.id)

    async def _placed_before(self, signal: Signal) -> Signal | None:
        """Return the signal with its order, if there is one: it was placed, and what died was the note of it."""
        assert signal.strategy is not None
        assert signal.account is not None
        reader = Caller(signal.strategy, "", Role.TRADER, (signal.account,))
        try:
            order = await self._trading.get_by_client_id(reader, signal.client_order_id)
        except NotFound:
            return None
        if order.reject is not None:
            return replace(signal, status=Fate.REFUSED, order=order.id, reason=order.reject["code"])
        return replace(signal, status=Fate.ORDERED, order=order.id)

    async def _owner(self, signal: Signal) -> Caller | str:
        """Return the strategy's owner as a caller, or the code of why nothing may be ordered for it any more."""
        assert signal.strategy is not None
        strategy = self._strategies.strategy(signal.strategy)
        if strategy is None or not strategy.is_active:
            return INACTIVE
        try:
            user = await self._users.get(strategy.created_by)
        except NotFound:
            return OWNER
        caller = user.caller("")
        trades = user.is_active and user.role is Role.TRADER and signal.account in caller.accounts
        return caller if trades else OWNER

    # -- what an order is sized by ----------------------------------------------------------------------------------

    def _desk(
        self, signal: Signal, held: Mapping[str, Position], working: Mapping[str, Working], equity: Decimal
    ) -> Desk:
        ticker = self._reference.require(signal.symbol)
        buys, sells = working.get(signal.symbol, Working(ZERO, ZERO))
        return Desk(
            held=held[signal.symbol].quantity if signal.symbol in held else ZERO,
            working_buys=buys,
            working_sells=sells,
            price=self._worst_price(signal),
            lot_size=ticker.lot_size,
            equity=equity,
        )

    def _worst_price(self, signal: Signal) -> Decimal:
        """Return what a unit may cost as the controls reckon: the market's price and the collar above it."""
        trade, quote = self._market.snapshot(signal.symbol)
        price = signal.price if trade is None else trade.price
        if quote is not None:
            side = quote.ask if signal.signal is Advice.BUY else quote.bid
            price = side or price
        return price * (1 + self._collar)

    async def _equity(self, strategy: Strategy) -> Decimal:
        if "equity_fraction" not in strategy.parameters:
            return ZERO
        owner = Caller(strategy.created_by, "", Role.TRADER, (strategy.account,))
        return Decimal((await self._trading.show_account(owner, strategy.account))["equity"])

    def _lock(self, strategy: UUID) -> asyncio.Lock:
        return self._locks.setdefault(strategy, asyncio.Lock())


def _id_of(facts: Mapping[str, Any]) -> UUID | None:
    order = facts.get("order")
    return UUID(order["id"]) if isinstance(order, Mapping) else None
