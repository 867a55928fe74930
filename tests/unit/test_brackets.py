"""Brackets: legs that work for what the entry filled, one cancelling the other, none opening a position."""

from decimal import Decimal

from qsuite.domain.trading.commands import CancelOrder, MarketMoved, ReleaseOrder, ReplaceOrder, TimePassed
from qsuite.domain.trading.order import Order, OrderType, Status, StopLoss, TakeProfit
from qsuite.domain.trading.risk import OFF, Limits
from tests.support.trading import ACCOUNT, USER, Desk

BRACKET = {"take_profit": TakeProfit(Decimal("110.00")), "stop_loss": StopLoss(Decimal("95.00"))}


def legs(desk: Desk, parent: Order) -> tuple[Order, Order]:
    found = [order for order in desk.state.orders.values() if order.parent == parent.id]
    takes = next(order for order in found if order.order_type is OrderType.LIMIT)
    stops = next(order for order in found if order.order_type is not OrderType.LIMIT)
    return takes, stops


def moved(desk: Desk, price: str, ts_ns: int, size: str = "1000000") -> None:
    desk.send(MarketMoved(ticks=[desk.trade(price, ts_ns=ts_ns, size=size)]))


def test_legs_work_once_the_entry_filled() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, **BRACKET)
    takes, stops = legs(desk, parent)
    assert parent.status is Status.FILLED
    assert (takes.status, takes.quantity, takes.price) == (Status.PENDING, 10, Decimal("110.00"))
    assert (stops.status, stops.quantity, stops.stop_price) == (Status.PENDING, 10, Decimal("95.00"))
    assert (takes.oco, stops.oco) == (stops.id, takes.id)


def test_two_legs_count_once_against_what_is_held() -> None:
    desk = Desk()
    desk.place("BUY", 10, **BRACKET)
    assert desk.state.position(ACCOUNT, "IBM").working_sells == 10


def test_taking_the_profit_cancels_the_stop() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, **BRACKET)
    takes, stops = legs(desk, parent)
    moved(desk, "110.00", 2)
    assert desk.state.find(takes.id).status is Status.FILLED  # type: ignore[union-attr]
    assert desk.state.find(stops.id).status is Status.CANCELLED  # type: ignore[union-attr]
    position = desk.state.position(ACCOUNT, "IBM")
    assert (position.quantity, position.working_sells) == (0, 0)


def test_the_stop_loss_cancels_the_profit() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, **BRACKET)
    takes, stops = legs(desk, parent)
    moved(desk, "94.00", 2)
    assert desk.state.find(stops.id).status is Status.FILLED  # type: ignore[union-attr]
    assert desk.state.find(takes.id).status is Status.CANCELLED  # type: ignore[union-attr]
    assert desk.state.position(ACCOUNT, "IBM").quantity == 0


def test_what_one_leg_fills_of_it_the_other_loses() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, **BRACKET)
    takes, stops = legs(desk, parent)
    moved(desk, "110.00", 2, size="4")
    assert (takes.status, takes.filled_quantity) == (Status.PARTIAL, 4)
    assert (stops.status, stops.remaining) == (Status.PENDING, 6)
    moved(desk, "95.00", 3)
    assert desk.state.find(takes.id).status is Status.CANCELLED  # type: ignore[union-attr]
    assert desk.state.position(ACCOUNT, "IBM").quantity == 0


def test_legs_grow_with_each_fill_of_the_entry() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, "99.00", **BRACKET)
    takes, stops = legs(desk, parent)
    assert (takes.status, stops.status) == (Status.HELD, Status.HELD)
    moved(desk, "99.00", 2, size="3")
    assert (takes.status, takes.quantity, stops.quantity) == (Status.PENDING, 3, 3)
    moved(desk, "99.00", 3, size="4")
    assert (takes.quantity, stops.quantity) == (7, 7)
    desk.send(CancelOrder(order=parent.id, user=USER, accounts=(ACCOUNT,)))
    assert (takes.status, takes.quantity) == (Status.PENDING, 7)
    assert desk.state.position(ACCOUNT, "IBM").working_sells == 7


