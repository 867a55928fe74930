"""At what price the paper venue deals; each price worked out by hand from the market shown."""

from dataclasses import replace
from decimal import Decimal

from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.domain.trading.commands import MarketMoved, TimePassed
from qsuite.domain.trading.commission import commission_from
from qsuite.domain.trading.order import Order, OrderType, Status, TimeInForce
from qsuite.domain.trading.paper import FillRules, recompute
from qsuite.domain.trading.risk import OFF, Limits
from tests.support.trading import FAR, Desk


def price(order: Order) -> Decimal | None:
    return order.avg_fill_price


def test_a_market_order_takes_the_other_side_of_the_quote() -> None:
    desk = Desk()
    desk.quote("99.98", "100.02")
    assert price(desk.place("BUY", 5)) == Decimal("100.02")
    assert price(desk.place("SELL", 5)) == Decimal("99.98")


def test_without_a_quote_a_market_order_pays_one_to_five_basis_points_rounded_against_it() -> None:
    desk = Desk()
    for _ in range(50):
        bought = price(desk.place("BUY", 1))
        # 100.00 plus 1..5 bps is 100.01..100.05 on a grid of 0.01, rounded up
        assert bought is not None
        assert Decimal("100.01") <= bought <= Decimal("100.05")
        sold = price(desk.place("SELL", 1))
        assert sold is not None
        assert Decimal("99.95") <= sold <= Decimal("99.99")


def test_the_same_order_always_slips_the_same_and_the_basis_gives_the_fill_again() -> None:
    desk = Desk()
    order = desk.place("BUY", 7)
    execution = desk.state.changes.executions[-1]
    assert execution.basis["seed"] == f"{order.id}/0"
    again = recompute(execution.basis)
    assert (again.price, again.quantity, again.commission) == (execution.price, 7, Decimal("0.035"))
    assert again.slippage_bps == execution.basis["slippage_bps"]


def test_the_rest_of_a_market_order_meets_later_prices_and_every_part_comes_out_again() -> None:
    desk = Desk()
    desk.trade("100.00", size="40")
    order = desk.place("BUY", 100)
    assert (order.status, order.filled_quantity) == (Status.PARTIAL, 40)
    # The same print arrives again as a tick: the order has had it.
    assert desk.send(MarketMoved(ticks=[desk.trade("100.00", size="40")])).orders == ()
    first = desk.send(MarketMoved(ticks=[desk.trade("100.10", size="25", ts_ns=2)])).orders
    assert [each.filled_quantity for each in first] == [65]
    last = desk.send(MarketMoved(ticks=[desk.quote("100.00", "100.20", ts_ns=3)])).orders
    assert [(each.status, each.filled_quantity) for each in last] == [(Status.FILLED, 100)]
    executions = desk.state.changes.executions
    assert [execution.quantity for execution in executions] == [40, 25, 35]
    for execution in executions:
        assert recompute(execution.basis)[:3] == (execution.price, execution.quantity, execution.commission)
    assert sum(execution.commission for execution in executions) == Decimal("0.500")


def test_a_stop_that_a_gap_triggers_fills_at_the_gap_and_not_at_the_quote_from_before() -> None:
    desk = Desk()
    desk.quote("99.98", "100.02")
    desk.place("BUY", 10)
    stop = desk.place("SELL", 10, order_type=OrderType.STOP, stop_price=Decimal("95.00"))
    assert stop.status is Status.PENDING
    (filled,) = desk.send(MarketMoved(ticks=[desk.trade("90.00", ts_ns=2)])).orders
    # 90.00 less 1..5 basis points
    assert filled.status is Status.FILLED
    assert filled.avg_fill_price is not None
    assert Decimal("89.95") <= filled.avg_fill_price <= Decimal("89.99")


def test_a_quote_without_the_side_needed_gives_way_to_the_last_trade() -> None:
    desk = Desk()
    desk.quote("99.98", None)
    bought = price(desk.place("BUY", 1))
    assert bought is not None
    assert Decimal("100.01") <= bought <= Decimal("100.05")
    assert price(desk.place("SELL", 1)) == Decimal("99.98")


def test_a_crossed_quote_is_not_dealt_on() -> None:
    desk = Desk(limits=Limits(reference_suspect=OFF))
    desk.quote("100.50", "99.50")
    bought = price(desk.place("BUY", 1))
    assert bought is not None
    assert bought >= Decimal("100.01")


