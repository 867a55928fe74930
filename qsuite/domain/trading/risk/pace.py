"""How many and how often: open orders, messages, cancels, orders alike, fills of a strategy; and what the day lost."""

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from qsuite.domain.money import show
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.limited import limited, unreadable
from qsuite.domain.trading.risk.rates import Alike
from qsuite.domain.trading.risk.review import Origin, Review

if TYPE_CHECKING:
    from qsuite.domain.trading.state import TradingState


def count_message(subject: Review) -> None:
    """Count an order as a message and among its like, before any control sees it: what is refused counts too."""
    if subject.origin is Origin.ENGINE or subject.account is None:
        return
    rates, limits, account = subject.rates, subject.limits, subject.account.id
    if isinstance(limits.order_rate, Decimal) and isinstance(limits.order_burst, Decimal):
        ask = rates.messages.take if subject.origin is Origin.MESSAGE else rates.messages.free
        subject.message_allowed = ask(account, subject.now, limits.order_rate, limits.order_burst)
    if isinstance(limits.lookalike, Decimal):
        key = _likeness(subject)
        subject.alike = rates.lookalikes.alike(key, subject.now)
        if subject.origin is Origin.MESSAGE:
            rates.lookalikes.count(key, subject.now)


@limited("max_open_orders", "risk.max_open_orders")
def open_orders(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse one more open order than an account may have. What trades at once or not at all takes no place."""
    if subject.open_orders is not None and subject.open_orders >= limit:
        detail = f"at most {show(limit)} open orders of an account"
        return Refusal("risk.max_open_orders", detail, limit, Decimal(subject.open_orders + 1))
    return None


@limited("max_open_orders_ticker", "risk.max_open_orders")
def open_orders_in_ticker(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse one more open order in a ticker than an account may have there."""
    if subject.open_in_ticker is not None and subject.open_in_ticker >= limit:
        detail = f"at most {show(limit)} open orders in {subject.order.symbol}"
        return Refusal("risk.max_open_orders", detail, limit, Decimal(subject.open_in_ticker + 1))
    return None


@limited("order_rate", "risk.order_rate")
def order_rate(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse messages that come faster than the account may send them."""
    if not isinstance(subject.limits.order_burst, Decimal):
        return unreadable("risk.order_rate", "order_burst")
    if not subject.message_allowed:
        return Refusal("risk.order_rate", f"at most {show(limit)} orders a second", limit)
    return None


def cancel_too_fast(state: "TradingState", account: UUID, now: int) -> Refusal | None:
    """Count a cancel, and refuse it when cancels come too fast: no control but this ever stops one.

    A figure that cannot be read stops none: here it is letting go that is safe.
    """
    limit = state.limits.effective(account).cancel_rate
    if not isinstance(limit, Decimal):
        return None
    if not state.rates.cancels.take(account, now, limit, max(limit, Decimal(1))):
        return Refusal("risk.cancel_rate", f"at most {show(limit)} cancels a second", limit)
    return None


@limited("lookalike", "risk.lookalike")
def lookalike(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse the same order once more within a second: a loop that runs away looks like this."""
    if subject.alike >= limit:
        detail = f"at most {show(limit)} orders alike in a second"
        return Refusal("risk.lookalike", detail, limit, Decimal(subject.alike + 1))
    return None


@limited("execution_throttle", "risk.execution_throttle")
def execution_throttle(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse a strategy that fills too fast, in the moment before ``watch`` has halted it."""
    if subject.order.strategy is None:
        return None
    fills = Decimal(subject.rates.fills.recent(subject.order.strategy, subject.now))
    if fills >= limit:
        detail = f"{show(limit)} fills of the strategy in ten seconds"
        return Refusal("risk.execution_throttle", detail, limit, fills)
    return None


@limited("daily_loss", "risk.daily_loss")
def daily_loss(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse, once the day lost this share of its opening equity, what does not reduce."""
    lost, opened = _lost(subject)
    if lost >= limit * opened > 0 and not subject.closes:
        return Refusal("risk.daily_loss", "the day's loss allows only reducing positions", limit, lost / opened)
    return None


@limited("daily_loss_halt", "risk.daily_loss")
def daily_loss_halt(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse everything, once the day lost this share of its opening equity."""
    lost, opened = _lost(subject)
    if lost >= limit * opened > 0:
        return Refusal("risk.daily_loss", "the day's loss has halted the account", limit, lost / opened)
    return None


def self_trade(subject: Review) -> Refusal | None:
    """Refuse while nobody knows whether accounts may trade with themselves; the book itself cancels the newest."""
    return unreadable("risk.self_trade", "self_trade") if subject.limits.self_trade is None else None


def day_of(now: int) -> int:
    """Return the UTC day of an instant, in days since the epoch."""
    return now // DAY_NS


def _lost(subject: Review) -> tuple[Decimal, Decimal]:
    """Return what the day lost (zero or less for nothing), and what the account was worth as it began."""
    account = subject.account
    assert account is not None
    return -subject.exposures.day_pnl(account, day_of(subject.now)), account.day_open_equity


def _likeness(subject: Review) -> Alike:
    order = subject.order
    return (
        order.account,
        order.symbol,
        order.side,
        order.order_type,
        order.quantity,
        order.price,
        order.stop_price,
        subject.replacing,
    )
