"""Orders meet the ticks in their order, and see no later one, however many were published before they were decided."""

from decimal import Decimal

from qsuite.domain.trading.commands import MarketMoved
from qsuite.domain.trading.order import Order, OrderType, TakeProfit
from qsuite.domain.trading.paper import FillRules
from tests.support.trading import Desk

EXACT = FillRules(slippage_min_bps=Decimal(0), slippage_max_bps=Decimal(0))


def published_together(desk: Desk, *prices: str) -> MarketMoved:
    """Publish trades one after the other before anything is decided."""
    before = {"IBM": desk.market["IBM"]}
    return MarketMoved(ticks=[desk.trade(price, ts_ns=2 + at) for at, price in enumerate(prices)], before=before)


def fill_prices(desk: Desk, order: Order) -> list[Decimal]:
    return [each.price for each in desk.state.changes.executions if each.order == order.id]


def test_a_stop_deals_where_the_market_was_when_it_was_reached() -> None:
    desk = Desk(rules=EXACT)
    desk.place("BUY", 10)
    order = desk.place("SELL", 10, order_type=OrderType.STOP, stop_price=Decimal("98.00"))
    command = published_together(desk, "99.00", "97.50")
    desk.quote("91.00", "91.02", ts_ns=9)  # published, too, but not met yet
    desk.send(command)
    assert fill_prices(desk, order) == [Decimal("97.50")]


def test_a_leg_that_a_tick_sets_working_meets_the_ticks_after_it_and_none_twice() -> None:
    desk = Desk(rules=EXACT)
    entry = desk.place("BUY", 10, "99.00", take_profit=TakeProfit(Decimal("101.00")))
    desk.send(published_together(desk, "99.00", "100.00", "101.00", "102.00"))
    (leg,) = (order for order in desk.state._closed.values() if order.parent == entry.id)
    assert fill_prices(desk, leg) == [Decimal("101.00")]


def test_an_order_decided_between_ticks_sees_those_before_it_alone() -> None:
    desk = Desk(rules=EXACT)
    first, second = published_together(desk, "101.00"), published_together(desk, "102.00", "103.00")
    desk.send(first)
    assert fill_prices(desk, desk.place("BUY", 10)) == [Decimal("101.00")]
    desk.send(second)
    assert fill_prices(desk, desk.place("BUY", 10)) == [Decimal("103.00")]
