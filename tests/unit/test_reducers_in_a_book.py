"""Reduce-only orders that rest in a book, when one incoming order meets several orders of their account."""

from decimal import Decimal

from qsuite.domain.trading.order import Status, StopLoss, TakeProfit, TimeInForce
from qsuite.domain.trading.risk import OFF, Limits
from tests.support.trading import ACCOUNT, Pit

SHORTS = Limits(short_sale=True, price_collar=OFF, price_collar_passive=OFF, reference_suspect=OFF)


def held(pit: Pit) -> Decimal:
    return pit.state.position(ACCOUNT, "NEW").quantity


def asks(pit: Pit) -> list[tuple[Decimal, Decimal]]:
    return [(level.price, level.quantity) for level in pit.state.venues.book("NEW").depth(5)[1]]


def test_one_deeper_in_the_book_sells_only_what_those_before_it_left() -> None:
    pit = Pit(limits=SHORTS)
    reducer = pit.mine("SELL", 60, "10.10", reduce_only=True)
    pit.mine("SELL", 60, "10.00")
    taker = pit.theirs("BUY", 120, "10.20")
    # Of 100 held 60 go at 10.00; the reducer sells the 40 that are left, and 20 find nobody.
    assert (taker.filled_quantity, taker.filled_value) == (100, 60 * Decimal("10.00") + 40 * Decimal("10.10"))
    ended = pit.now_of(reducer)
    assert (held(pit), ended.status, ended.quantity, ended.filled_quantity) == (0, Status.FILLED, 40, 40)
    assert pit.state.venues.book("NEW").bid == (Decimal("10.20"), 20, 1)


def test_one_that_nothing_is_left_for_gives_way_to_those_behind_it() -> None:
    pit = Pit(limits=SHORTS)
    reducer = pit.mine("SELL", 60, "10.10", reduce_only=True)
    pit.mine("SELL", 100, "10.00")
    behind = pit.mine("SELL", 30, "10.15")
    taker = pit.theirs("BUY", 130, "10.20")
    assert (pit.now_of(reducer).status, pit.now_of(reducer).filled_quantity) == (Status.CANCELLED, 0)
    assert [pit.now_of(one).status for one in (taker, behind)] == [Status.FILLED] * 2
    assert held(pit) == -30


def test_one_that_the_incoming_order_does_not_come_to_keeps_what_there_is_left_to_reduce() -> None:
    pit = Pit(limits=SHORTS)
    reducer = pit.mine("SELL", 60, "10.10", reduce_only=True)
    pit.mine("SELL", 60, "10.00")
    assert pit.theirs("BUY", 50, "10.20").status is Status.FILLED
    assert asks(pit) == [(Decimal("10.00"), 10), (Decimal("10.10"), 50)]
    assert pit.now_of(reducer).quantity == 50


def test_fill_or_kill_counts_on_it_for_no_more_than_it_can_sell() -> None:
    pit = Pit(limits=SHORTS)
    reducer = pit.mine("SELL", 60, "10.10", reduce_only=True)
    pit.mine("SELL", 60, "10.00")
    killed = pit.theirs("BUY", 101, "10.20", time_in_force=TimeInForce.FOK)
    assert (killed.status, killed.filled_quantity) == (Status.CANCELLED, 0)
    assert pit.now_of(reducer).quantity == 60, "nothing traded, so nothing gives way"
    assert pit.theirs("BUY", 100, "10.20", time_in_force=TimeInForce.FOK).status is Status.FILLED


def test_of_two_legs_of_a_bracket_an_incoming_order_meets_one() -> None:
    pit = Pit(limits=SHORTS)
    legs = {"take_profit": TakeProfit(Decimal("10.50")), "stop_loss": StopLoss(Decimal("9.50"), Decimal("9.45"))}
    pit.theirs("SELL", 5, "10.00")
    pit.mine("BUY", 5, "10.00", **legs)
    pit.theirs("BUY", 1, "9.50")
    pit.mine("SELL", 1, "9.50")
    assert asks(pit) == [(Decimal("9.45"), 5), (Decimal("10.50"), 5)]
    taker = pit.theirs("BUY", 20, "10.60")
    assert (taker.filled_quantity, taker.avg_fill_price) == (5, Decimal("9.45"))
    assert (held(pit), asks(pit)) == (100 + 5 - 1 - 5, [])


def test_who_may_trade_with_themselves_buys_what_their_own_ones_sell() -> None:
    pit = Pit(limits=SHORTS)
    pit.limit(self_trade=False)
    sold = [pit.mine("SELL", 50, price, reduce_only=True) for price in ("10.00", "10.10")]
    taker = pit.mine("BUY", 100, "10.20")
    # Each sale of 50 is bought back before the next.
    assert [pit.now_of(one).status for one in (*sold, taker)] == [Status.FILLED] * 3
    assert held(pit) == 100
