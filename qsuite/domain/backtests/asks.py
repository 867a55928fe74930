"""What a trader asked for: kept from its decision until the next print of the symbol, then placed as an order."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from qsuite.domain.backtests.engine import Engine
from qsuite.domain.backtests.sizes import Closing, Exactly, OfEquity, Size
from qsuite.domain.money import MONEY
from qsuite.domain.signals import Intent
from qsuite.domain.strategy_orders import NO_ROOM, NOTHING_HELD
from qsuite.domain.strategy_orders import Desk as Sizing
from qsuite.domain.trading.commands import PlaceOrder
from qsuite.domain.trading.commission import Commission
from qsuite.domain.trading.order import WITH_STOP, OrderType, Side, StopLoss, TakeProfit, TimeInForce
from qsuite.domain.trading.paper import touchline
from qsuite.domain.trading.paper.basis import slipped

NOTHING_TO_DO = frozenset({NOTHING_HELD, NO_ROOM})
"""Who holds nothing has nothing to close, who holds their share nothing to buy: that is no refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One decision of a trader; ``id`` becomes the order's. ``decided_at`` is the end of the bar it was made on."""

    id: UUID
    symbol: str
    size: Size
    decided_at: int
    order_type: OrderType = OrderType.MARKET
    price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_percent: Decimal | None = None
    trail_price: Decimal | None = None
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An order that was asked for and not let through, with the code and the detail of why."""

    ts: int
    symbol: str
    side: Side | None
    quantity: Decimal | None
    code: str
    detail: str = ""
    tag: str = ""


class Asks:
    """All that was ever asked for (``made``), what still ``waits`` to be placed, and what was ``refused``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.made: dict[UUID, Ask] = {}
        self.waits: list[Ask] = []
        self.refused: list[Refused] = []

    def add(self, ask: Ask) -> None:
        """Keep what was asked for."""
        self.made[ask.id] = ask
        self.waits.append(ask)

    def rest(self) -> None:
        """Place the stops that nothing asked for before them keeps back: they wait for the next print, and see it."""
        kept: list[Ask] = []
        for ask in self.waits:
            rests = ask.order_type in WITH_STOP and self._engine.price(ask.symbol) is not None
            if not rests or _is_due(self._engine, ask) or any(each.symbol == ask.symbol for each in kept):
                kept.append(ask)
            else:
                self._place(ask)
        self.waits = kept

    def place(self, symbols: Collection[str]) -> None:
        """Place what waits for these symbols, in the order it was asked for."""
        due = [ask for ask in self.waits if ask.symbol in symbols]
        if not due:
            return
        self._engine.mark(orders=True)
        self.waits = [ask for ask in self.waits if ask.symbol not in symbols]
        for ask in due:
            self._place(ask)
        for symbol in dict.fromkeys(ask.symbol for ask in due):  # legs that the print is beyond already have their turn
            self._engine.show_again(symbol)

    def _place(self, ask: Ask) -> None:
        if isinstance(ask.size, Closing):
            self._engine.cancel(order.id for order in self._engine.protecting(ask.symbol))
        refused = place(self._engine, ask)
        if refused is not None and refused.code not in NOTHING_TO_DO:
            self.refused.append(refused)


def place(engine: Engine, ask: Ask) -> Refused | None:
    """Place what was asked for at the market as it is now; say so where no order came of it."""
    found = ask.size.intent(sizing(engine, ask))
    if isinstance(found, str):
        return Refused(ts=engine.now, symbol=ask.symbol, side=None, quantity=None, code=found, tag=ask.tag)
    if _is_due(engine, ask):
        # Live the controls refuse a stop that is passed. Between close and open nobody could have taken it back.
        ask = replace(ask, order_type=OrderType.MARKET if ask.price is None else OrderType.LIMIT, stop_price=None)
    engine.send(_command(engine, ask, found))
    return None


def _is_due(engine: Engine, ask: Ask) -> bool:
    """Say whether the market has passed a stop that does not work yet, so that it is the order it would become."""
    if ask.stop_price is None or not isinstance(ask.size, Exactly | OfEquity):
        return False
    price = touchline(engine.market(ask.symbol), ask.size.side is Side.BUY, engine.state.rules)
    if price is None:
        return False
    return price >= ask.stop_price if ask.size.side is Side.BUY else price <= ask.stop_price


def sizing(engine: Engine, ask: Ask) -> Sizing:
    """Return what an order is sized by now."""
    held = engine.position(ask.symbol)
    ticker = engine.tickers[ask.symbol]
    equity = engine.value().equity
    return Sizing(
        held=held.quantity,
        working_buys=held.working_buys,
        working_sells=held.working_sells,
        price=_cost_of_one(engine, ask, equity),
        lot_size=ticker.lot_size,
        equity=equity,
    )


def _cost_of_one(engine: Engine, ask: Ask, equity: Decimal) -> Decimal:
    """Return the most a unit costs to buy with all the equity: its price, slipped as far as it may, and commission.

    A commission with a minimum weighs more on a smaller order: then it is more than this, by less than the minimum.
    """
    ticker = engine.tickers[ask.symbol]
    rules = engine.state.rules.for_ticker(ticker)
    price = ask.price or ask.stop_price or touchline(engine.market(ask.symbol), buy=True, rules=rules)
    assert price is not None, "an order is placed once its symbol has shown a price"
    limits = engine.terms.limits
    if isinstance(limits.price_collar, Decimal):
        price *= 1 + limits.price_collar
    else:
        price = slipped(price, rules.slippage_max_bps, ticker.tick_size, buy=True)
    return price + _commission_of_one(rules.commission, equity, price)


def _commission_of_one(model: Commission, equity: Decimal, price: Decimal) -> Decimal:
    quantity = max(Decimal(1), MONEY.divide(equity, price))
    return MONEY.divide(model.total(quantity, quantity * price), quantity)


def _command(engine: Engine, ask: Ask, intent: Intent) -> PlaceOrder:
    return PlaceOrder(
        id=ask.id,
        account=engine.account.id,
        user=engine.account.user,
        symbol=ask.symbol,
        side=intent.side,
        order_type=ask.order_type,
        quantity=intent.quantity,
        time_in_force=ask.time_in_force,
        price=ask.price,
        stop_price=ask.stop_price,
        trail_percent=ask.trail_percent,
        trail_price=ask.trail_price,
        reduce_only=ask.reduce_only,
        take_profit=ask.take_profit,
        stop_loss=ask.stop_loss,
    )
