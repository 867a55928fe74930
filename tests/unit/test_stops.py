"""Stops and trailing stops: when they act, at what price, and what they hold until then."""

from decimal import Decimal

from qsuite.domain.trading.commands import Halt, MarketMoved, Scope, TimePassed
from qsuite.domain.trading.order import Order, OrderType, Status, TimeInForce
from qsuite.domain.trading.paper import FillRules
from tests.support.trading import USER, Desk

STOP, STOP_LIMIT, TRAILING = OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP


def moved(desk: Desk, price: str, ts_ns: int = 2) -> tuple[Order, ...]:
    return desk.send(MarketMoved(ticks=[desk.trade(price, ts_ns=ts_ns)])).orders


def stop(desk: Desk, side: str, quantity: int, at: str, **changed: object) -> Order:
    given = {"order_type": STOP, "stop_price": Decimal(at), "price": None} | changed
    return desk.place(side, quantity, **given)


def test_a_stop_waits_until_a_trade_reaches_it() -> None:
    desk = Desk()
    order = stop(desk, "BUY", 10, "102.00")
    assert order.status is Status.PENDING
    moved(desk, "101.99")
    assert not desk.state.orders[order.id].triggered
    filled = moved(desk, "102.00", 3)
    assert [(one.id, one.status) for one in filled] == [(order.id, Status.FILLED)]


def test_a_gap_fills_a_stop_where_the_gap_ended() -> None:
    desk = Desk(rules=FillRules(slippage_min_bps=Decimal(0), slippage_max_bps=Decimal(0)))
    desk.place("BUY", 10)
    order = stop(desk, "SELL", 10, "98.00")
    filled = moved(desk, "97.00")
    assert filled[-1].id == order.id
    assert filled[-1].avg_fill_price == Decimal("97.00")


def test_a_stop_limit_rests_where_the_market_jumped_over_its_limit() -> None:
    desk = Desk()
    order = stop(desk, "BUY", 10, "102.00", order_type=STOP_LIMIT, price=Decimal("102.50"))
    moved(desk, "103.00")
    resting = desk.state.orders[order.id]
    assert (resting.status, resting.triggered, resting.filled_quantity) == (Status.PENDING, True, 0)
    filled = moved(desk, "102.50", 3)
    assert filled[-1].avg_fill_price == Decimal("102.50")


def test_a_stop_is_checked_again_when_it_is_reached() -> None:
    desk = Desk()
    desk.place("BUY", 10)
    order = stop(desk, "SELL", 10, "98.00")
    desk.tickers["IBM"] = desk.tickers["IBM"].__class__(
        id=desk.tickers["IBM"].id, symbol="IBM", name="IBM", is_active=False
    )
    [refused] = moved(desk, "97.50")
    assert (refused.id, refused.status) == (order.id, Status.REJECTED)
    assert refused.reject is not None
    assert refused.reject["code"] == "ticker.inactive"
    position = desk.state.position(desk.account.id, "IBM")
    assert position.working_sells == 0


def test_a_buy_stop_reserves_cash_for_the_stop_and_the_collar_above_it() -> None:
    # 10 x 102.00 x 1.05 + 10 x 0.005
    desk = Desk()
    stop(desk, "BUY", 10, "102.00")
    assert desk.account.reserved == Decimal("1071.05")


def test_a_trailing_sell_follows_the_market_up_and_never_down() -> None:
    desk = Desk(rules=FillRules(slippage_min_bps=Decimal(0), slippage_max_bps=Decimal(0)))
    desk.place("BUY", 10)
    order = desk.place("SELL", 10, None, order_type=TRAILING, trail_price=Decimal("2.00"))
    assert order.stop_price == Decimal("98.00")
    moved(desk, "101.00", 2)
    assert desk.state.orders[order.id].stop_price == Decimal("99.00")
    moved(desk, "99.50", 3)
    assert desk.state.orders[order.id].stop_price == Decimal("99.00")
    filled = moved(desk, "98.80", 4)
    assert (filled[-1].id, filled[-1].avg_fill_price) == (order.id, Decimal("98.80"))


def test_a_trailing_buy_by_per_cent_follows_the_market_down() -> None:
    # 2 per cent over 100.00 is 102.00; over 90.03 it is 91.8306, on the grid and no nearer: 91.84
    desk = Desk()
    order = desk.place("BUY", 10, None, order_type=TRAILING, trail_percent=Decimal(2))
    assert order.stop_price == Decimal("102.00")
    moved(desk, "90.03", 2)
    assert desk.state.orders[order.id].stop_price == Decimal("91.84")
    assert moved(desk, "91.84", 3)[-1].status is Status.FILLED


