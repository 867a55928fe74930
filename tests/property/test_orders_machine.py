"""Whatever several accounts do in several markets, in whatever order: money, quantities, claims and limits agree.

A state machine in the sense of hypothesis: it draws rules, runs them against the real domain, checks everything after
each, and shrinks a failure to the few steps that make it. The figures are added up again from orders and executions
alone.
"""

import os
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from qsuite.domain.market import Quote, Snapshot, Tick, Trade
from qsuite.domain.reference import Ticker
from qsuite.domain.trading import seen
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.book_basis import BOOK_MODEL, recompute_book
from qsuite.domain.trading.commands import (
    CancelAll,
    CancelOrder,
    ChangeAccount,
    Command,
    Halt,
    MarketMoved,
    Outcome,
    PlaceOrder,
    ReleaseOrder,
    ReplaceOrder,
    Resume,
    Scope,
    TimePassed,
)
from qsuite.domain.trading.decide import decide
from qsuite.domain.trading.order import OPEN, WORKING, Order, OrderType, Side, StopLoss, TakeProfit, TimeInForce
from qsuite.domain.trading.paper import MODEL, FillRules, recompute
from qsuite.domain.trading.risk import OFF, Exposures, LimitBook, Limits, ReferencePrice
from qsuite.domain.trading.state import TradingState
from tests.support.trading import NOW

OWNER, OTHER = UUID(int=1), UUID(int=2)
PERSONS = {UUID(int=11): OWNER, UUID(int=12): OWNER, UUID(int=13): OTHER}
"""Who has which account: in the book, the two of one person shall not meet."""
ACCOUNTS = list(PERSONS)
PAPER = ("ALPHA", "BETA")
SYMBOLS = (*PAPER, "GAMMA")
TICKERS = {
    "ALPHA": Ticker(id=UUID(int=21), symbol="ALPHA", name="paper"),
    "BETA": Ticker(
        id=UUID(int=22), symbol="BETA", name="paper, coarse", tick_size=Decimal("0.05"), lot_size=Decimal(5)
    ),
    "GAMMA": Ticker(id=UUID(int=23), symbol="GAMMA", name="a book among users", execution_mode="book"),
}
CASH = Decimal(20_000)
LIMITS = Limits(
    price_collar=Decimal("0.20"),
    price_collar_passive=OFF,
    price_collar_window=OFF,
    reference_suspect=OFF,
    short_sale=True,
    position_limit=Decimal(300),
)
STEP_NS = 1_000_000
RUNS = 200 * int(os.environ.get("TEST_SCALE", "1"))
RECOMPUTE = {MODEL: recompute, BOOK_MODEL: recompute_book}
DUST = Decimal("1e-20")
"""Exposures are estimates: a mark that is an average is a quotient, and sums of those are rounded at the 34th digit."""

met: Counter[str] = Counter()
"""Which steps were taken, and by which model orders were filled, in all runs together."""

sides = st.sampled_from(list(Side))
symbols = st.sampled_from(SYMBOLS)
accounts = st.sampled_from(ACCOUNTS)
nickels = st.integers(1_900, 2_100).map(lambda steps: Decimal(steps) / 20)  # 95.00 to 105.00, on every grid
offsets = st.integers(1, 60).map(lambda steps: Decimal(steps) / 20)
quantities = st.integers(1, 12).map(lambda lots: Decimal(lots * 5))
ladders = st.lists(st.tuples(nickels, quantities, st.booleans()), min_size=2, max_size=4)
sizes = st.sampled_from([Decimal(size) for size in (0, 3, 10, 50, 1_000)])


