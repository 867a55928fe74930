"""The limit order book, by hand: who meets whom, at what price, and who keeps a place."""

from decimal import Decimal

import pytest

from qsuite.domain.money import ZERO
from qsuite.domain.trading.auction import Equilibrium, Unpriced, auction_price, uncross
from qsuite.domain.trading.book import Book, SelfTrade


def book_of(*orders: tuple[str, str, str, int, int]) -> Book[int]:
    """Make a book of (id, owner, side, price, quantity), oldest first."""
    book = Book(0)
    for id_, owner, side, price, quantity in orders:
        book.add(id_, owner, side == "buy", price, quantity)
    return book


def queue(book: Book[int], *, buy: bool) -> list[tuple[object, int]]:
    return [(order.id, order.quantity) for level in book.levels(buy=buy) for order in level]


def test_the_better_price_comes_first_and_then_the_older_order() -> None:
    book = book_of(("a", "ada", "sell", 101, 5), ("b", "bob", "sell", 100, 5), ("c", "eve", "sell", 100, 5))
    matched = book.match("zoe", True, 12, 101)
    assert [(one.maker.id, one.price, one.quantity) for one in matched.matches] == [
        ("b", 100, 5),
        ("c", 100, 5),
        ("a", 101, 2),
    ]
    assert (matched.remaining, matched.stopped) == (0, False)
    assert queue(book, buy=False) == [("a", 3)]
    assert book.ask == (101, 3, 1)
    assert book.bid is None


def test_an_order_goes_no_further_than_its_limit_and_one_without_goes_all_the_way() -> None:
    book = book_of(("a", "ada", "buy", 99, 4), ("b", "bob", "buy", 98, 4))
    assert book.match("zoe", False, 10, 99).remaining == 6
    assert book.match("zoe", False, 10).remaining == 6
    assert len(book) == 0


def test_an_order_that_meets_its_own_owner_stops_there_and_the_resting_one_stays() -> None:
    book = book_of(("a", "ada", "sell", 100, 2), ("b", "zoe", "sell", 100, 3), ("c", "bob", "sell", 100, 4))
    assert sum(one.quantity for one in book.reached("zoe", True)) == 2
    matched = book.match("zoe", True, 9)
    assert ([one.maker.id for one in matched.matches], matched.remaining, matched.stopped) == (["a"], 7, True)
    assert queue(book, buy=False) == [("b", 3), ("c", 4)]


def test_a_resting_order_yields_to_its_owner_where_the_policy_says_so() -> None:
    book = book_of(("a", "ada", "sell", 100, 2), ("b", "zoe", "sell", 100, 3), ("c", "bob", "sell", 100, 4))
    assert sum(one.quantity for one in book.reached("zoe", True, None, SelfTrade.CANCEL_RESTING)) == 6
    matched = book.match("zoe", True, 9, None, SelfTrade.CANCEL_RESTING)
    assert [one.maker.id for one in matched.matches] == ["a", "c"]
    assert [(order.id, order.quantity) for order in matched.cancelled] == [("b", 3)]
    assert (matched.remaining, matched.stopped) == (3, False)
    assert len(book) == 0


def test_orders_without_an_owner_may_meet() -> None:
    book = Book(0)
    book.add(1, None, False, 100, 5)
    assert book.match(None, True, 5).remaining == 0


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [
        (3, 100, [("a", 3), ("b", 5)]),  # smaller at its price: keeps its place
        (6, 100, [("b", 5), ("a", 6)]),  # larger: goes behind
        (5, 101, [("a", 5), ("b", 5)]),  # another price: goes behind all who stand there
        (0, 100, [("b", 5)]),  # nothing left: goes
    ],
)
def test_only_a_smaller_size_at_the_same_price_keeps_its_place(
    quantity: int, price: int, expected: list[tuple[object, int]]
) -> None:
    book = book_of(("a", "ada", "buy", 100, 5), ("b", "bob", "buy", 100, 5))
    book.replace("a", quantity, price)
    assert queue(book, buy=True) == expected


def test_what_does_not_rest_cannot_be_taken_out() -> None:
    book = book_of(("a", "ada", "buy", 100, 5))
    book.remove("a")
    for verb in (lambda: book.remove("a"), lambda: book.reduce("a", 1), lambda: book.replace("a", 1, 100)):
        with pytest.raises(KeyError):
            verb()
    assert book.find("a") is None
    assert "a" not in book