def test_a_quote_much_older_than_the_last_trade_is_not_dealt_on() -> None:
    desk = Desk()
    desk.quote("49.00", "50.00", ts_ns=1)
    desk.trade("100.00", ts_ns=61 * NS_PER_S)
    bought = price(desk.place("BUY", 1))
    assert bought is not None
    assert bought >= Decimal("100.01")


def test_a_buy_limit_of_one_is_not_filled_at_a_hundred() -> None:
    desk = Desk()
    assert desk.place("BUY", 1, "1.00").status is Status.PENDING


def test_a_marketable_limit_gets_the_quote_not_its_limit() -> None:
    desk = Desk()
    desk.quote("99.98", "100.02")
    assert price(desk.place("BUY", 1, "101.00")) == Decimal("100.02")


def test_an_ioc_limit_that_cannot_trade_is_cancelled_at_once() -> None:
    desk = Desk()
    order = desk.place("BUY", 1, "99.00", time_in_force=TimeInForce.IOC)
    assert order.status is Status.CANCELLED
    assert desk.account.reserved == 0


def test_resting_orders_fill_best_first_then_oldest_and_where_the_price_jumped_at_the_print() -> None:
    desk = Desk()
    ids = [desk.place("BUY", 1, limit).id for limit in ("98.00", "99.00", "98.00", "97.00")]
    outcome = desk.send(MarketMoved(ticks=[desk.trade("98.00")]))
    assert [order.id for order in outcome.orders] == [ids[1], ids[0], ids[2]]
    assert [price(order) for order in outcome.orders] == [Decimal("98.00")] * 3


def test_a_quote_reaches_resting_orders_but_a_crossed_one_does_not() -> None:
    desk = Desk()
    desk.place("BUY", 1, "98.00")
    assert desk.send(MarketMoved(ticks=[desk.quote("98.10", "97.90")])).orders == ()
    filled = desk.send(MarketMoved(ticks=[desk.quote("97.90", "98.00")])).orders
    assert [price(order) for order in filled] == [Decimal("98.00")]


def test_through_needs_more_than_a_touch() -> None:
    desk = Desk(rules=FillRules(limit_needs_through=True))
    desk.place("BUY", 1, "98.00")
    assert desk.send(MarketMoved(ticks=[desk.trade("98.00")])).orders == ()
    assert len(desk.send(MarketMoved(ticks=[desk.trade("97.99")])).orders) == 1


def test_commission_is_half_a_cent_a_share_and_never_rounded() -> None:
    desk = Desk()
    assert desk.place("BUY", 1).commission == Decimal("0.005")
    assert desk.place("BUY", 333).commission == Decimal("1.665")


def test_day_orders_expire_at_the_end_of_the_utc_day_and_gtc_orders_do_not() -> None:
    desk = Desk()
    day = desk.place("BUY", 1, "90.00")
    good_till_cancelled = desk.place("BUY", 1, "90.00", time_in_force=TimeInForce.GTC)
    assert day.expires_at is not None
    assert day.expires_at % DAY_NS == 0
    desk.now = day.expires_at - 1
    assert desk.send(TimePassed()).orders == ()
    desk.now = day.expires_at
    expired = desk.send(TimePassed()).orders
    assert [(order.id, order.status) for order in expired] == [(day.id, Status.EXPIRED)]
    assert list(desk.state.orders) == [good_till_cancelled.id]


def test_what_is_left_of_an_order_stays_backed_by_the_dearer_tier_it_will_pay() -> None:
    tiers = {"model": "tiered", "tiers": [{"up_to": "100", "per_share": "0.01"}, {"per_share": "0.05"}]}
    desk = Desk(rules=FillRules(commission=commission_from(tiers)), limits=replace(FAR, price_collar=OFF))
    desk.trade("10.50", ts_ns=1)
    order = desk.place("BUY", 200, "10.00")
    # 200 x 10.00, the first 100 at 0.01 and the others at 0.05
    assert desk.account.reserved == Decimal(2000) + 1 + 5
    desk.move("10.00", ts_ns=2, size="60")
    assert desk.state.orders[order.id].filled_quantity == 60
    assert desk.account.reserved == 140 * Decimal(10) + 40 * Decimal("0.01") + 100 * Decimal("0.05")
    desk.move("10.00", ts_ns=3, size="60")
    assert desk.account.reserved == 80 * (Decimal(10) + Decimal("0.05"))
