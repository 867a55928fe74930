"""Whatever is traded, the books add up: cash, positions, reservations, states and the audit chain."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.trading.audit import GENESIS, digest
from qsuite.domain.trading.commands import CancelAll, CancelOrder, MarketMoved, ReleaseOrder, TimePassed
from qsuite.domain.trading.order import OPEN, TERMINAL, Order, Status, TimeInForce
from tests.support.trading import ACCOUNT, USER, Desk

PRICES = st.integers(9_000, 11_000).map(lambda cents: str(Decimal(cents) / 100))
STEPS = st.one_of(
    st.tuples(
        st.just("place"),
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 60),
        st.one_of(st.none(), PRICES),
        st.sampled_from(list(TimeInForce)),
        st.booleans(),
    ),
    st.tuples(st.just("trade"), PRICES),
    st.tuples(st.just("quote"), PRICES, st.integers(0, 20)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("release"), st.integers(0, 30)),
    st.tuples(st.just("cancel_all")),
    st.tuples(st.just("expire")),
)


def act(desk: Desk, step: tuple[Any, ...], placed: list[Order]) -> None:
    match step:
        case ("place", side, quantity, price, force, hold):
            placed.append(desk.place(side, quantity, price, time_in_force=force, hold=hold))
        case ("trade", price):
            desk.send(MarketMoved(ticks=[desk.trade(price)]))
        case ("quote", bid, spread):
            desk.send(MarketMoved(ticks=[desk.quote(bid, str(Decimal(bid) + Decimal(spread) / 100))]))
        case ("cancel" | "release" as verb, index) if placed:
            order = placed[index % len(placed)].id
            kind = CancelOrder if verb == "cancel" else ReleaseOrder
            desk.send(kind(order=order, user=USER, accounts=(ACCOUNT,)))
        case ("cancel_all",):
            desk.send(CancelAll(account=ACCOUNT, user=USER))
        case ("expire",):
            desk.now += 6 * 3600 * 10**9
            desk.send(TimePassed())


def check(desk: Desk, placed: list[Order]) -> None:
    changes = desk.state.changes
    bought: dict[str, Decimal] = defaultdict(Decimal)
    filled: dict[Any, Decimal] = defaultdict(Decimal)
    cash = Decimal(100_000)
    for execution in changes.executions:
        sign = 1 if execution.side == "BUY" else -1
        cash -= sign * execution.quantity * execution.price + execution.quantity * Decimal("0.005")
        bought[execution.symbol] += sign * execution.quantity
        filled[execution.order] += execution.quantity
    assert desk.account.cash == cash >= 0
    position = desk.state.position_or_flat(ACCOUNT, "IBM")
    assert position.quantity == bought["IBM"] >= 0
    assert desk.account.cash - desk.account.deposited + position.cost == (
        desk.account.realized_pnl - desk.account.commission
    )
    assert desk.account.reserved == sum(order.reserved for order in desk.state.orders.values())
    for order in placed:
        now = desk.state.find(order.id)
        assert now is not None
        assert now.filled_quantity == filled[order.id] <= now.quantity
        assert (now.status is Status.FILLED) == (now.remaining == 0)
        assert (now.id in desk.state.orders) == (now.status in OPEN) == (now.status not in TERMINAL)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_the_books_add_up_after_any_sequence_of_events(steps: list[tuple[Any, ...]]) -> None:
    desk, placed = Desk(), []
    for step in steps:
        act(desk, step, placed)
        check(desk, placed)
    previous = GENESIS
    versions: dict[str, int] = defaultdict(int)
    for entry in desk.state.changes.entries:
        assert entry.prev_hash == previous
        assert entry.hash == digest(previous, *entry[:7])
        previous = entry.hash
        if entry.kind.startswith("order."):
            versions[entry.subject] += 1
            assert entry.facts["version"] == versions[entry.subject]
