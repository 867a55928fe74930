"""What is looked at beside the orders: what the day lost, how fast strategies fill, whether the books still add up.

    every second     value all positions, begin the UTC day of each account, act on its losses
    after each fill  count the strategy's fills

Each throws the engine's own kill switch, which a person lifts. The cause must be gone by then, or it is thrown again:
an account that lost too much gets a new ``daily_loss`` first, or waits for the next day.
"""

from decimal import Decimal
from uuid import UUID

from qsuite.domain.money import ZERO, show
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.commands import Outcome, RaiseAlarm, Scope, StopEverything, TradingMode
from qsuite.domain.trading.halt import throw_ours
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.risk import Limits, day_of, gross_limit, reference_price, scope_event
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.steps import ENGINE


def mark_accounts(state: TradingState, now: int) -> Outcome:
    """Value everything at the market, and halt or hold back accounts by what they lost. O(positions and accounts)."""
    exposures = state.exposures
    exposures.remark(lambda symbol: reference_price(state.market(symbol), state.rules))
    cancelled: list[Order] = []
    largest = ZERO
    for account in state.accounts.values():
        limits = state.limits.effective(account.id)
        largest = max(largest, gross_limit(account, exposures, limits.gross_exposure))
        begin_day(state, account, now)
        cancelled += _act_on_loss(state, account, limits, now)
    exposures.largest_limit = largest
    return Outcome(orders=tuple(cancelled))


def after_fill(state: TradingState, order: Order, now: int) -> None:
    """Count a strategy's fill, and halt the strategy when they come too fast."""
    if order.strategy is None:
        return
    limit = state.limits.effective(order.account, order.strategy, order.symbol).execution_throttle
    if not isinstance(limit, Decimal):  # off, or unreadable: then no order of it passes the controls
        return
    state.rates.fills.count(order.strategy, now)
    fills = Decimal(state.rates.fills.recent(order.strategy, now))
    if fills >= limit:
        reason = f"{show(fills)} fills in ten seconds"
        key = (Scope.STRATEGY, str(order.strategy))
        throw_ours(state, key, TradingMode.HALTED, reason, now, limit=limit, value=fills)


def stop_everything(state: TradingState, breach: StopEverything, now: int) -> Outcome:
    """Halt the whole system, because an invariant was broken (``check_invariants``): its fill was not stored."""
    key = (Scope.GLOBAL, None)
    event = scope_event(state, key, breach.code, breach.detail, now, limit=breach.limit, value=breach.value)
    state.record_event(event)
    figures = {"limit": breach.limit, "value": breach.value}
    return Outcome(orders=tuple(throw_ours(state, key, TradingMode.HALTED, breach.detail, now, **figures)))


def raise_alarm(state: TradingState, alarm: RaiseAlarm, now: int) -> Outcome:
    """Note a critical event of an account, and audit it. Trading goes on: a person looks."""
    subject = str(alarm.account)
    state.record_event(scope_event(state, (Scope.ACCOUNT, subject), alarm.code, alarm.detail, now))
    state.note("risk.alarm", subject, now, ENGINE, subject, code=alarm.code, detail=alarm.detail)
    return Outcome()


def begin_day(state: TradingState, account: Account, now: int) -> None:
    """Note what an account is worth when it is first looked at on a UTC day; a restart does not begin the day anew."""
    day = day_of(now)
    if account.day == day:
        return
    account.day, account.day_open_equity = day, state.exposures.equity(account)
    account.version += 1
    account.updated_at = now
    state.touch(account)
    subject, equity = str(account.id), show(account.day_open_equity)
    state.note("account.day_began", subject, now, ENGINE, subject, day=day, equity=equity)


def _act_on_loss(state: TradingState, account: Account, limits: Limits, now: int) -> list[Order]:
    if account.day_open_equity <= ZERO:
        return []
    lost = -state.exposures.day_pnl(account, day_of(now)) / account.day_open_equity
    for limit, mode in ((limits.daily_loss_halt, TradingMode.HALTED), (limits.daily_loss, TradingMode.REDUCING)):
        if isinstance(limit, Decimal) and lost >= limit > ZERO:
            return _hold_back(state, account.id, mode, limit, lost, now)
    return []


def _hold_back(
    state: TradingState, account: UUID, mode: TradingMode, limit: Decimal, lost: Decimal, now: int
) -> list[Order]:
    reason = f"the day lost {lost * 100:.2f} % of its opening equity"
    return throw_ours(state, (Scope.ACCOUNT, str(account)), mode, reason, now, limit=limit, value=lost)
