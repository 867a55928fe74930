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
    """Return the order to place, or the code of why there is none."""
    assert advice is not Advice.HOLD, "a HOLD never becomes an order"
    side = Side.BUY if advice is Advice.BUY else Side.SELL
    wanted = _wanted(strategy, side, desk)
    if side is Side.SELL and not strategy.parameters.get("allow_short", False):
        free = desk.held - desk.working_sells
        if free <= ZERO:
            return NOTHING_HELD
        wanted = free if wanted is None else min(wanted, free)
    if wanted is None:
        wanted = _share(strategy, side, desk)
        if wanted <= ZERO:
            return NO_ROOM
    lots = MONEY.divide(wanted, desk.lot_size).to_integral_value(ROUND_DOWN)
    return Intent(side, MONEY.multiply(lots, desk.lot_size)) if lots > ZERO else TOO_SMALL


def _wanted(strategy: Strategy, side: Side, desk: Desk) -> Decimal | None:
    """Return the quantity that the parameters name, None where they leave it to the limit."""
    given = strategy.parameters
    if "quantity" in given:
        return Decimal(given["quantity"])
    if "order_value" in given:
        return MONEY.divide(given["order_value"], desk.price)
    if "equity_fraction" in given:
        return MONEY.divide(MONEY.multiply(desk.equity, given["equity_fraction"]), desk.price)
    return None


def _share(strategy: Strategy, side: Side, desk: Desk) -> Decimal:
    """Return what is left of an even share of the limit, with working orders taken for filled."""
    exposed = desk.held + desk.working_buys if side is Side.BUY else desk.working_sells - desk.held
    share = MONEY.divide(strategy.risk_limit, Decimal(max(1, len(strategy.symbols))))
    return MONEY.divide(share, desk.price) - exposed