def test_an_entry_that_ends_empty_takes_its_legs_with_it() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, "99.00", **BRACKET)
    takes, stops = legs(desk, parent)
    desk.send(CancelOrder(order=parent.id, user=USER, accounts=(ACCOUNT,)))
    assert {desk.state.find(leg.id).status for leg in (takes, stops)} == {Status.CANCELLED}  # type: ignore[union-attr]
    expiring = desk.place("BUY", 10, "99.00", **BRACKET)
    assert expiring.expires_at is not None
    desk.now = expiring.expires_at
    desk.send(TimePassed())
    assert not desk.state.orders


def test_a_held_bracket_holds_its_legs_and_nobody_releases_one_by_hand() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, hold=True, **BRACKET)
    takes, _ = legs(desk, parent)
    outcome = desk.send(ReleaseOrder(order=takes.id, user=USER, accounts=(ACCOUNT,)))
    assert outcome.error == "order.leg"
    desk.send(ReleaseOrder(order=parent.id, user=USER, accounts=(ACCOUNT,)))
    assert takes.status is Status.PENDING


def test_when_one_leg_is_cancelled_by_hand_the_other_holds_what_is_to_be_sold() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, **BRACKET)
    takes, stops = legs(desk, parent)
    desk.send(CancelOrder(order=takes.id, user=USER, accounts=(ACCOUNT,)))
    assert stops.status is Status.PENDING
    assert desk.state.position(ACCOUNT, "IBM").working_sells == 10
    assert desk.refusal("SELL", 1) == "risk.short_sale"


def test_a_leg_takes_another_price_but_no_other_quantity() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, **BRACKET)
    takes, _ = legs(desk, parent)
    same = {"order": takes.id, "user": USER, "accounts": (ACCOUNT,)}
    assert desk.send(ReplaceOrder(**same, quantity=Decimal(5))).error == "order.not_replaceable"  # type: ignore[arg-type]
    assert desk.send(ReplaceOrder(**same, price=Decimal("108.00"))).error is None  # type: ignore[arg-type]
    assert takes.price == Decimal("108.00")


def test_the_legs_of_a_short_buy_it_back() -> None:
    desk = Desk(limits=Limits(short_sale=True, price_collar_passive=OFF))
    parent = desk.place("SELL", 10, take_profit=TakeProfit(Decimal("90.00")), stop_loss=StopLoss(Decimal("105.00")))
    position = desk.state.position(ACCOUNT, "IBM")
    assert (parent.status, position.quantity) == (Status.FILLED, -10)
    moved(desk, "106.00", 2)
    assert position.quantity == 0
    assert desk.account.realized_pnl < 0
    assert not desk.state.orders
    assert desk.account.reserved == 0


def test_legs_of_an_entry_that_only_closes_a_position_have_nothing_to_protect() -> None:
    desk = Desk()
    desk.place("BUY", 20)
    desk.place("SELL", 5, take_profit=TakeProfit(Decimal("101.00")), stop_loss=StopLoss(Decimal("105.00")))
    assert desk.state.position(ACCOUNT, "IBM").quantity == 15
    assert not desk.state.orders


def test_once_a_leg_filled_the_entry_takes_no_more() -> None:
    desk = Desk()
    parent = desk.place("BUY", 10, "99.00", **BRACKET)
    moved(desk, "99.00", 2, size="5")
    moved(desk, "110.00", 3)
    ended = desk.state.find(parent.id)
    assert ended is not None
    assert (ended.status, ended.filled_quantity) == (Status.CANCELLED, 5)
    moved(desk, "99.00", 4)
    assert desk.state.position(ACCOUNT, "IBM").quantity == 0
    assert not desk.state.orders