class OrdersMachine(RuleBasedStateMachine):
    """Three accounts, two paper markets and a book."""

    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.ids = count(1_000)
        self.ticks = count(1)
        self.market: dict[str, Snapshot] = {}
        self.placed: list[UUID] = []
        self.state = TradingState(
            limits=LimitBook(LIMITS),
            rules=FillRules(),
            ticker=TICKERS.get,
            market=lambda symbol: self.market.get(symbol, Snapshot()),
            new_id=self.new_id,
            reference=lambda symbol: ReferencePrice(),
        )
        opened = [
            Account(
                id=account, user=person, name="", currency="USD", cash=CASH, deposited=CASH, created_at=NOW,
                updated_at=NOW,
            )
            for account, person in PERSONS.items()
        ]  # fmt: skip
        self.state.load(opened, [], [])
        for symbol in SYMBOLS:
            self.see(Trade(symbol, next(self.ticks), Decimal(100), Decimal(1_000)))

    def new_id(self) -> UUID:
        return UUID(int=next(self.ids))

    def do(self, command: Command) -> Outcome:
        self.now += STEP_NS
        return decide(self.state, command, self.now)

    def see(self, tick: Tick) -> None:
        known = self.market.get(tick.symbol, Snapshot())
        changed = known._replace(trade=tick) if isinstance(tick, Trade) else known._replace(quote=tick)
        self.market[tick.symbol] = changed
        self.do(MarketMoved(ticks=[tick]))

    def place(self, account: UUID, symbol: str, side: Side, quantity: Decimal, **more: Any) -> None:
        given: dict[str, Any] = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC} | more
        command = PlaceOrder(
            id=self.new_id(), user=PERSONS[account], account=account, symbol=symbol, side=side, quantity=quantity,
            **given,
        )  # fmt: skip
        outcome = self.do(command)
        assert outcome.error is None
        self.placed.append(command.id)

    def some(self, index: int) -> Order:
        """Choose an order, an open one if there is any."""
        known = list(self.state.orders.values()) or [order for each in self.placed if (order := self.state.find(each))]
        return known[index % len(known)]

    # -- what may happen ----------------------------------------------------------------------------------------

    @rule(account=accounts, symbol=symbols, side=sides, quantity=quantities, force=st.sampled_from(list(TimeInForce)))
    def place_market(self, account: UUID, symbol: str, side: Side, quantity: Decimal, force: TimeInForce) -> None:
        self.place(account, symbol, side, quantity, time_in_force=force)

    @rule(
        account=accounts, symbol=symbols, side=sides, quantity=quantities, price=nickels,
        force=st.sampled_from(list(TimeInForce)), hold=st.booleans(),
    )  # fmt: skip
    def place_limit(
        self, account: UUID, symbol: str, side: Side, quantity: Decimal, price: Decimal, force: TimeInForce, hold: bool
    ) -> None:
        self.place(
            account, symbol, side, quantity, order_type=OrderType.LIMIT, price=price, time_in_force=force, hold=hold
        )

    @rule(account=accounts, symbol=symbols, side=sides, quantity=quantities, away=offsets, limit=st.booleans())
    def place_stop(self, account: UUID, symbol: str, side: Side, quantity: Decimal, away: Decimal, limit: bool) -> None:
        sign = 1 if side is Side.BUY else -1
        stop = self.last(symbol) + sign * away
        more: dict[str, Any] = {"order_type": OrderType.STOP, "stop_price": stop}
        if limit:
            more |= {"order_type": OrderType.STOP_LIMIT, "price": stop + sign * Decimal("0.50")}
        self.place(account, symbol, side, quantity, **more)

    @rule(account=accounts, symbol=symbols, side=sides, quantity=quantities, away=offsets, percent=st.booleans())
    def place_trailing_stop(
        self, account: UUID, symbol: str, side: Side, quantity: Decimal, away: Decimal, percent: bool
    ) -> None:
        trail = {"trail_percent" if percent else "trail_price": away}
        self.place(account, symbol, side, quantity, order_type=OrderType.TRAILING_STOP, **trail)

    @rule(
        account=accounts, symbol=symbols, side=sides, quantity=quantities, price=nickels, profit=offsets, loss=offsets,
        legs=st.sampled_from(["both", "profit", "loss"]),
    )  # fmt: skip
    def place_bracket(
        self, account: UUID, symbol: str, side: Side, quantity: Decimal, price: Decimal, profit: Decimal,
        loss: Decimal, legs: str,
    ) -> None:  # fmt: skip
        sign = 1 if side is Side.BUY else -1
        takes = TakeProfit(price + sign * profit) if legs != "loss" else None
        stops = StopLoss(price - sign * loss) if legs != "profit" else None
        more = {"order_type": OrderType.LIMIT, "price": price, "take_profit": takes, "stop_loss": stops}
        self.place(account, symbol, side, quantity, **more)

    @rule(account=accounts, symbol=symbols, side=sides, quantity=quantities, price=nickels)
    def place_reducing(self, account: UUID, symbol: str, side: Side, quantity: Decimal, price: Decimal) -> None:
        more = {"order_type": OrderType.LIMIT, "price": price, "reduce_only": True}
        self.place(account, symbol, side, quantity, **more)

    @rule(side=sides, price=nickels, first=quantities, second=quantities)
    def meet_in_the_book(self, side: Side, price: Decimal, first: Decimal, second: Decimal) -> None:
        """Two persons come to the same price, which they seldom do by chance."""
        other = Side.SELL if side is Side.BUY else Side.BUY
        self.place(ACCOUNTS[0], "GAMMA", side, first, order_type=OrderType.LIMIT, price=price)
        self.place(ACCOUNTS[2], "GAMMA", other, second, order_type=OrderType.LIMIT, price=price)

    @rule(side=sides, ladder=ladders, swept=quantities)
    def sweep_the_book(self, side: Side, ladder: list[tuple[Decimal, Decimal, bool]], swept: Decimal) -> None:
        """One person meets several orders of another at once, some of which only reduce."""
        other = Side.SELL if side is Side.BUY else Side.BUY
        for price, quantity, reduces in ladder:
            more = {"order_type": OrderType.LIMIT, "price": price, "reduce_only": reduces}
            self.place(ACCOUNTS[0], "GAMMA", side, quantity, **more)
        last = Decimal(95) if side is Side.BUY else Decimal(105)
        self.place(ACCOUNTS[2], "GAMMA", other, swept + 50, order_type=OrderType.LIMIT, price=last)

    @precondition(lambda self: self.placed)
    @rule(index=st.integers(0, 99), quantity=st.one_of(st.none(), quantities), price=st.one_of(st.none(), nickels))
    def replace(self, index: int, quantity: Decimal | None, price: Decimal | None) -> None:
        order = self.some(index)
        command = ReplaceOrder(order=order.id, user=OWNER, accounts=(order.account,), quantity=quantity, price=price)
        before, outcome = order.copy(), self.do(command)
        if outcome.error is not None or outcome.refusal is not None:
            assert self.state.find(order.id) == before, "a replace that is refused leaves the order as it was"

    @precondition(lambda self: self.placed)
    @rule(index=st.integers(0, 99))
    def cancel(self, index: int) -> None:
        order = self.some(index)
        self.do(CancelOrder(order=order.id, user=OWNER, accounts=(order.account,)))
        assert order.id not in self.state.orders

    @precondition(lambda self: self.placed)
    @rule(index=st.integers(0, 99))
    def release(self, index: int) -> None:
        order = self.some(index)
        self.do(ReleaseOrder(order=order.id, user=OWNER, accounts=(order.account,)))

    @rule(account=accounts, symbol=st.one_of(st.none(), symbols))
    def cancel_all(self, account: UUID, symbol: str | None) -> None:
        self.do(CancelAll(account=account, user=OWNER, symbol=symbol))

    @rule(symbol=st.sampled_from(PAPER), prices=st.lists(nickels, min_size=1, max_size=4), size=sizes)
    def trade(self, symbol: str, prices: list[Decimal], size: Decimal) -> None:
        for price in prices:
            self.see(Trade(symbol, next(self.ticks), price, size))

    @rule(symbol=st.sampled_from(PAPER), bid=nickels, spread=st.integers(0, 10), size=sizes)
    def quote(self, symbol: str, bid: Decimal, spread: int, size: Decimal) -> None:
        self.see(Quote(symbol, next(self.ticks), bid, bid + Decimal(spread) / 20, size, size))

    @rule(symbol=symbols, resumed=st.sampled_from([True, True, True, False]))
    def halt(self, symbol: str, resumed: bool) -> None:
        self.do(Halt(scope=Scope.TICKER, target=symbol, user=OWNER, reason="drill"))
        assert all(order.symbol != symbol for order in self.state.orders.values())
        if resumed:
            self.do(Resume(scope=Scope.TICKER, target=symbol, user=OTHER))

    @rule(account=accounts)
    def switch_off_and_on(self, account: UUID) -> None:
        self.do(ChangeAccount(account=account, user=OTHER, is_active=False))
        assert all(order.account != account for order in self.state.orders.values())
        self.do(ChangeAccount(account=account, user=OTHER, is_active=True))

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.now += hours * 3_600 * 10**9
        self.do(TimePassed())

    def last(self, symbol: str) -> Decimal:
        trade = self.state.market(symbol).trade
        assert trade is not None
        return trade.price

    # -- what must be true --------------------------------------------------------------------------------------

    @invariant()
    def money_is_conserved(self) -> None:
        cash, quantity, cost = (defaultdict[Any, Decimal](Decimal) for _ in range(3))
        realized, commission = (defaultdict[Any, Decimal](Decimal) for _ in range(2))
        for each in self.state.changes.executions:
            assert sum(each.postings.values()) == 0
            key = (each.account, each.symbol)
            cash[each.account] += each.postings["cash"]
            cost[key] += each.postings["position"]
            realized[each.account] -= each.postings["realized_pnl"]
            commission[each.account] += each.commission
            assert each.postings["commission"] == each.commission
            quantity[key] += each.quantity if each.side is Side.BUY else -each.quantity
        for account in self.state.accounts.values():
            assert account.cash == CASH + cash[account.id]
            assert account.realized_pnl == realized[account.id]
            assert account.commission == commission[account.id]
            for symbol in SYMBOLS:
                position = self.state.position_or_flat(account.id, symbol)
                assert (position.quantity, position.cost) == (quantity[account.id, symbol], cost[account.id, symbol])
                assert position.quantity or not position.cost

    @invariant()
    def what_only_reduces_never_opens(self) -> None:
        held: dict[Any, Decimal] = defaultdict(Decimal)
        for each in self.state.changes.executions:
            key, order = (each.account, each.symbol), self.state.find(each.order)
            before, signed = held[key], each.quantity if each.side is Side.BUY else -each.quantity
            held[key] += signed
            if order is not None and order.reduce_only:
                assert before * signed < 0, "a reduce-only order opened a position"
                assert abs(signed) <= abs(before), "a reduce-only order turned a position round"

    @invariant()
    def what_one_sold_in_the_book_another_bought(self) -> None:
        sold = sum(
            each.quantity if each.side is Side.SELL else -each.quantity
            for each in self.state.changes.executions
            if each.symbol == "GAMMA"
        )
        assert sold == 0

    @invariant()
    def nobody_trades_with_themselves(self) -> None:
        in_book = [each for each in self.state.changes.executions if each.symbol == "GAMMA"]
        for maker, taker in zip(in_book[::2], in_book[1::2], strict=True):
            assert [maker.basis["liquidity"], taker.basis["liquidity"]] == ["maker", "taker"]
            assert PERSONS[maker.account] != PERSONS[taker.account]

    @invariant()
    def orders_add_up(self) -> None:
        filled, value = (defaultdict[UUID, Decimal](Decimal) for _ in range(2))
        for each in self.state.changes.executions:
            filled[each.order] += each.quantity
            value[each.order] += each.quantity * each.price
        for order in self.all_orders():
            assert 0 <= order.filled_quantity == filled[order.id] <= order.quantity
            assert order.filled_value == value[order.id]
            assert (order.id in self.state.orders) == (order.status in OPEN)
            assert order.status in WORKING or order.reserved == 0

    @invariant()
    def claims_are_the_sums_over_open_orders(self) -> None:
        reserved: dict[UUID, Decimal] = defaultdict(Decimal)
        working: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        pairs: dict[frozenset[UUID], Decimal] = {}
        for order in self.state.orders.values():
            reserved[order.account] += order.reserved
            if order.status not in WORKING:
                continue
            key = (order.account, order.symbol)
            other = None if order.oco is None else self.state.orders.get(order.oco)
            if order.oco is not None and other is not None and other.status in WORKING:
                assert other.remaining == order.remaining, "the legs of a bracket shrink and grow together"
                if frozenset((order.id, order.oco)) in pairs:
                    continue
                pairs[frozenset((order.id, order.oco))] = order.remaining
            working[key][0 if order.is_buy else 1] += order.remaining
        for account in self.state.accounts.values():
            assert account.reserved == reserved[account.id]
            for symbol in SYMBOLS:
                position = self.state.position_or_flat(account.id, symbol)
                assert [position.working_buys, position.working_sells] == working[account.id, symbol]

    @invariant()
    def exposures_are_what_a_fresh_count_gives(self) -> None:
        fresh, kept = Exposures(), self.state.exposures
        prices = {symbol: self.last(symbol) for symbol in SYMBOLS}
        for held in self.state.positions.values():
            for position in held.values():
                fresh.changed(position)
        for each in (fresh, kept):
            each.remark(prices.get)
        pairs = [(kept.accounts.of(account), fresh.accounts.of(account)) for account in ACCOUNTS]
        for one, other in [*pairs, (kept.accounts.total, fresh.accounts.total)]:
            assert abs(one.gross - other.gross) < DUST
            assert abs(one.long_value - other.long_value) < DUST
            assert abs(one.short_value - other.short_value) < DUST
        for account in ACCOUNTS:
            gross = sum(
                max(abs(each.quantity + each.working_buys), abs(each.quantity - each.working_sells)) * prices[symbol]
                for symbol, each in self.state.positions.get(account, {}).items()
            )
            assert abs(kept.accounts.of(account).gross - gross) < DUST

    @invariant()
    def prices_keep_to_limits_and_can_be_computed_again(self) -> None:
        executions = self.state.changes.executions
        for each in executions[self.seen_fills :]:
            order = self.state.find(each.order)
            assert order is not None
            if order.limit is not None:
                limits = self.limits_of[order.id] | {order.limit}
                assert each.price <= max(limits) if order.is_buy else each.price >= min(limits)
            again = RECOMPUTE[each.basis["model"]](each.basis)
            assert (again.price, again.quantity, again.commission) == (each.price, each.quantity, each.commission)
        self.seen_fills = len(executions)
        for order in self.state.orders.values():
            if order.limit is not None:
                self.limits_of[order.id] = {order.limit}

    @invariant()
    def every_order_rests_in_one_place(self) -> None:
        resting: list[UUID] = []
        for symbol, each in self.state.venues.resting.items():
            sides = (each.buys, each.sells, each.stop_buys, each.stop_sells)
            found = [entry[2].id for side in sides for entry in side.entries] + list(each.remainders)
            assert all(self.state.orders[one].symbol == symbol for one in found)
            resting += found
        book = self.state.venues.books.get("GAMMA")
        resting += [each for each in self.state.orders if book is not None and each in book]
        working = [order.id for order in self.state.orders.values() if order.status in WORKING]
        assert sorted(resting) == sorted(working)
        for order in self.state.orders.values():
            found = None if book is None else book.find(order.id)
            assert found is None or found.quantity == order.remaining

    def all_orders(self) -> list[Order]:
        ids = {UUID(each.subject) for each in self.state.changes.entries if each.kind.startswith("order.")}
        return [order for each in ids if (order := self.state.find(each))]

    def __init__(self) -> None:
        super().__init__()
        self.seen_fills = 0
        self.limits_of: dict[UUID, set[Decimal]] = defaultdict(set)

    def teardown(self) -> None:
        met.update(each.kind for each in self.state.changes.entries)
        met.update(each.basis["model"] for each in self.state.changes.executions)


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of bits for each run is most of its time."""
    monkeypatch.setattr(seen, "LEAST_BITS", 1 << 10)


def test_accounts_in_several_markets_never_disagree_with_themselves() -> None:
    run_state_machine_as_test(
        OrdersMachine,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    steps = ("rejected", "held", "released", "replaced", "triggered", "filled", "cancelled")
    expected = (*(f"order.{step}" for step in steps), *RECOMPUTE)
    assert [each for each in expected if not met[each]] == [], "what was never met was not tested"
