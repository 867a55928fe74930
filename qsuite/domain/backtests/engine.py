"""The engine of a backtest: the trading state that paper trading has, with one account, fed by hand.

Invariant: nothing is done here that the live engine does otherwise. Every order passes the controls, every fill the
paper venue's rules and the double entry; only the clock is what the prints say, and nothing is stored.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import count
from uuid import UUID, uuid5

from qsuite.domain.backtests.terms import Terms
from qsuite.domain.market import NO_MARKET, Snapshot, Tick
from qsuite.domain.reference import ALWAYS_OPEN, Ticker
from qsuite.domain.times import NS_PER_MS
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.commands import CancelAll, Command, MarkAccounts, MarketMoved, Outcome, TimePassed
from qsuite.domain.trading.decide import decide
from qsuite.domain.trading.meet import reaches
from qsuite.domain.trading.order import Execution, Order
from qsuite.domain.trading.resting import RestingOrders, stop_prices
from qsuite.domain.trading.risk import OFF, LimitBook, Limits, ReferenceTape, reference_price
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.valuation import Valuation, value_account

BY_REFERENCE = ("price_collar_window", "reference_stale", "reference_suspect")
"""Limits that look at the last minute's prints."""
BY_LOSS = ("daily_loss", "daily_loss_halt")
"""Limits that look at what the day lost."""
_NAMES = UUID("6f0b2c8e-52a4-5d0b-9a55-3a1d6c1b7f10")


class Engine:
    """One account's trading state and its market. ``executions`` and ``rejected`` orders gather as they happen."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.now = 0
        self.executions: list[Execution] = []
        self.rejected: list[Order] = []
        self._market: dict[str, Snapshot] = {}
        self._tape = ReferenceTape()
        self._looks_back = _any_on(terms.limits, BY_REFERENCE)
        self._counts_losses = _any_on(terms.limits, BY_LOSS)
        own = uuid5(_NAMES, str(terms.seed))
        numbers = count()
        self.new_id: Callable[[], UUID] = lambda: uuid5(own, str(next(numbers)))
        # A bar says by itself that its market was open.
        tickers = {name: _always_open(ticker) for name, ticker in terms.tickers.items()}
        self.tickers = tickers
        self.state = TradingState(
            limits=LimitBook(terms.limits),
            rules=terms.rules(),
            ticker=tickers.get,
            market=lambda symbol: self._market.get(symbol, NO_MARKET),
            new_id=self.new_id,
            reference=self._tape.look,
            heard=lambda account, kind: False,
        )
        self.account = Account(
            id=self.new_id(), user=self.new_id(), name="backtest", currency=terms.currency, cash=terms.cash,
            deposited=terms.cash, created_at=0, updated_at=0,
        )  # fmt: skip
        self.state.load([self.account])

    # -- the market -------------------------------------------------------------------------------------------------

    def show(self, tick: Tick, *, met: bool = True) -> None:
        """Let the market print a tick, and whatever rests meet it unless it only says what things are worth."""
        self._market[tick.symbol] = self._market.get(tick.symbol, NO_MARKET).then(tick)
        self.move_to(tick.ts_ns)
        if self._looks_back:
            self._tape.see(tick, self.now)
        if met:
            self._meet(tick)

    def show_again(self, symbol: str) -> None:
        """Show a symbol's last tick to the stops that came after it, if it is beyond any.

        Who took from it cannot take from it again.
        """
        market, resting = self.market(symbol), self.resting(symbol)
        newest = max((tick for tick in market if tick), key=lambda tick: (tick.ts_ns, tick.seq), default=None)
        if newest is None or resting is None:
            return
        up, down = stop_prices(newest, traded=market.trade is not None)
        if resting.stop_buys.reached(up) or resting.stop_sells.reached(down):
            self._meet(newest)

    def move_to(self, ts_ns: int) -> None:
        """Let it be as late as an instant says, in whole milliseconds; time never goes back."""
        self.now = max(self.now, ts_ns - ts_ns % NS_PER_MS)
        if self.state.anything_due(self.now):
            self.send(TimePassed())

    def mark(self, *, orders: bool) -> None:
        """Value the account at the market, where that is looked at: by ``orders`` to come, or by limits of the day."""
        if (orders or self._counts_losses) and self.state.exposures.accounts.holders():
            self.send(MarkAccounts())

    # -- orders -----------------------------------------------------------------------------------------------------

    def send(self, command: Command) -> Outcome:
        """Decide a command now, and keep what came of it."""
        outcome = decide(self.state, command, self.now)
        changes = self.state.take_changes()
        self.executions += changes.executions
        for changed in (changes.new_orders, changes.orders):
            self.rejected += [order for order in changed.values() if order.reject is not None]
        return outcome

    def cancel(self, orders: Iterable[UUID]) -> None:
        """Cancel these of the open orders."""
        named = frozenset(orders)
        if named:
            self.send(CancelAll(account=self.account.id, user=self.account.user, orders=named))

    # -- looking ----------------------------------------------------------------------------------------------------

    def market(self, symbol: str) -> Snapshot:
        """Return what is known of a symbol's market now."""
        return self._market.get(symbol, NO_MARKET)

    def position(self, symbol: str) -> Position:
        """Return the position in a symbol."""
        return self.state.position_or_flat(self.account.id, symbol)

    def positions(self) -> list[Position]:
        """Return the positions that are not flat."""
        return [held for held in self.state.positions.get(self.account.id, {}).values() if held.quantity]

    def protecting(self, symbol: str) -> list[Order]:
        """Return the open orders that only reduce the position in a symbol."""
        return list(self.state.open.reducers.get((self.account.id, symbol), {}).values())

    def resting(self, symbol: str) -> RestingOrders | None:
        """Return what rests in a symbol, None where nothing ever did."""
        return self.state.venues.resting.get(symbol)

    def price(self, symbol: str) -> Decimal | None:
        """Return what a unit is valued at now."""
        return reference_price(self.market(symbol), self.state.rules)

    def value(self) -> Valuation:
        """Value the account at the market."""
        return value_account(self.account, [(held, self.price(held.symbol)) for held in self.positions()])

    def _meet(self, tick: Tick) -> None:
        if reaches(self.state, (tick,)):
            self.send(MarketMoved(ticks=(tick,)))


def _any_on(limits: Limits, names: Iterable[str]) -> bool:
    return any(getattr(limits, name) is not OFF for name in names)


def _always_open(ticker: Ticker) -> Ticker:
    return ticker if ticker.calendar == ALWAYS_OPEN else replace(ticker, calendar=ALWAYS_OPEN)
