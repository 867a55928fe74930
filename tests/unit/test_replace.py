"""Replacing an open order: what stays, what is checked, what is answered."""

from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.trading.commands import CancelOrder, MarketMoved, Outcome, ReplaceOrder
from qsuite.domain.trading.order import Order, OrderType, Status
from qsuite.domain.trading.risk import OFF, Limits
from tests.support.trading import ACCOUNT, USER, Desk


def replace(desk: Desk, order: Order, **changed: Any) -> Outcome:
    decimals = {name: Decimal(value) if isinstance(value, str) else value for name, value in changed.items()}
    return desk.send(ReplaceOrder(order=order.id, user=USER, accounts=(ACCOUNT,), **decimals))


def test_a_new_price_and_quantity_are_another_version_of_the_same_order() -> None:
    desk = Desk()
    order = desk.place("BUY", 10, "99.00")
    changed = replace(desk, order, price="98.00", quantity="20").order
    assert changed is not None
    assert (changed.id, changed.price, changed.quantity, changed.version) == (order.id, Decimal("98.00"), 20, 2)
    # 20 x 98.00 + 20 x 0.005
    assert desk.account.reserved == Decimal("1960.10")
    assert desk.state.position(ACCOUNT, "IBM").working_buys == 20


def test_a_price_that_crosses_trades_at_once() -> None:
    desk = Desk()
    desk.quote("99.00", "100.00")
    order = desk.place("BUY", 10, "99.50")
    changed = replace(desk, order, price="100.00").order
    assert changed is not None
    assert (changed.status, changed.avg_fill_price) == (Status.FILLED, Decimal("100.00"))


def test_less_than_has_filled_makes_it_filled_with_what_has() -> None:
    desk = Desk()
    order = desk.place("BUY", 10, "99.00")
    desk.send(MarketMoved(ticks=[desk.trade("99.00", ts_ns=2, size="4")]))
    changed = replace(desk, order, quantity="3").order
    assert changed is not None
    assert (changed.status, changed.quantity, changed.filled_quantity) == (Status.FILLED, 4, 4)
    assert desk.account.reserved == 0
    assert desk.state.position(ACCOUNT, "IBM").working_buys == 0


def test_a_refused_change_leaves_the_order_as_it_was() -> None:
    desk = Desk(limits=Limits(max_quantity=Decimal(50), price_collar_passive=OFF))
    order = desk.place("BUY", 10, "99.00")
    outcome = replace(desk, order, quantity="51")
    assert outcome.refusal is not None
    assert outcome.refusal["code"] == "risk.max_quantity"
    kept = desk.state.orders[order.id]
    assert (kept.quantity, kept.version, kept.reserved) == (10, 1, Decimal("990.050"))
    assert desk.state.changes.entries[-1].kind == "risk.replace_refused"


def test_an_order_does_not_stand_in_its_own_way() -> None:
    # 1000.05 covers 10 at 100.00 once, not twice
    desk = Desk(cash="1000.05")
    order = desk.place("BUY", 10, "99.00")
    assert replace(desk, order, price="99.99").refusal is None
    assert replace(desk, order, price="100.01").refusal is not None


@pytest.mark.parametrize("changed", [{"stop_price": "99.00"}, {"price": "99.00"}])
def test_what_a_type_does_not_have_cannot_be_set(changed: dict[str, str]) -> None:
    desk = Desk()
    desk.place("BUY", 10)
    trailing = desk.place("SELL", 10, None, order_type=OrderType.TRAILING_STOP, trail_price=Decimal(2))
    assert replace(desk, trailing, **changed).error == "order.not_replaceable"


def test_an_older_version_is_not_changed() -> None:
    desk = Desk()
    order = desk.place("BUY", 10, "99.00")
    assert replace(desk, order, quantity="11", version=1).error is None
    assert replace(desk, order, quantity="12", version=1).error == "precondition_failed"


def test_a_terminal_order_is_answered_with_the_order_an_unknown_one_with_nothing() -> None:
    desk = Desk()
    order = desk.place("BUY", 10, "99.00")
    desk.send(CancelOrder(order=order.id, user=USER, accounts=(ACCOUNT,)))
    outcome = replace(desk, order, quantity="11")
    assert (outcome.error, outcome.order and outcome.order.status) == ("order.already_processed", Status.CANCELLED)
    assert desk.send(ReplaceOrder(order=USER, user=USER, accounts=(ACCOUNT,))).error == "not_found"


def test_the_first_answer_keeps_what_was_asked_first() -> None:
    desk = Desk()
    command = desk.command("BUY", 10, "99.00", client_order_id="a", request_hash="x")
    order = desk.send(command).order
    assert order is not None
    replace(desk, order, quantity="20", price="98.00")
    again = desk.send(command).order
    assert again is not None
    assert (again.quantity, again.price, again.version) == (10, Decimal("99.00"), 1)


def test_a_held_order_is_changed_without_going_to_the_market() -> None:
    desk = Desk()
    order = desk.place("BUY", 10, "101.00", hold=True)
    changed = replace(desk, order, quantity="20").order
    assert changed is not None
    assert (changed.status, changed.quantity) == (Status.HELD, 20)
    assert desk.account.reserved == 0
