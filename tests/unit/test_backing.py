"""Cash behind orders that came to close a position which another order closed first; each sum worked out by hand."""

from decimal import Decimal

from qsuite.domain.trading.order import Status
from qsuite.domain.trading.risk import OFF, Limits, buying_power
from tests.support.trading import ACCOUNT, Desk, Pit

SHORTS = Limits(
    short_sale=True, price_collar=OFF, price_collar_passive=OFF, price_collar_window=OFF, reference_suspect=OFF
)


def desk_short_of_100() -> Desk:
    """Sell 100 at 100.00: cash 10,000 + 10,000 - 0.50."""
    desk = Desk(cash="10000", limits=SHORTS)
    desk.quote("100.00", "100.01", ts_ns=2)
    assert desk.place("SELL", 100).avg_fill_price == 100
    return desk


def test_a_buy_that_may_open_once_another_closed_the_short_is_backed_from_then_on() -> None:
    desk = desk_short_of_100()
    closing = desk.place("BUY", 100, "90.00")
    opening = desk.place("BUY", 50, "95.00")
    assert (closing.reserved, opening.reserved) == (0, 50 * Decimal(95) + Decimal("0.25"))
    desk.move("94.00", ts_ns=3)
    assert desk.state.position(ACCOUNT, "IBM").quantity == -50
    backed = desk.state.orders[closing.id]
    assert (backed.status, backed.version) == (Status.PENDING, closing.version + 1)
    assert desk.account.reserved == backed.reserved == 100 * Decimal(90) + Decimal("0.50")
    assert [entry.kind for entry in desk.state.changes.entries if entry.subject == str(closing.id)] == [
        "order.placed",
        "order.backed",
    ]
    # What is left for others: the cash without what backs it, and without 1.5 times what is still owed, which is
    # valued at 100.00 until accounts are valued again.
    free = buying_power(desk.account, desk.state.exposures)
    assert free == desk.account.cash - Decimal("9000.50") - Decimal("1.5") * 50 * 100
    assert desk.refusal("BUY", 100, "90.00") == "risk.buying_power"


def test_a_sell_that_may_open_a_short_once_another_closed_the_long_is_backed_by_half() -> None:
    desk = Desk(cash="20000", limits=SHORTS)
    desk.quote("99.99", "100.00", ts_ns=2)
    desk.place("BUY", 100)
    closing = desk.place("SELL", 100, "110.00")
    opening = desk.place("SELL", 50, "105.00")
    assert (closing.reserved, opening.reserved) == (0, 25 * Decimal(105) + Decimal("0.25"))
    desk.move("106.00", ts_ns=3)
    assert desk.state.position(ACCOUNT, "IBM").quantity == 50
    assert desk.account.reserved == 50 * Decimal(110) + Decimal("0.50")


def test_only_as_many_orders_are_backed_as_may_open_the_newest_first() -> None:
    desk = desk_short_of_100()
    older, newer = desk.place("BUY", 60, "90.00"), desk.place("BUY", 40, "91.00")
    desk.place("BUY", 30, "95.00")
    desk.move("94.00", ts_ns=3)
    # 70 are still to be bought back and 100 are on their way: 30 may open, which the newer order's 40 cover.
    assert desk.state.orders[older.id].reserved == 0
    assert desk.account.reserved == desk.state.orders[newer.id].reserved == 40 * Decimal(91) + Decimal("0.20")


def test_a_fill_that_closes_nothing_backs_nothing() -> None:
    desk = Desk(cash="100000", limits=SHORTS)
    desk.quote("99.99", "100.00", ts_ns=2)
    resting = desk.place("BUY", 10, "90.00")
    desk.place("BUY", 10)
    assert (desk.state.orders[resting.id].version, desk.account.reserved) == (1, resting.reserved)


def test_reduce_only_orders_shrink_instead() -> None:
    desk = desk_short_of_100()
    closing = desk.place("BUY", 100, "90.00", reduce_only=True)
    desk.place("BUY", 50, "95.00")
    desk.move("94.00", ts_ns=3)
    assert (desk.state.orders[closing.id].quantity, desk.account.reserved) == (50, 0)


def test_of_an_order_that_fills_in_parts_the_part_that_closed_backs_the_others() -> None:
    pit = Pit(limits=SHORTS)
    position = pit.state.position(ACCOUNT, "NEW")
    position.quantity, position.cost = Decimal(-20), Decimal(-200)
    pit.state.exposures.changed(position)
    closing = pit.mine("BUY", 20, "8.00")
    assert closing.reserved == 0
    for quantity, price in ((30, "9.00"), (30, "9.50"), (40, "10.00")):
        pit.theirs("SELL", quantity, price)
    assert pit.mine("BUY", 100, "10.00").status is Status.FILLED
    assert position.quantity == 80
    # Its first 20 bought the short back; what was to do that would open now.
    assert pit.account.reserved == pit.now_of(closing).reserved == 20 * Decimal(8) + Decimal("0.10")
