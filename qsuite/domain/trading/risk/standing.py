"""Whether anybody may trade this here and now: the account, the trading state, the ticker, the session."""

from qsuite.domain.trading.commands import TradingMode
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.review import Review


def account_enabled(subject: Review) -> Refusal | None:
    """Refuse for an account that is unknown or switched off."""
    if subject.account is None or not subject.account.is_active:
        return Refusal("account.disabled", "the account is not enabled for trading")
    return None


def permitted(subject: Review) -> Refusal | None:
    """Refuse an order made in the name of somebody whose account it is not."""
    assert subject.account is not None
    if subject.order.created_by != subject.account.user:
        return Refusal("not_permitted", "the account is another user's")
    strategy = subject.strategy
    if strategy is None:  # none was named, or one nobody knows, which ``strategy_limit`` refuses
        return None
    if strategy.account != subject.account.id:
        return Refusal("not_permitted", "the strategy trades on another account")
    if not strategy.is_active and not subject.closes:
        return Refusal("not_permitted", "the strategy is switched off: it may only close what it holds")
    return None


def not_halted(subject: Review) -> Refusal | None:
    """Refuse while a kill switch covers the order."""
    halt = subject.halt
    if halt is not None and halt.mode is TradingMode.HALTED:
        return Refusal("risk.halted", f"trading is halted ({halt.scope.value}): {halt.reason}")
    return None


def reducing_only(subject: Review) -> Refusal | None:
    """Refuse, where positions may only be reduced, what could make one larger in the worst case."""
    halt = subject.halt
    if halt is not None and not subject.closes:
        return Refusal("risk.reducing", f"positions may only be reduced ({halt.scope.value}): {halt.reason}")
    return None


def tradable(subject: Review) -> Refusal | None:
    """Refuse a ticker that is unknown, not active, or restricted."""
    if subject.ticker is None:
        return Refusal("ticker.unknown", f"{subject.order.symbol} is not known here")
    if not subject.ticker.is_active:
        return Refusal("ticker.inactive", f"{subject.order.symbol} is not traded now")
    if subject.is_restricted:
        return Refusal("ticker.restricted", f"{subject.order.symbol} may not be traded here")
    return None


def session_open(subject: Review) -> Refusal | None:
    """Refuse outside the ticker's trading sessions."""
    if not subject.is_open:
        return Refusal("market.closed", f"the market of {subject.order.symbol} is closed")
    return None
