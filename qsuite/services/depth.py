"""Depth of a market: its price levels, each with its quantity and number of orders.

    book symbol, this process trades    what the engine announced once it was durable
    book symbol, another one trades     what is stored: open orders, read again while somebody listens
    paper symbol                        the last quote: one level a side, whose number of orders nobody knows

Place on an order's way: after it is durable. A message on ``depth:SYM`` holds the levels that changed, as they are now;
quantity 0 takes a level away. One with ``full`` stands for everything before it: a subscription starts with such a
one, and a reader that fell behind gets one in the place of all it missed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from qsuite.domain.channels import EVERY_SYMBOL, parse_channel
from qsuite.domain.listing import Condition, Listing
from qsuite.domain.market import Quote, Tick
from qsuite.domain.money import ZERO, show
from qsuite.domain.reference import Ticker
from qsuite.domain.roles import Caller
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.book import Book, LevelChange
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.order import WORKING
from qsuite.repos.orders import OrdersRepo
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.services.stream import StreamHub

Message = dict[str, Any]
# (buys, price) to quantity (None: unknown) and number of orders (None: unknown)
Levels = dict[tuple[bool, Decimal], tuple[Decimal | None, int | None]]

BOOK = "book"
STORED_PAGE = 1_000
STORED_EVERY_S = 1.0


@dataclass(slots=True)
class Told:
    """What listeners were told of a symbol: a level that is gone must be taken away from them too."""

    book: Book[Decimal] | None
    levels: Levels = field(default_factory=dict)


class DepthService:
    """Answer and publish depth. ``engine.listen(heard)`` and ``market.on_ticks(quoted)`` feed it."""

    name = "depth"
    interval_s = STORED_EVERY_S

    def __init__(
        self,
        *,
        engine: TradingEngine,
        orders: OrdersRepo,
        market: MarketDataService,
        reference: ReferenceService,
        stream: StreamHub,
        clock: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._orders = orders
        self._market = market
        self._reference = reference
        self._stream = stream
        self._clock = clock
        self._told: dict[str, Told] = {}
        self._followed: set[str] = set()
        stream.snapshot_source("depth", self._snapshot)
        stream.whole_source("depth", self._whole)

    async def show(self, symbol: str, levels: int) -> Message:
        """Show the best levels of each side of a symbol, best first. NotFound for an unknown one."""
        ticker = self._reference.require(symbol)
        return self._document(ticker.symbol, await self._read(ticker), levels)

    # -- what happened ------------------------------------------------------------------------------------------

    def heard(self, announcements: Sequence[Announcement]) -> None:
        """Take the changes of books out of a batch that is durable."""
        for kind, _, what in announcements:
            if kind == "depth":
                self.changed(what[0], what[1])

    def changed(self, symbol: str, changes: Iterable[LevelChange[Decimal]]) -> None:
        """Publish changes of a book's levels. The first ones of a book hold all its levels, what is gone left out."""
        now: Levels = {(one.buy, one.price): (one.quantity, one.orders) for one in changes}
        book = self._engine.memory.venues.books.get(symbol)
        told = self._told.get(symbol)
        if told is None or told.book is not book:
            before = {} if told is None else told.levels
            now = dict.fromkeys(before.keys() - now.keys(), (ZERO, 0)) | now
            told = self._told[symbol] = Told(book, before)
        for place, (quantity, orders) in now.items():
            if quantity == 0:
                told.levels.pop(place, None)
            else:
                told.levels[place] = quantity, orders
        self._publish(symbol, now, self._clock())

    def quoted(self, ticks: Sequence[Tick]) -> None:
        """Publish new quotes of paper symbols as changes of their one level a side."""
        for tick in ticks:
            if isinstance(tick, Quote) and self._stream.wanted(f"depth:{tick.symbol}"):
                ticker = self._reference.ticker(tick.symbol)
                if ticker is not None and ticker.execution_mode != BOOK:
                    self._differ(tick.symbol, levels_of(tick), tick.ts_ns)

    async def run_once(self, now: int) -> None:
        """Where another process trades: publish what became different in the stored orders of listened symbols."""
        if self._engine.state is EngineState.ACTIVE:
            self._followed.clear()
        for symbol in list(self._followed):
            if self._stream.wanted(f"depth:{symbol}"):
                self._differ(symbol, await self._stored(symbol), now)
            else:
                self._followed.discard(symbol)

    def _differ(self, symbol: str, levels: Levels, ts_ns: int) -> None:
        told = self._told.get(symbol) or Told(None)
        gone: Levels = dict.fromkeys(told.levels.keys() - levels.keys(), (ZERO, 0))
        new = {place: level for place, level in levels.items() if told.levels.get(place) != level}
        self._told[symbol] = Told(None, levels)
        if gone or new:
            self._publish(symbol, gone | new, ts_ns)

    def _publish(self, symbol: str, levels: Levels, ts_ns: int) -> None:
        channel = f"depth:{symbol}"
        if levels and self._stream.wanted(channel):
            self._stream.publish(channel, message_of(symbol, levels, ts_ns, full=False))

    # -- what is ------------------------------------------------------------------------------------------------

    async def _read(self, ticker: Ticker) -> Levels:
        """Read all levels of a symbol; of a book only what was durable, as far as it changed since the start."""
        symbol = ticker.symbol
        if ticker.execution_mode != BOOK or self._engine.state is EngineState.ACTIVE:
            return self._known(ticker)
        levels = await self._stored(symbol)
        self._followed.add(symbol)
        self._differ(symbol, levels, self._clock())
        return levels

    def _known(self, ticker: Ticker) -> Levels:
        """Return what this process knows without asking storage."""
        symbol = ticker.symbol
        told = self._told.get(symbol)
        if ticker.execution_mode != BOOK:
            quote = self._market.snapshot(symbol).quote
            return {} if quote is None else levels_of(quote)
        book = self._engine.memory.venues.books.get(symbol)
        if told is not None and told.book is book:
            return told.levels
        if book is None or self._engine.state is not EngineState.ACTIVE:
            return {} if told is None else told.levels
        return {
            (buy, level.price): (level.quantity, level.orders)
            for buy in (True, False)
            for level in book.levels(buy=buy)
        }

    async def _stored(self, symbol: str) -> Levels:
        """Add up the stored open orders of a symbol."""
        wanted = (Condition("symbol", "eq", symbol), Condition("status", "in", tuple(WORKING)))
        levels: Levels = {}
        cursor: str | None = ""
        while cursor is not None:
            page = await self._orders.page(Listing(wanted, page_size=STORED_PAGE, cursor=cursor), None)
            cursor = page.next_cursor
            for order in page.items:
                if order.limit is not None and not order.waits:
                    place = order.is_buy, order.limit
                    quantity, orders = levels.get(place, (ZERO, 0))
                    levels[place] = (quantity or ZERO) + order.remaining, (orders or 0) + 1
        return levels

    def _document(self, symbol: str, levels: Levels, most: int) -> Message:
        bids, asks = sides_of(levels)
        return {"symbol": symbol, "ts": format_rfc3339(self._clock()), "bids": bids[:most], "asks": asks[:most]}

    # -- the stream ---------------------------------------------------------------------------------------------

    async def _snapshot(self, caller: Caller, channel: str) -> list[Message]:
        symbol = parse_channel(channel).symbol
        tickers = self._reference.tickers() if symbol == EVERY_SYMBOL else [self._reference.require(symbol)]
        messages: list[Message] = []
        for ticker in tickers:
            levels = await self._read(ticker)
            if ticker.execution_mode != BOOK:
                self._told[ticker.symbol] = Told(None, levels)
            if levels or symbol != EVERY_SYMBOL:
                messages.append(message_of(ticker.symbol, levels, self._clock(), full=True))
        return messages

    def _whole(self, channel: str) -> Mapping[str, Any]:
        symbol = parse_channel(channel).symbol
        ticker = self._reference.ticker(symbol)
        levels = {} if ticker is None else self._known(ticker)
        return message_of(symbol, levels, self._clock(), full=True)


def levels_of(quote: Quote) -> Levels:
    """Return the levels a quote shows."""
    sides = ((True, quote.bid, quote.bid_size), (False, quote.ask, quote.ask_size))
    return {(buy, price): (size, None) for buy, price, size in sides if price is not None}


def sides_of(levels: Levels) -> tuple[list[list[Any]], list[list[Any]]]:
    """Show bids and asks, best first, as [price, quantity, orders]."""
    ranked = sorted(levels.items(), key=lambda item: item[0][1])
    bids = [shown(place, level) for place, level in reversed(ranked) if place[0]]
    return bids, [shown(place, level) for place, level in ranked if not place[0]]


def shown(place: tuple[bool, Decimal], level: tuple[Decimal | None, int | None]) -> list[Any]:
    """Show one level; what nobody knows is null."""
    quantity, orders = level
    return [show(place[1]), None if quantity is None else show(quantity), orders]


def message_of(symbol: str, levels: Levels, ts_ns: int, *, full: bool) -> Message:
    """Show levels as the stream does."""
    bids, asks = sides_of(levels)
    return {
        "type": "depth",
        "ts": format_rfc3339(ts_ns),
        "symbol": symbol,
        "full": full,
        "bids": bids,
        "asks": asks,
    }
