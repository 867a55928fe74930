"""Whether anybody may trade this here and now: the account, the trading state, the ticker, the session."""

from qsuite.domain.trading.account import EVERY_PERMISSION, Account, Permission
from qsuite.domain.trading.commands import TradingMode
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.review import Review


def account_enabled(subject: Review) -> Refusal | None:
    """Refuse for an account that is unknown or switched off."""
    if subject.account is None or not subject.account.is_active:
        return Refusal("account.disabled", "the account is not enabled for trading")
    return None


def permitted(subject: Review) -> Refusal | None:
    """Refuse an order of somebody who may not trade on the account, and one that the account may not place."""
    account, trader = subject.account, subject.order.created_by
    assert account is not None
    if trader != account.user and not account.traded_by(trader):
        return Refusal("not_permitted", "the account is another user's")
    if account.permissions is not EVERY_PERMISSION:  # a set equal to it only costs the look
        withheld = _withheld(subject, account)
        if withheld is not None:
            return Refusal("not_permitted", withheld)
    strategy = subject.strategy
    if strategy is None:  # none was named, or one nobody knows, which ``strategy_limit`` refuses
        return None
    if strategy.account != account.id:
        return Refusal("not_permitted", "the strategy trades on another account")
    if not strategy.is_active and not subject.closes:
        return Refusal("not_permitted", "the strategy is switched off: it may only close what it holds")
    return None


def _withheld(subject: Review, account: Account) -> str | None:
    """Say what the order needs and the account may not do, None if nothing: what only closes needs no permission."""
    order, allowed = subject.order, account.permissions
    if subject.closes or order.reduce_only:
        return None
    if Permission.OPEN not in allowed:
        return "the account may only close what it holds"
    if subject.opens and not order.is_buy and Permission.SHORT not in allowed:
        return "the account may not sell short"
    if order.limit is None and Permission.MARKET_ORDERS not in allowed:
        return "the account may only place orders with a limit"
    if order.strategy is not None and Permission.STRATEGIES not in allowed:
        return "strategies may not trade on the account"
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
    """Refuse a ticker that is unknown, not active, or restricted, and one in another currency than the account's.

    What an account holds it may close, should its ticker's currency have been corrected since.
    """
    ticker, account = subject.ticker, subject.account
    assert account is not None
    if ticker is None:
        return Refusal("ticker.unknown", f"{subject.order.symbol} is not known here")
    if not ticker.is_active:
        return Refusal("ticker.inactive", f"{subject.order.symbol} is not traded now")
    if subject.is_restricted:
        return Refusal("ticker.restricted", f"{subject.order.symbol} may not be traded here")
    if ticker.currency != account.currency and not subject.closes:
        detail = f"{subject.order.symbol} trades in {ticker.currency}, the account is in {account.currency}"
        return Refusal("account.currency", detail)
    return None


def session_open(subject: Review) -> Refusal | None:
    """Refuse outside the ticker's trading sessions."""
    if not subject.is_open:
        return Refusal("market.closed", f"the market of {subject.order.symbol} is closed")
    return None
