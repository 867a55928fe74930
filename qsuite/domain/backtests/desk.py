"""What a trader sees and may ask for.

    desk.bars("IBM").closes          the closes up to now, as an array
    desk.buy("IBM", 10, stop_loss=0.97 * desk.bars("IBM").closes[-1])
    desk.sell("IBM", fraction=1)     short for all the equity there will be when it fills
    desk.close("IBM")

What is asked for acts from the symbol's next print on; cancels act at once, because between a close and the next open
nothing trades. Invariant: nothing a desk shows depends on what comes after the bar that was closed last.
"""

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, TypedDict, Unpack
from uuid import UUID

from qsuite.domain.backtests.asks import Ask, Asks
from qsuite.domain.backtests.engine import Engine
from qsuite.domain.backtests.history import History
from qsuite.domain.backtests.sizes import Closing, Exactly, OfEquity, Size
from qsuite.domain.money import MONEY, parse_decimal
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.order import Order, OrderType, Side, StopLoss, TakeProfit, TimeInForce

Number = Decimal | int | float | str
"""An exact decimal, or a float: that is rounded to the nearest tick as a price, to the nearest lot as a quantity."""


class Wanted(TypedDict, total=False):
    """How an order is to trade: at the market, or with a limit, a stop, both, or a trail.

    ``take_profit`` and ``stop_loss`` are prices that protect what it fills, one cancelling the other.
    """

    limit: Number
    stop: Number
    trail_price: Number
    trail_percent: Number
    take_profit: Number
    stop_loss: Number
    time_in_force: TimeInForce
    reduce_only: bool
    tag: str


class Desk:
    """One trader's desk. ``closed`` names the symbols of which a bar just closed."""

    def __init__(self, engine: Engine, asks: Asks, histories: Mapping[str, History]) -> None:
        self._engine = engine
        self._asks = asks
        self._histories = histories
        self.closed: tuple[str, ...] = ()

    # -- looking ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Return what time it is, in nanoseconds: the end of the newest bar."""
        return self._engine.now

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return what may be traded."""
        return tuple(self._engine.tickers)

    @property
    def equity(self) -> Decimal:
        """Return what the account is worth."""
        return self._engine.value().equity

    @property
    def cash(self) -> Decimal:
        """Return the money in hand."""
        return self._engine.account.cash

    def bars(self, symbol: str) -> History:
        """Return a symbol's bars up to now."""
        return self._histories[symbol]

    def ticker(self, symbol: str) -> Ticker:
        """Return a symbol's tick size, lot size and so on. LookupError for one that is not traded here."""
        return self._engine.tickers[symbol]

    def position(self, symbol: str) -> Decimal:
        """Return how much is held, below zero when short."""
        return self._engine.position(symbol).quantity

    def orders(self, symbol: str | None = None, tag: str | None = None) -> Iterator[Order]:
        """Yield copies of the open orders, of a symbol and with a tag if given; not what still waits to be placed."""
        for order in list(self._engine.state.orders.values()):
            if symbol in (None, order.symbol) and tag in (None, self.tag_of(order)):
                yield order.copy()

    def tag_of(self, order: Order) -> str:
        """Return the tag an order was asked for with; legs have their entry's."""
        ask = self._asks.made.get(order.parent or order.id)
        return "" if ask is None else ask.tag

    # -- asking -----------------------------------------------------------------------------------------------------

    def buy(
        self, symbol: str, quantity: Number | None = None, *, fraction: Number | None = None, **wanted: Unpack[Wanted]
    ) -> UUID:
        """Ask to buy a quantity, or for a fraction of the equity; return the order's id."""
        return self.ask(symbol, self._size(Side.BUY, symbol, quantity, fraction), **wanted)

    def sell(
        self, symbol: str, quantity: Number | None = None, *, fraction: Number | None = None, **wanted: Unpack[Wanted]
    ) -> UUID:
        """Ask to sell a quantity, or for a fraction of the equity; return the order's id."""
        return self.ask(symbol, self._size(Side.SELL, symbol, quantity, fraction), **wanted)

    def close(self, symbol: str, tag: str = "") -> UUID:
        """Ask to sell or buy back at the market what is held by then; nothing comes of it where that is nothing.

        Orders that only reduce the position, as stops and targets do, are cancelled for it.
        """
        return self.ask(symbol, Closing(), tag=tag)

    def ask(self, symbol: str, size: Size, **wanted: Unpack[Wanted]) -> UUID:
        """Ask for an order of any size; return its id."""
        ask = _ask(self._engine.new_id(), self.ticker(symbol), size, self.now, wanted)
        self._asks.add(ask)
        return ask.id

    def cancel(self, order: UUID | None = None, *, symbol: str | None = None, tag: str | None = None) -> None:
        """Cancel an order by its id, or all of a symbol, of a tag, or at all; also what still waits to be placed."""

        def meant(identity: UUID, of_symbol: str, of_tag: str) -> bool:
            return order in (None, identity) and symbol in (None, of_symbol) and tag in (None, of_tag)

        self._asks.waits = [ask for ask in self._asks.waits if not meant(ask.id, ask.symbol, ask.tag)]
        self._engine.cancel(each.id for each in self.orders() if meant(each.id, each.symbol, self.tag_of(each)))

    def _size(self, side: Side, symbol: str, quantity: Number | None, fraction: Number | None) -> Size:
        if (quantity is None) == (fraction is None):
            raise ValueError("give a quantity, or a fraction of the equity")
        if quantity is not None:
            return Exactly(side, _on_grid(quantity, self.ticker(symbol).lot_size))
        assert fraction is not None
        return OfEquity(side, _exact(fraction))


def _ask(identity: UUID, ticker: Ticker, size: Size, now: int, wanted: Wanted) -> Ask:
    def price(name: str) -> Decimal | None:
        raw: Number | None = wanted.get(name)  # type: ignore[assignment]
        return None if raw is None else _on_grid(raw, ticker.tick_size)

    target, loss = price("take_profit"), price("stop_loss")
    percent = wanted.get("trail_percent")
    return Ask(
        id=identity,
        symbol=ticker.symbol,
        size=size,
        decided_at=now,
        order_type=_type_of(wanted),
        price=price("limit"),
        stop_price=price("stop"),
        trail_price=price("trail_price"),
        trail_percent=None if percent is None else _exact(percent),
        take_profit=None if target is None else TakeProfit(target),
        stop_loss=None if loss is None else StopLoss(loss),
        time_in_force=wanted.get("time_in_force", TimeInForce.GTC),
        reduce_only=wanted.get("reduce_only", False),
        tag=wanted.get("tag", ""),
    )


def _type_of(wanted: Mapping[str, Any]) -> OrderType:
    if "trail_price" in wanted or "trail_percent" in wanted:
        return OrderType.TRAILING_STOP
    if "stop" in wanted:
        return OrderType.STOP_LIMIT if "limit" in wanted else OrderType.STOP
    return OrderType.LIMIT if "limit" in wanted else OrderType.MARKET


def _on_grid(raw: Number, step: Decimal) -> Decimal:
    """Read a number; a float goes to the nearest multiple of the step, an exact decimal stays for the controls."""
    if not isinstance(raw, float):
        return parse_decimal(raw)
    return MONEY.multiply(MONEY.divide(_exact(raw), step).to_integral_value(ROUND_HALF_EVEN), step)


def _exact(raw: Number) -> Decimal:
    return parse_decimal(repr(float(raw)) if isinstance(raw, float) else raw)
