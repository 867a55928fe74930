"""What a strategy's signal amounts to as an order: which side, how many, or why none.

Whatever comes out here still has to pass the engine's controls; this only keeps a strategy from asking for what it
knows it may not have.
"""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from qsuite.domain.analytics.signals import Advice
from qsuite.domain.money import MONEY, ZERO
from qsuite.domain.signals import Intent
from qsuite.domain.strategies import Strategy
from qsuite.domain.trading.order import Side

NOTHING_HELD = "strategy.nothing_held"
TOO_SMALL = "strategy.size_below_lot"
NO_ROOM = "strategy.no_room"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What is known where an order is sized.

    ``held`` is the strategy's own position, negative when short; ``working_buys`` and ``working_sells`` what its open
    orders may still trade; ``price`` what a unit may cost at worst, as the controls will reckon.
    """

    held: Decimal
    working_buys: Decimal
    working_sells: Decimal
    price: Decimal
    lot_size: Decimal
    equity: Decimal


def intent_of(strategy: Strategy, advice: Advice, desk: Desk) -> Intent | str:
    """Return the order to place, or the code of why there is none.

    A side first closes all that is held the other way: sizes are of what an order opens. Without ``allow_short`` a sale
    only closes. A ``quantity`` is taken at its word, and sells no more than there is.
    """
    assert advice is not Advice.HOLD, "a HOLD never becomes an order"
    side = Side.BUY if advice is Advice.BUY else Side.SELL
    closes = max(ZERO, _free(side, desk))
    shorts = strategy.parameters.get("allow_short", False)
    if side is Side.SELL and not shorts and not closes:
        return NOTHING_HELD
    fixed: Decimal | None = strategy.parameters.get("quantity")
    if side is Side.SELL and not shorts:
        wanted = closes if fixed is None else min(fixed, closes)
    else:
        wanted = _wanted(strategy, desk, closes, exposed=-_free(side, desk)) if fixed is None else fixed
    if wanted <= ZERO:
        return NO_ROOM
    lots = MONEY.divide(wanted, desk.lot_size).to_integral_value(ROUND_DOWN)
    if lots > ZERO:
        return Intent(side, MONEY.multiply(lots, desk.lot_size))
    return NO_ROOM if _is_part(strategy) and _free(side, desk) < ZERO else TOO_SMALL


def _free(side: Side, desk: Desk) -> Decimal:
    """Return what a side could close, with working orders taken for filled; below zero what it has opened already."""
    return desk.held - desk.working_sells if side is Side.SELL else -(desk.held + desk.working_buys)


def _is_part(strategy: Strategy) -> bool:
    """Say whether a position has a size of its own to grow to, rather than each order one."""
    return "order_value" not in strategy.parameters and "quantity" not in strategy.parameters


def _wanted(strategy: Strategy, desk: Desk, closes: Decimal, exposed: Decimal) -> Decimal:
    """Return what closes what is held the other way, and opens what a value or a part of a whole pays for."""
    given = strategy.parameters
    if "order_value" in given:
        return closes + MONEY.divide(given["order_value"], desk.price)
    if "equity_fraction" in given:
        return MONEY.divide(MONEY.multiply(desk.equity, given["equity_fraction"]), desk.price) - exposed
    share = MONEY.divide(strategy.risk_limit, Decimal(max(1, len(strategy.symbols))))
    return MONEY.divide(share, desk.price) - exposed