def test_each_move_of_a_trailing_stop_is_a_step_of_its_own() -> None:
    desk = Desk()
    desk.place("BUY", 10)
    order = desk.place("SELL", 10, None, order_type=TRAILING, trail_price=Decimal("2.00"))
    moved(desk, "101.00", 2)
    moved(desk, "102.00", 3)
    assert desk.state.orders[order.id].version == 3
    kinds = [entry.kind for entry in desk.state.changes.entries if entry.subject == str(order.id)]
    assert kinds == ["order.placed", "order.trailed", "order.trailed"]


def test_where_nothing_ever_traded_stops_go_by_the_quote() -> None:
    desk = Desk()
    desk.add_ticker("EURUSD")
    desk.quote("1.10", "1.12", "EURUSD")
    order = stop(desk, "BUY", 100, "1.15", symbol="EURUSD")
    desk.send(MarketMoved(ticks=[desk.quote("1.13", "1.15", "EURUSD", ts_ns=2)]))
    assert desk.state.find(order.id).status is Status.FILLED  # type: ignore[union-attr]


def test_a_stop_expires_and_is_cancelled_like_any_order() -> None:
    desk = Desk()
    order = stop(desk, "BUY", 10, "102.00")
    assert order.expires_at is not None
    desk.now = order.expires_at
    assert [one.status for one in desk.send(TimePassed()).orders] == [Status.EXPIRED]
    assert desk.account.reserved == 0
    held = stop(desk, "BUY", 10, "102.00")
    desk.send(Halt(scope=Scope.GLOBAL, target=None, user=USER, reason="test"))
    assert desk.state.find(held.id).status is Status.CANCELLED  # type: ignore[union-attr]
    assert moved(desk, "103.00", 9) == ()


def test_an_order_with_latency_meets_the_market_as_it_is_when_it_arrives() -> None:
    desk = Desk(rules=FillRules(latency_ns=5_000_000))
    desk.quote("99.00", "100.00")
    order = desk.place("BUY", 10)
    assert order.status is Status.PENDING
    desk.quote("100.00", "101.00", ts_ns=2)
    assert desk.send(TimePassed()).orders == ()
    desk.now += 5_000_000
    [filled] = desk.send(TimePassed()).orders
    assert (filled.status, filled.avg_fill_price) == (Status.FILLED, Decimal("101.00"))


def test_fill_or_kill_takes_all_or_nothing() -> None:
    desk = Desk()
    desk.market["IBM"] = desk.market["IBM"]._replace(
        quote=desk.quote("99.00", "100.00")._replace(bid_size=Decimal(5), ask_size=Decimal(5))
    )
    killed = desk.place("BUY", 6, "100.00", time_in_force=TimeInForce.FOK)
    assert (killed.status, killed.filled_quantity) == (Status.CANCELLED, 0)
    assert desk.place("BUY", 5, "100.00", time_in_force=TimeInForce.FOK).status is Status.FILLED
    cut = desk.place("BUY", 6, "100.00", time_in_force=TimeInForce.IOC)
    assert (cut.status, cut.filled_quantity) == (Status.CANCELLED, 5)


def test_what_is_printed_while_the_market_is_closed_fills_nothing() -> None:
    desk = Desk()
    order = desk.place("BUY", 10, "99.00", time_in_force=TimeInForce.GTC)

    class Closed:
        def is_open(self, calendar: str, now: int) -> bool:
            return False

        def day_end(self, calendar: str, now: int) -> int:
            return now + 1

    desk.state.sessions = Closed()
    assert moved(desk, "98.00") == ()
    assert desk.state.orders[order.id].filled_quantity == 0


def test_a_delayed_order_that_comes_to_rest_has_its_place_from_then_on() -> None:
    desk = Desk(rules=FillRules(latency_ns=5_000_000))
    desk.quote("99.00", "100.00")
    order = desk.place("BUY", 10, "99.50")
    assert desk.state.orders[order.id].arrival == 0
    desk.now += 5_000_000
    [arrived] = desk.send(TimePassed()).orders
    assert (arrived.status, arrived.version) == (Status.PENDING, 2)
    assert desk.state.orders[order.id].arrival > 0
    assert moved(desk, "99.50", 3)[-1].status is Status.FILLED
