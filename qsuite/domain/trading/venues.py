"""Where a working order is until it trades: on its way, resting beside the paper market, or in its symbol's book.

Invariant: a working order is in one of these, and its ``arrival`` says behind whom.
"""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.money import ZERO
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.book import Book
from qsuite.domain.trading.due import Due
from qsuite.domain.trading.order import WORKING, Order
from qsuite.domain.trading.resting import RestingOrders

BOOK = "book"


class Venues:
    """The paper market's resting orders and the books, by symbol.

    ``changed`` names the books that changed since somebody took the names away. ``held`` is the market of symbols whose
    newest ticks are still to be met: decisions see it, not what was published since.
    """

    def __init__(
        self,
        *,
        ticker: Callable[[str], Ticker | None],
        market: Callable[[str], Snapshot],
        owner: Callable[[Order], UUID],
    ) -> None:
        self.resting: dict[str, RestingOrders] = {}
        self.books: dict[str, Book[Decimal]] = {}
        self.last_trades: dict[str, Trade] = {}
        self.delayed = Due()
        self.changed: set[str] = set()
        self.held: dict[str, Snapshot] = {}
        self._ticker = ticker
        self._market = market
        self._owner = owner

    def market(self, symbol: str) -> Snapshot:
        """Return what is known of a market now: of a book, what stands and last traded in it."""
        book = self.books.get(symbol)
        if book is None:
            return self.held.get(symbol) or self._market(symbol)
        bid, ask = book.bid, book.ask
        trade = self.last_trades.get(symbol) or self._market(symbol).trade
        if bid is None and ask is None:
            return Snapshot(trade, None)
        quote = Quote(
            symbol,
            0 if trade is None else trade.ts_ns,
            None if bid is None else bid.price,
            None if ask is None else ask.price,
            None if bid is None else bid.quantity,
            None if ask is None else ask.quantity,
        )
        return Snapshot(trade, quote)

    def has_book(self, symbol: str) -> bool:
        """Say whether orders in a symbol meet each other, not the market."""
        ticker = self._ticker(symbol)
        return ticker is not None and ticker.execution_mode == BOOK

    def book(self, symbol: str) -> Book[Decimal]:
        """Return the order book of a symbol; a new one is empty."""
        book = self.books.get(symbol)
        if book is None:
            book = self.books[symbol] = Book(ZERO)
            book.changes()  # begins the watch
        return book

    def place(self, order: Order) -> None:
        """Put a working order where its arrival says."""
        if order.status not in WORKING or order in self.delayed:
            return
        if not order.waits and self.has_book(order.symbol):
            assert order.limit is not None, "what a book does not fill of a market order is cancelled"
            self.book(order.symbol).add(order.id, self._owner(order), order.is_buy, order.limit, order.remaining)
            self.changed.add(order.symbol)
        else:
            self.resting.setdefault(order.symbol, RestingOrders()).add(order)

    def take_out(self, order: Order) -> None:
        """Take an order out of wherever it is, if it is anywhere."""
        self.delayed.remove(order)
        resting = self.resting.get(order.symbol)
        if resting is not None:
            resting.remove(order)
        book = self.books.get(order.symbol)
        if book is not None and order.id in book:
            book.remove(order.id)
            self.changed.add(order.symbol)

    def shrink(self, order: Order) -> None:
        """Tell the book that an order resting there became smaller."""
        book = self.books.get(order.symbol)
        resting = None if book is None else book.find(order.id)
        if book is not None and resting is not None and order.remaining < resting.quantity:
            book.reduce(order.id, resting.quantity - order.remaining)
            self.changed.add(order.symbol)
