"""Orders that meet each other: a ticker whose market is the book of its users."""

from decimal import Decimal
from typing import Any

from qsuite.domain.money import ZERO
from qsuite.domain.trading.commands import CancelOrder, ReplaceOrder
from qsuite.domain.trading.order import OrderType, Status, StopLoss, TakeProfit, TimeInForce
from tests.support.trading import ACCOUNT, OTHER, USER, Pit


def levels(pit: Pit) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
    bids, asks = pit.state.venues.book("NEW").depth(5)
    return [(one.price, one.quantity) for one in bids], [(one.price, one.quantity) for one in asks]


def test_the_first_orders_need_no_market() -> None:
    pit = Pit()
    assert pit.mine("BUY", 10, "9.00").status is Status.PENDING
    assert pit.theirs("SELL", 10, "11.00").status is Status.PENDING
    assert levels(pit) == ([(Decimal("9.00"), Decimal(10))], [(Decimal("11.00"), Decimal(10))])


def test_a_crossing_order_trades_at_the_resting_price_and_both_are_booked() -> None:
    pit = Pit()
    maker = pit.theirs("SELL", 10, "10.00")
    taker = pit.mine("BUY", 4, "10.50")
    assert (taker.status, taker.avg_fill_price) == (Status.FILLED, Decimal("10.00"))
    assert (pit.now_of(maker).status, pit.now_of(maker).remaining) == (Status.PARTIAL, 6)
    assert [execution.basis["liquidity"] for execution in pit.state.changes.executions] == ["maker", "taker"]
    # 100,000 each, 40 changes hands, each pays 4 x 0.005
    assert (pit.account.cash, pit.other.cash) == (Decimal("99959.980"), Decimal("100039.980"))
    assert all(sum(one.postings.values(), ZERO) == 0 for one in pit.state.changes.executions)


def test_price_then_time() -> None:
    pit = Pit()
    worse, first, second = (
        pit.theirs("SELL", 5, "10.10"),
        pit.theirs("SELL", 5, "10.00"),
        pit.theirs("SELL", 5, "10.00"),
    )
    pit.mine("BUY", 7, "10.10")
    assert [pit.now_of(one).filled_quantity for one in (first, second, worse)] == [5, 2, 0]


def test_an_order_that_meets_its_own_account_is_stopped_there() -> None:
    pit = Pit()
    theirs = pit.theirs("SELL", 5, "10.00")
    own = pit.mine("SELL", 5, "10.01")
    taker = pit.mine("BUY", 10, "10.01")
    assert (taker.status, taker.filled_quantity) == (Status.CANCELLED, 5)
    assert pit.now_of(theirs).status is Status.FILLED
    assert pit.now_of(own).status is Status.PENDING
    assert [event.code for event in pit.state.changes.risk_events] == ["risk.self_trade"]


def test_two_accounts_of_one_person_do_not_meet_either() -> None:
    pit = Pit()
    pit.other.user = USER
    pit.place("SELL", 5, "10.00", symbol="NEW", account=OTHER)
    assert (pit.mine("BUY", 5, "10.00").status, pit.other.cash) == (Status.CANCELLED, 100_000)


def test_a_market_order_takes_what_there_is_and_no_more() -> None:
    pit = Pit()
    pit.theirs("SELL", 5, "10.00")
    taker = pit.mine("BUY", 8)
    assert (taker.status, taker.filled_quantity) == (Status.CANCELLED, 5)


def test_a_market_order_goes_no_further_than_the_collar() -> None:
    pit = Pit()
    pit.theirs("SELL", 5, "10.00")
    pit.theirs("SELL", 5, "10.51")
    assert pit.mine("BUY", 10).filled_quantity == 5


def test_fill_or_kill_counts_what_it_could_get() -> None:
    pit = Pit()
    pit.theirs("SELL", 5, "10.00")
    assert pit.mine("BUY", 6, "10.00", time_in_force=TimeInForce.FOK).status is Status.CANCELLED
    assert pit.mine("BUY", 5, "10.00", time_in_force=TimeInForce.FOK).status is Status.FILLED
    rest = pit.mine("BUY", 6, "9.99", time_in_force=TimeInForce.IOC)
    assert (rest.status, levels(pit)) == (Status.CANCELLED, ([], []))