def test_decimals_that_are_equal_share_a_level_however_they_are_written() -> None:
    book = Book(ZERO)
    book.add(1, None, True, Decimal("150.0"), Decimal("0.1"))
    book.add(2, None, True, Decimal("150.00"), Decimal("0.2"))
    assert book.bid == (Decimal(150), Decimal("0.3"), 2)


def test_changes_are_told_once_and_a_level_that_went_is_told_as_empty() -> None:
    book = book_of(("a", "ada", "buy", 100, 5), ("b", "bob", "sell", 102, 5))
    assert book.changes() == []  # the watch begins
    book.add("c", "eve", True, 100, 2)
    book.remove("b")
    assert book.changes() == [(True, 100, 7, 2), (False, 102, 0, 0)]
    assert book.changes() == []


def test_depth_shows_the_best_levels_of_each_side() -> None:
    book = book_of(
        ("a", "ada", "buy", 98, 1),
        ("b", "ada", "buy", 99, 2),
        ("c", "ada", "buy", 99, 3),
        ("d", "ada", "sell", 101, 4),
        ("e", "ada", "sell", 103, 5),
    )
    assert book.depth(1) == ([(99, 5, 2)], [(101, 4, 1)])
    assert book.depth(10) == ([(99, 5, 2), (98, 1, 1)], [(101, 4, 1), (103, 5, 1)])
    assert book.depth(0) == ([], [])


# What can trade at each price, worked out by hand:
#   price  buys at it  sells at it  trades  left over
#    102        5          30          5       -25
#    101       15          30         15       -15
#    100       25          20         20        +5
#     99       25          10         10       +15
CALL = (
    ("a", "ada", "buy", 102, 5),
    ("b", "bob", "buy", 101, 10),
    ("c", "eve", "buy", 100, 10),
    ("d", "ada", "sell", 99, 10),
    ("e", "bob", "sell", 100, 10),
    ("f", "eve", "sell", 101, 10),
)


def test_an_auction_trades_the_most_at_one_price() -> None:
    book = book_of(*CALL)
    assert auction_price(book, 0, 0) == Equilibrium(100, 20, 5)
    crosses = uncross(book, 100)
    assert [(one.buy.id, one.sell.id, one.quantity) for one in crosses] == [
        ("a", "d", 5),
        ("b", "d", 5),
        ("b", "e", 5),
        ("c", "e", 5),
    ]
    assert (queue(book, buy=True), queue(book, buy=False)) == ([("c", 5)], [("f", 10)])


def test_orders_without_a_price_move_the_auction_and_are_served_first() -> None:
    book = book_of(*CALL)
    # Ten more to buy: 101 trades 25 (left -5), 100 trades 20.
    assert auction_price(book, 10, 0) == Equilibrium(101, 25, -5)
    market = Unpriced("m", "zoe", 10)
    crosses = uncross(book, 101, unpriced_buys=[market])
    assert [(one.buy.id, one.sell.id, one.quantity) for one in crosses] == [
        ("m", "d", 10),
        ("a", "e", 5),
        ("b", "e", 5),
        ("b", "f", 5),
    ]
    assert market.quantity == 0


@pytest.mark.parametrize(
    ("orders", "reference", "price"),
    [
        # Buyers are left at either price: the highest; sellers are left: the lowest.
        ((("a", "x", "buy", 102, 9), ("b", "x", "sell", 100, 5)), None, 102),
        ((("a", "x", "buy", 102, 5), ("b", "x", "sell", 100, 9)), None, 100),
        # Nobody is left over: the price nearest to the reference, else the lower one in the middle.
        ((("a", "x", "buy", 102, 5), ("b", "x", "sell", 100, 5)), 103, 102),
        ((("a", "x", "buy", 102, 5), ("b", "x", "sell", 100, 5)), 99, 100),
        ((("a", "x", "buy", 102, 5), ("b", "x", "sell", 100, 5)), None, 100),
    ],
)
def test_ties_of_an_auction_go_to_the_pressure_and_then_to_the_reference(
    orders: tuple[tuple[str, str, str, int, int], ...], reference: int | None, price: int
) -> None:
    found = auction_price(book_of(*orders), 0, 0, reference)
    assert found is not None
    assert found.price == price


def test_an_auction_of_orders_that_do_not_cross_trades_nothing() -> None:
    assert auction_price(book_of(("a", "x", "buy", 99, 5), ("b", "x", "sell", 100, 5)), 0, 0) is None
    assert auction_price(Book(0), 3, 3) is None
