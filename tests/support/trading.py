"""A trading state without storage: one ticker, one market, one account, commands in a line each."""

import itertools
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.reference import Ticker
from qsuite.domain.strategies import Strategy
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.commands import Command, MarketMoved, Outcome, PlaceOrder, Scope
from qsuite.domain.trading.decide import decide
from qsuite.domain.trading.order import Order, OrderType, Side, TimeInForce
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import OFF, LimitBook, Limits, ReferenceTape, ScopeLimits
from qsuite.domain.trading.state import TradingState

USER = UUID(int=1)
ACCOUNT = UUID(int=2)
STRATEGY = UUID(int=3)
OTHER, OTHER_USER = UUID(int=3), UUID(int=4)
NOW = 1_700_000_000 * NS_PER_S
FAR = Limits(price_collar_passive=OFF, price_collar_window=OFF, reference_suspect=OFF)
"""The defaults, but orders may rest far from the market, and the market may move wildly."""


class Desk:
    """Send commands to a state and look at what it answers."""

    def __init__(self, *, cash: str = "100000", limits: Limits | None = None, rules: FillRules | None = None) -> None:
        self.ids = (UUID(int=number) for number in itertools.count(1000))
        self.now = NOW
        self.market: dict[str, Snapshot] = {}
        self.tickers: dict[str, Ticker] = {}
        self.strategies: dict[UUID, Strategy] = {}
        self.tape = ReferenceTape()
        self.add_ticker("IBM", last="100.00")
        self.state = TradingState(
            limits=LimitBook(limits or FAR),
            reference=self.tape.look,
            strategy=self.strategies.get,
            rules=rules or FillRules(),
            ticker=self.tickers.get,
            market=lambda symbol: self.market.get(symbol, Snapshot()),
            new_id=lambda: next(self.ids),
        )
        self.account = Account(
            id=ACCOUNT, user=USER, name="desk", currency="USD", cash=Decimal(cash), deposited=Decimal(cash),
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        self.state.load([self.account], [], [])

    def add_ticker(self, symbol: str, last: str | None = None, **changed: Any) -> None:
        self.tickers[symbol] = Ticker(id=UUID(int=len(self.tickers) + 10), symbol=symbol, name=symbol, **changed)
        if last is not None:
            self.trade(last, symbol)

    def trade(self, price: str, symbol: str = "IBM", ts_ns: int = 1, size: str = "1000000") -> Trade:
        trade = Trade(symbol, ts_ns, Decimal(price), Decimal(size))
        self.market[symbol] = self.market.get(symbol, Snapshot())._replace(trade=trade)
        self.tape.see(trade, self.now)
        return trade

    def quote(self, bid: str | None, ask: str | None, symbol: str = "IBM", ts_ns: int = 1) -> Quote:
        quote = Quote(symbol, ts_ns, bid and Decimal(bid), ask and Decimal(ask))  # type: ignore[arg-type]
        self.market[symbol] = self.market.get(symbol, Snapshot())._replace(quote=quote)
        self.tape.see(quote, self.now)
        return quote

    def move(self, price: str, symbol: str = "IBM", **changed: Any) -> Outcome:
        """Let a trade happen, and the orders see it."""
        return self.send(MarketMoved(ticks=[self.trade(price, symbol, **changed)]))

    def limit(self, **figures: Any) -> None:
        """Let these figures hold for all, as a risk manager's change would; None is one that cannot be read."""
        known = self.state.limits.scopes.get((Scope.GLOBAL, None))
        before = {} if known is None else dict(known.figures)
        self.state.limits.put(ScopeLimits(Scope.GLOBAL, None, before | figures))

    def add_strategy(self, risk_limit: str = "1000000", id_: UUID = STRATEGY) -> UUID:
        self.strategies[id_] = Strategy(
            id=id_, name="made up", account=ACCOUNT, created_by=USER, risk_limit=Decimal(risk_limit)
        )
        return id_

    def send(self, command: Command) -> Outcome:
        return decide(self.state, command, self.now)

    def command(self, side: str, quantity: str | int, price: str | None = None, **changed: Any) -> PlaceOrder:
        given: dict[str, Any] = {
            "id": next(self.ids),
            "account": ACCOUNT,
            "user": USER,
            "symbol": "IBM",
            "side": Side(side),
            "order_type": OrderType.MARKET if price is None else OrderType.LIMIT,
            "quantity": Decimal(quantity),
            "price": None if price is None else Decimal(price),
            "time_in_force": TimeInForce.DAY,
        }
        return PlaceOrder(**(given | changed))

    def place(self, side: str, quantity: str | int, price: str | None = None, **changed: Any) -> Order:
        outcome = self.send(self.command(side, quantity, price, **changed))
        assert outcome.order is not None
        return outcome.order

    def refusal(self, side: str, quantity: str | int, price: str | None = None, **changed: Any) -> str | None:
        """Place and return the code it was refused with, None if it passed."""
        order = self.place(side, quantity, price, **changed)
        return None if order.reject is None else str(order.reject["code"])


class Pit(Desk):
    """Two accounts, of which the other holds stock, and a book called NEW."""

    def __init__(self, **changed: Any) -> None:
        super().__init__(**changed)
        self.add_ticker("NEW", execution_mode="book")
        self.other = Account(
            id=OTHER, user=OTHER_USER, name="other", currency="USD", cash=Decimal(100_000),
            deposited=Decimal(100_000), created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        self.state.load([self.other])
        for account in (ACCOUNT, OTHER):
            position = self.state.position(account, "NEW")
            position.quantity, position.cost = Decimal(100), Decimal(1000)
            self.state.exposures.changed(position)

    def mine(self, side: str, quantity: int, price: str | None = None, **changed: Any) -> Order:
        return self.place(side, quantity, price, symbol="NEW", **changed)

    def theirs(self, side: str, quantity: int, price: str | None = None, **changed: Any) -> Order:
        return self.place(side, quantity, price, symbol="NEW", account=OTHER, user=OTHER_USER, **changed)

    def now_of(self, order: Order) -> Order:
        found = self.state.find(order.id)
        assert found is not None
        return found
