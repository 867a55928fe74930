"""What an order needs behind it, and what it adds to what stands to be lost.

Long positions are paid in full. For a short one Regulation T asks for 150 % of its market value (12 CFR 220.12(c)): the
100 % its sale brought, which stays in the cash, and a margin of 50 %. So 1.5 x its value is held out of buying power,
and an order that may open a short reserves the half that its own sale will not bring. Both follow the market price.

What only closes a position needs nothing: it gives back more than it takes, and must never be trapped. Of an order that
turns a position round, what it closes comes first, and what that surely brings backs the rest: a sale its least price,
a purchase the collateral of the short. So buying power is at least zero once it has filled, at any price up to the
collar. It reserves as much as any other order all the same, and buying power may show less than zero while it works:
nobody else is let to cash that its last part needs.
"""

from decimal import Decimal

from qsuite.domain.money import show
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.exposure import Exposures, worst_quantity
from qsuite.domain.trading.risk.limited import limited, unreadable
from qsuite.domain.trading.risk.review import SHORT_MARGIN, Review

SHORT_COLLATERAL = 1 + SHORT_MARGIN


def buying_power(account: Account, exposures: Exposures) -> Decimal:
    """Return the cash nothing has a claim on: neither working orders nor the collateral of short positions."""
    return account.cash - account.reserved - SHORT_COLLATERAL * exposures.accounts.of(account.id).short_value


def cash_covers(subject: Review) -> Refusal | None:
    """Refuse an order that the cash without a claim on it does not cover, commission included."""
    assert subject.account is not None
    if not subject.opens:
        return None
    needed = subject.reservation if not subject.reduces else _needed_to_turn_round(subject)
    free = buying_power(subject.account, subject.exposures)
    if needed > free:
        return Refusal("risk.buying_power", "not enough cash that is not reserved by other orders", free, needed)
    return None


def _needed_to_turn_round(subject: Review) -> Decimal:
    """Return the cash that must be free before an order turns a position round, at the worst of its prices.

    What a sale takes and brings is linear in the price, so the worst is the highest or the lowest.
    """
    order, closing, most = subject.order, subject.reduces, subject.worst_price
    assert most is not None
    if order.is_buy:
        line = subject.exposures.accounts.lines(order.account)[order.symbol]
        return subject.reservation - SHORT_COLLATERAL * closing * line.mark
    commission = subject.reservation - SHORT_MARGIN * most * order.remaining
    takes = SHORT_MARGIN * (order.remaining - closing) - closing
    return commission + max(takes * most, takes * subject.least_price)


@limited("position_limit", "risk.position_limit")
def position_limit(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse what, with all working orders of its side filled, would hold more than the limit, long or short."""
    position = subject.position
    if subject.order.is_buy:
        worst = position.quantity + position.working_buys + subject.added
    else:
        worst = position.working_sells + subject.added - position.quantity
    if worst > limit:
        detail = f"at most {show(limit)} of {subject.order.symbol}, working orders counted"
        return Refusal("risk.position_limit", detail, limit, worst)
    return None


@limited("gross_exposure", "risk.gross_exposure")
def gross_exposure(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse what could bring the account's gross exposure above so many times its equity."""
    assert subject.account is not None
    if subject.size_after <= subject.size:
        return None
    bound = limit * subject.exposures.equity(subject.account)
    after = subject.exposures.accounts.of(subject.account.id).gross + _increase(subject)
    if after > bound:
        return Refusal("risk.gross_exposure", f"at most {show(limit)} times the account's equity", bound, after)
    return None


@limited("system_exposure", "risk.system_exposure")
def system_exposure(limit: Decimal, subject: Review) -> Refusal | None:
    """Refuse what could bring all accounts together above so many times the largest one's gross limit."""
    assert subject.account is not None
    if subject.size_after <= subject.size:
        return None
    own = gross_limit(subject.account, subject.exposures, subject.limits.gross_exposure)
    bound = limit * max(own, subject.exposures.largest_limit)
    after = subject.exposures.accounts.total.gross + _increase(subject)
    if after > bound:
        return Refusal("risk.system_exposure", "the whole system's exposure is at its limit", bound, after)
    return None


def short_sale(subject: Review) -> Refusal | None:
    """Refuse selling more than is held, less what working sells may take, unless shorts are allowed."""
    allowed = subject.limits.short_sale
    if allowed is None:
        return unreadable("risk.short_sale", "short_sale")
    if subject.order.is_buy or allowed is True or not subject.opens:
        return None
    held = subject.position.quantity - subject.position.working_sells
    return Refusal("risk.short_sale", "selling more than is held", held, subject.added)


def strategy_limit(subject: Review) -> Refusal | None:
    """Refuse what could bring a strategy's own gross exposure above its risk limit, and a strategy nobody knows."""
    order = subject.order
    if order.strategy is None:
        return None
    if subject.strategy is None or subject.strategy_position is None:
        return Refusal("risk.strategy_limit", "the strategy is not known")
    limit = subject.strategy.risk_limit
    if limit is None:
        return Refusal("risk.strategy_limit", "the strategy's risk_limit is not known")
    assert subject.mark is not None
    book, position = subject.exposures.strategies, subject.strategy_position
    buys, sells = position.working_buys, position.working_sells
    before = worst_quantity(position.quantity, buys, sells)
    if subject.order.is_buy:
        buys += subject.added
    else:
        sells += subject.added
    worst = worst_quantity(position.quantity, buys, sells)
    after = book.of(order.strategy).gross - book.worst(order.strategy, order.symbol) + worst * subject.mark
    if worst > before and after > limit:
        return Refusal("risk.strategy_limit", "above the strategy's risk_limit, working orders counted", limit, after)
    return None


def gross_limit(account: Account, exposures: Exposures, multiple: object) -> Decimal:
    """Return an account's gross limit in money; where the control is off, its equity."""
    equity = exposures.equity(account)
    return equity * multiple if isinstance(multiple, Decimal) else equity


def _increase(subject: Review) -> Decimal:
    """Return what the order adds to the gross exposure, its symbol's line valued at the price of now."""
    assert subject.mark is not None
    line = subject.exposures.accounts.worst(subject.order.account, subject.order.symbol)
    return subject.size_after * subject.mark - line
