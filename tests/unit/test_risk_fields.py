"""Field sanity: what each type needs and may not have, with which time in force, and on which side of the market."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from qsuite.domain.trading.commands import CheckOrder, ReplaceOrder
from qsuite.domain.trading.order import OrderType, Side, Status, StopLoss, TakeProfit, TimeInForce
from qsuite.domain.trading.risk import Limits, buying_power
from tests.support.trading import ACCOUNT, FAR, USER, Desk

KINDS = list(OrderType)
NEEDS: dict[OrderType, dict[str, str]] = {
    OrderType.MARKET: {},
    OrderType.LIMIT: {"price": "99.00"},
    OrderType.STOP: {"stop_price": "101.00"},
    OrderType.STOP_LIMIT: {"stop_price": "101.00", "price": "102.00"},
    OrderType.TRAILING_STOP: {"trail_price": "1.00"},
}


def sent(kind: OrderType, prices: dict[str, str], **changed: Any) -> str | None:
    given = {name: Decimal(price) for name, price in prices.items()}
    return Desk().refusal("BUY", 1, **({"order_type": kind, "price": None} | given | changed))


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_passes_with_what_it_needs(kind: OrderType) -> None:
    assert sent(kind, NEEDS[kind]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_without_one_of_its_prices_is_refused(kind: OrderType) -> None:
    for name in NEEDS[kind]:
        assert sent(kind, {other: price for other, price in NEEDS[kind].items() if other != name}) == "order.price"


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_with_a_price_it_has_no_use_for_is_refused(kind: OrderType) -> None:
    for name in {"price", "stop_price", "trail_price", "trail_percent"} - NEEDS[kind].keys():
        if (kind, name) == (OrderType.TRAILING_STOP, "stop_price"):
            continue  # it has one of its own, from the market
        assert sent(kind, NEEDS[kind] | {name: "1.00"}) == "order.price"


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT])
@pytest.mark.parametrize(
    ("price", "code"), [("0", "order.price"), ("-1", "order.price"), ("99.005", "order.tick_size")]
)
def test_prices_are_above_zero_and_on_the_grid(kind: OrderType, price: str, code: str) -> None:
    for name in NEEDS[kind]:
        assert sent(kind, NEEDS[kind] | {name: price}) == code


@pytest.mark.parametrize(
    ("trail", "code"),
    [
        ({"trail_percent": "0"}, "order.price"), ({"trail_percent": "-1"}, "order.price"),
        ({"trail_percent": "99.9"}, None), ({"trail_percent": "100"}, "order.price"),
        ({"trail_price": "0"}, "order.price"), ({"trail_price": "0.01"}, None),
    ],
)  # fmt: skip
def test_a_trailing_stop_needs_a_distance(trail: dict[str, str], code: str | None) -> None:
    assert sent(OrderType.TRAILING_STOP, trail) == code


@pytest.mark.parametrize(
    ("trail", "code"),
    [
        ({"trail_price": Decimal("99.99")}, None),
        ({"trail_price": Decimal(100)}, "order.price"),
        ({"trail_price": Decimal(105000)}, "order.price"),
        ({"trail_percent": Decimal(200)}, "order.price"),
    ],
)
def test_a_sell_trails_by_less_than_the_whole_price_and_never_has_a_stop_below_zero(
    trail: dict[str, Decimal], code: str | None
) -> None:
    desk = Desk(limits=replace(FAR, short_sale=True))
    order = desk.place("SELL", 200, order_type=OrderType.TRAILING_STOP, **trail)
    assert (order.reject["code"] if order.reject else None) == code
    assert order.stop_price == (Decimal("0.01") if code is None else None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tif", list(TimeInForce))
def test_only_what_does_not_wait_can_trade_at_once(kind: OrderType, tif: TimeInForce) -> None:
    waits = kind in (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
    expected = "order.tif" if waits and tif in (TimeInForce.IOC, TimeInForce.FOK) else None
    assert sent(kind, NEEDS[kind], time_in_force=tif) == expected


def test_an_order_does_not_end_before_it_begins() -> None:
    desk = Desk()
    for expires_at, code in ((desk.now - 1, "order.tif"), (desk.now, "order.tif"), (desk.now + 1, None)):
        assert desk.refusal("BUY", 1, "99.00", expires_at=expires_at, time_in_force=TimeInForce.GTC) == code


@pytest.mark.parametrize(
    ("side", "stop", "code"),
    [
        ("BUY", "99.99", "order.price"), ("BUY", "100.00", None), ("BUY", "100.01", None),
        ("SELL", "100.01", "order.price"), ("SELL", "100.00", None), ("SELL", "99.99", None),
    ],
)  # fmt: skip
def test_a_stop_the_market_has_passed_is_taken_for_a_mistake(side: str, stop: str, code: str | None) -> None:
    desk = Desk(limits=Limits(short_sale=True))
    assert desk.refusal(side, 1, order_type=OrderType.STOP, stop_price=Decimal(stop)) == code


def test_a_stop_is_not_moved_to_where_the_market_has_passed_it() -> None:
    desk = Desk()
    order = desk.place("BUY", 1, order_type=OrderType.STOP, stop_price=Decimal("101.00"))
    moved = desk.send(ReplaceOrder(order=order.id, user=USER, accounts=(ACCOUNT,), stop_price=Decimal("99.00")))
    assert (moved.refusal or {})["code"] == "order.price"


@pytest.mark.parametrize(
    ("side", "profit", "loss", "code"),
    [
        ("BUY", "110.00", "95.00", None), ("BUY", "95.00", "110.00", "order.price"),
        ("BUY", "95.00", "95.00", "order.price"), ("BUY", "110.005", "95.00", "order.tick_size"),
        ("BUY", "110.00", "0", "order.price"), ("SELL", "95.00", "110.00", None),
        ("SELL", "110.00", "95.00", "order.price"),
    ],
)  # fmt: skip
def test_a_bracket_takes_its_profit_beyond_its_loss(side: str, profit: str, loss: str, code: str | None) -> None:
    desk = Desk(limits=Limits(short_sale=True))
    bracket = {"take_profit": TakeProfit(Decimal(profit)), "stop_loss": StopLoss(Decimal(loss))}
    assert desk.refusal(side, 1, "100.00", **bracket) == code


def test_a_restricted_ticker_is_known_but_not_traded() -> None:
    desk = Desk()
    desk.add_ticker("BAD", last="100.00", restricted=True)
    assert desk.refusal("BUY", 1, symbol="BAD") == "ticker.restricted"


def test_a_market_whose_hours_are_not_known_is_closed() -> None:
    desk = Desk()
    desk.add_ticker("FAR", last="100.00", calendar="XTKS")
    order = desk.command("BUY", 1, symbol="FAR", time_in_force=TimeInForce.GTC)
    assert (desk.send(order).order or order).reject["code"] == "market.closed"  # type: ignore[union-attr,index]


def test_nobody_orders_in_anothers_name() -> None:
    assert Desk().refusal("BUY", 1, user=UUID(int=77)) == "not_permitted"


def test_reduce_only_orders_only_reduce() -> None:
    desk = Desk()
    assert desk.refusal("SELL", 1, "100.00", reduce_only=True) == "order.reduce_only"
    desk.place("BUY", 10)
    assert desk.refusal("BUY", 1, "90.00", reduce_only=True) == "order.reduce_only"
    assert desk.refusal("SELL", 11, "110.00", reduce_only=True) == "order.reduce_only"
    assert desk.refusal("SELL", 10, "110.00", reduce_only=True) is None


def test_the_last_odd_units_can_always_be_sold() -> None:
    desk = Desk(limits=Limits(min_value=Decimal(500)))
    desk.place("BUY", 9)  # 9 x 100 x 1.05
    assert desk.refusal("SELL", 3) == "risk.min_value"
    assert desk.refusal("SELL", 5) is None  # 525
    assert desk.refusal("SELL", 3) == "risk.min_value"
    assert desk.refusal("SELL", 4) is None  # all that is left


def test_a_check_gives_the_verdict_of_the_submit_and_counts_nothing() -> None:
    limits = Limits(order_rate=Decimal(1), order_burst=Decimal(2), lookalike=Decimal(3), max_quantity=Decimal(5))
    desk = Desk(limits=limits)
    for quantity in (1, 6, 0):
        for _ in range(3):
            checked = desk.send(CheckOrder(place=desk.command("BUY", quantity, "99.00")))
            assert checked.order is None
    assert desk.state.orders == {}
    assert desk.account.reserved == 0
    for quantity in (6, 1, 1):
        place = desk.command("BUY", quantity, "99.00")
        checked = desk.send(CheckOrder(place=place))
        stored = desk.send(place).order
        assert stored is not None
        assert (checked.refusal or None) == stored.reject
        if stored.reject is None:
            assert (checked.facts or {})["reservation"] == desk.state.orders[stored.id].reserved
    assert stored.reject is not None
    assert stored.reject["code"] == "risk.order_rate"


# -- shorts -------------------------------------------------------------------------------------------------------


def test_a_short_needs_half_its_value_more_than_it_brings() -> None:
    # At the market 10 x 100 x 1.05 counts: 0.5 x 1,050 + 10 x 0.005 = 525.05
    limits = Limits(short_sale=True)
    assert Desk(cash="525.04", limits=limits).refusal("SELL", 10) == "risk.buying_power"
    desk = Desk(cash="525.05", limits=limits)
    assert desk.refusal("SELL", 10) is None
    assert desk.state.position(ACCOUNT, "IBM").quantity == -10


def test_what_a_short_brought_and_half_as_much_again_backs_it() -> None:
    # Cash 100,000 + 10 x 99.98 or so - commission; 1.5 x 10 x 100 of it is held
    desk = Desk(limits=Limits(short_sale=True))
    sold = desk.place("SELL", 10)
    free = desk.account.cash - Decimal(1500)
    assert desk.account.cash == 100000 + sold.filled_value - Decimal("0.050")
    assert buying_power(desk.account, desk.state.exposures) == free


def test_a_short_can_be_bought_back_without_any_buying_power() -> None:
    desk = Desk(cash="525.05", limits=Limits(short_sale=True))
    desk.place("SELL", 10)
    # 15 x 105 is more than the 1,500 held back and the some 24.80 beside it; 14 x 105 is not.
    assert desk.refusal("BUY", 15) == "risk.buying_power"
    assert desk.refusal("BUY", 10) is None
    assert desk.state.position(ACCOUNT, "IBM").quantity == 0


@pytest.mark.parametrize(("quantity", "code"), [(99, None), (100, None), (101, "risk.position_limit")])
def test_a_short_position_has_the_same_limit(quantity: int, code: str | None) -> None:
    desk = Desk(limits=Limits(short_sale=True, position_limit=Decimal(100)))
    assert desk.refusal("SELL", quantity, "110.00") == code


def test_what_reduces_a_breach_passes_on_both_sides() -> None:
    for side, other in ((Side.SELL, Side.BUY), (Side.BUY, Side.SELL)):
        desk = Desk(limits=Limits(short_sale=True))
        desk.place(side.value, 50)
        desk.limit(position_limit=Decimal(10), gross_exposure=Decimal("0.01"), system_exposure=Decimal("0.001"))
        assert desk.refusal(side.value, 1) == "risk.position_limit"
        assert desk.refusal(other.value, 20) is None


def test_two_orders_that_cancel_each_other_count_once() -> None:
    desk = Desk()
    entry = desk.place("BUY", 10, take_profit=TakeProfit(Decimal("110.00")), stop_loss=StopLoss(Decimal("95.00")))
    assert entry.status is Status.FILLED
    assert desk.state.position(ACCOUNT, "IBM").working_sells == 10
    assert desk.refusal("SELL", 1, "105.00") == "risk.short_sale"
    desk.move("94.00")
    assert desk.state.position(ACCOUNT, "IBM").quantity == 0
    assert not desk.state.orders
