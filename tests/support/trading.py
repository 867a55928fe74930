"""A trading state without storage: one ticker, one market, one account, commands in a line each."""

import itertools
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.reference import Ticker
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.commands import Command, Outcome, PlaceOrder
from qsuite.domain.trading.decide import decide
from qsuite.domain.trading.order import Order, OrderType, Side, TimeInForce
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import OFF, LimitBook, Limits, ReferencePrice
from qsuite.domain.trading.state import TradingState

USER = UUID(int=1)
ACCOUNT = UUID(int=2)
NOW = 1_700_000_000 * NS_PER_S
FAR = Limits(price_collar_passive=OFF)
"""The defaults, but orders may rest far from the market."""


class Desk:
    """Send commands to a state and look at what it answers."""

    def __init__(self, *, cash: str = "100000", limits: Limits | None = None, rules: FillRules | None = None) -> None:
        self.ids = (UUID(int=number) for number in itertools.count(1000))
        self.now = NOW
        self.market: dict[str, Snapshot] = {}
        self.tickers: dict[str, Ticker] = {}
        self.add_ticker("IBM", last="100.00")
        self.state = TradingState(
            limits=LimitBook(limits or FAR),
            reference=lambda symbol: ReferencePrice(),
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
        return trade

    def quote(self, bid: str | None, ask: str | None, symbol: str = "IBM", ts_ns: int = 1) -> Quote:
        quote = Quote(symbol, ts_ns, bid and Decimal(bid), ask and Decimal(ask))  # type: ignore[arg-type]
        self.market[symbol] = self.market.get(symbol, Snapshot())._replace(quote=quote)
        return quote

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