def test_cancel_and_replace_reach_the_book() -> None:
    pit = Pit()
    first, second = pit.mine("BUY", 5, "9.00"), pit.mine("BUY", 5, "9.00")
    same: dict[str, Any] = {"user": USER, "accounts": (ACCOUNT,)}
    pit.send(ReplaceOrder(order=first.id, quantity=Decimal(3), **same))
    assert levels(pit)[0] == [(Decimal("9.00"), Decimal(8))]
    pit.theirs("SELL", 4, "9.00")
    assert [pit.now_of(one).filled_quantity for one in (first, second)] == [3, 1]  # shrinking kept its place
    pit.send(CancelOrder(order=second.id, **same))
    assert levels(pit) == ([], [])


def test_growing_goes_behind_the_others() -> None:
    pit = Pit()
    first, second = pit.mine("BUY", 5, "9.00"), pit.mine("BUY", 5, "9.00")
    pit.send(ReplaceOrder(order=first.id, quantity=Decimal(6), user=USER, accounts=(ACCOUNT,)))
    pit.theirs("SELL", 5, "9.00")
    assert [pit.now_of(one).filled_quantity for one in (first, second)] == [0, 5]


def test_stops_go_by_the_books_own_trades_one_setting_off_the_next() -> None:
    pit = Pit()
    pit.mine("BUY", 5, "10.00")
    pit.mine("BUY", 5, "9.80")
    pit.mine("BUY", 20, "9.70")
    stop: dict[str, Any] = {"order_type": OrderType.STOP, "price": None}
    first = pit.theirs("SELL", 5, stop_price=Decimal("10.00"), **stop)
    second = pit.theirs("SELL", 5, stop_price=Decimal("9.80"), **stop)
    pit.theirs("SELL", 5, "10.00")
    assert [pit.now_of(one).avg_fill_price for one in (first, second)] == [Decimal("9.80"), Decimal("9.70")]


def test_a_bracket_in_a_book() -> None:
    pit = Pit()
    pit.theirs("SELL", 5, "10.00")
    parent = pit.mine("BUY", 5, "10.00", take_profit=TakeProfit(Decimal("10.50")), stop_loss=StopLoss(Decimal("9.50")))
    assert parent.status is Status.FILLED
    assert levels(pit) == ([], [(Decimal("10.50"), Decimal(5))])
    pit.theirs("BUY", 5, "10.50")
    assert not pit.state.orders


def test_what_rests_is_in_the_same_order_after_a_restart() -> None:
    pit = Pit()
    for quantity in (5, 6, 7):
        pit.mine("BUY", quantity, "9.00")
    first = next(iter(pit.state.orders.values()))
    pit.send(ReplaceOrder(order=first.id, quantity=Decimal(8), user=USER, accounts=(ACCOUNT,)))
    again = Pit()
    stored = sorted(pit.state.orders.values(), key=lambda order: (order.arrival, order.id))
    again.state.load(orders=[order.copy() for order in stored])
    [level] = again.state.venues.book("NEW").levels(buy=True)
    assert [resting.quantity for resting in level] == [6, 7, 8]


def test_trades_and_levels_are_announced_for_everybody() -> None:
    pit = Pit()
    pit.theirs("SELL", 5, "10.00")
    pit.state.take_changes()
    pit.mine("BUY", 2, "10.00")
    told = [one for one in pit.state.take_changes().announcements if one.account is None]
    assert [one.kind for one in told] == ["trades", "depth"]
    [trade] = told[0].what
    assert (trade.symbol, trade.price, trade.size) == ("NEW", Decimal("10.00"), Decimal(2))
    symbol, changes, snapshot = told[1].what
    assert (symbol, [(one.buy, one.price, one.quantity) for one in changes]) == ("NEW", [(False, Decimal("10.00"), 3)])
    assert snapshot.quote.ask_size == 3
