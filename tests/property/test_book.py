"""Whatever is asked of the fast book, it says what the slow one says; quantities are conserved."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.money import ZERO
from qsuite.domain.trading.auction import Unpriced, auction_price, uncross
from qsuite.domain.trading.book import Book, SelfTrade
from tests.support.slow_book import SlowBook

# Few prices, owners and ids, so that orders meet, share levels and are found again.
OWNERS = st.sampled_from([None, "ada", "bob", "eve"])
PRICES = st.integers(98, 102)
SIZES = st.integers(1, 9)
WHICH = st.integers(0, 1_000)
BUY = st.booleans()
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), OWNERS, BUY, PRICES, SIZES),
        st.tuples(st.just("place"), OWNERS, BUY, PRICES, SIZES, BUY),
        st.tuples(st.just("match"), OWNERS, BUY, st.one_of(st.none(), PRICES), st.integers(1, 30), BUY),
        st.tuples(st.just("reduce"), WHICH, SIZES),
        st.tuples(st.just("remove"), WHICH),
        st.tuples(st.just("replace"), WHICH, SIZES, st.one_of(st.none(), PRICES)),
    ),
    # Left alone, lists have about five steps: too few for a book to fill.
    min_size=20,
    max_size=60,
)


class Twins:
    """The two books side by side, and the sums of what went in and out."""

    def __init__(self, zero: Any = 0) -> None:
        self.fast: Book[Any] = Book(zero)
        self.slow = SlowBook()
        self.kind = type(zero)
        self.entered = self.taken = zero
        self.seen: dict[tuple[bool, Any], tuple[Any, int]] = {}

    def act(self, number: int, step: tuple[Any, ...]) -> None:
        match step:
            case ("add", owner, buy, price, size):
                self.add(number, owner, buy, self.kind(price), self.kind(size))
            case ("place", owner, buy, price, size, cancel_resting):
                price = self.kind(price)
                left, stopped = self.match(owner, buy, self.kind(size), price, cancel_resting)
                if left and not stopped:
                    self.add(number, owner, buy, price, left)
            case ("match", owner, buy, price, size, cancel_resting):
                limit = None if price is None else self.kind(price)
                self.match(owner, buy, self.kind(size), limit, cancel_resting)
            case ("reduce", which, size) if self.slow.orders:
                order = self.slow.orders[which % len(self.slow.orders)]
                by = min(self.kind(size), order.quantity)
                self.taken += by
                self.fast.reduce(order.id, by)
                self.slow.reduce(order.id, by)
            case ("remove", which) if self.slow.orders:
                order = self.slow.orders[which % len(self.slow.orders)]
                self.taken += order.quantity
                assert self.fast.remove(order.id).quantity == order.quantity
                self.slow.remove(order.id)
            case ("replace", which, size, price) if self.slow.orders:
                order = self.slow.orders[which % len(self.slow.orders)]
                price = order.price if price is None else self.kind(price)
                self.entered += self.kind(size) - order.quantity
                self.fast.replace(order.id, self.kind(size), price)
                self.slow.replace(order.id, self.kind(size), price)

    def add(self, id_: int, owner: Any, buy: bool, price: Any, size: Any) -> None:
        self.entered += size
        self.fast.add(id_, owner, buy, price, size)
        self.slow.add(id_, owner, buy, price, size)

    def match(self, owner: Any, buy: bool, size: Any, limit: Any, cancel_resting: bool) -> tuple[Any, bool]:
        policy = SelfTrade.CANCEL_RESTING if cancel_resting else SelfTrade.CANCEL_NEWEST
        promised = min(size, sum(one.quantity for one in self.fast.reached(owner, buy, limit, policy)))
        matches, cancelled, remaining, stopped = self.fast.match(owner, buy, size, limit, policy)
        plain = [(one.maker.id, one.price, one.quantity) for one in matches]
        assert (plain, [order.id for order in cancelled], remaining, stopped) == self.slow.match(
            owner, buy, size, limit, cancel_resting
        )
        assert promised == size - remaining == sum(one.quantity for one in matches)
        self.taken += promised + sum(order.quantity for order in cancelled)
        return remaining, stopped

    def agree(self) -> None:
        """Both hold the same orders in the same queues, and the changes told so far add up to what is there."""
        for buy in (True, False):
            queues = [(o.id, o.owner, o.price, o.quantity) for level in self.fast.levels(buy=buy) for o in level]
            assert queues == [(o.id, o.owner, o.price, o.quantity) for o in self.slow.side(buy)]
            assert all(self.fast.find(id_).buy is buy for id_, *_ in queues)  # type: ignore[union-attr]
            levels = self.slow.depth(buy)
            assert self.fast.depth(99)[0 if buy else 1] == levels
            assert self.fast.depth(2)[0 if buy else 1] == levels[:2]
            assert (self.fast.bid if buy else self.fast.ask) == (levels[0] if levels else None)
        assert len(self.fast) == len(self.slow.orders)
        assert sum(order.quantity for order in self.slow.orders) == self.entered - self.taken

    def changes_agree(self) -> None:
        for buy, price, quantity, orders in self.fast.changes():
            if orders:
                self.seen[buy, price] = quantity, orders
            else:
                assert quantity == 0
                self.seen.pop((buy, price), None)
        expected = {
            (buy, price): (quantity, orders)
            for buy in (True, False)
            for price, quantity, orders in self.slow.depth(buy)
        }
        assert self.seen == expected


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_the_fast_book_does_what_the_slow_one_does(steps: list[tuple[Any, ...]]) -> None:
    twins = Twins()
    for number, step in enumerate(steps):
        twins.act(number, step)
        twins.agree()


@given(STEPS)
@settings(max_examples=50, deadline=None)
def test_decimals_are_matched_as_integers_are(steps: list[tuple[Any, ...]]) -> None:
    twins = Twins(ZERO)
    for number, step in enumerate(steps):
        twins.act(number, step)
    twins.agree()
    assert all(isinstance(view.quantity, Decimal) for side in twins.fast.depth(99) for view in side)


@given(STEPS, st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_the_changes_of_levels_rebuild_the_depth(steps: list[tuple[Any, ...]], every: int) -> None:
    twins = Twins()
    twins.fast.changes()
    for number, step in enumerate(steps):
        twins.act(number, step)
        if number % every == 0:
            twins.changes_agree()
    twins.changes_agree()
    assert twins.fast.changes() == []


CALL = st.one_of(st.lists(st.tuples(OWNERS, BUY, PRICES, SIZES), min_size=least, max_size=20) for least in (0, 12))
UNPRICED = st.lists(SIZES, max_size=3)


@given(CALL, UNPRICED, UNPRICED, st.one_of(st.none(), PRICES))
@settings(max_examples=150, deadline=None)
def test_an_auction_trades_the_most_at_a_price_all_accept(
    call: list[tuple[Any, ...]], buys: list[int], sells: list[int], reference: int | None
) -> None:
    twins = Twins()
    for number, (owner, buy, price, size) in enumerate(call):
        twins.add(number, owner, buy, price, size)
    at = {price: twins.slow.tradable(price, sum(buys), sum(sells)) for _, _, price, _ in call}
    most = max((min(sides) for sides in at.values()), default=0)
    found = auction_price(twins.fast, sum(buys), sum(sells), reference)
    if most == 0:
        assert found is None
        return
    assert found is not None
    price, volume, imbalance = found
    assert volume == most == min(at[price])
    # No price that trades as much leaves less unfilled, and the tie of those is broken as announced.
    tied = [p for p, sides in sorted(at.items()) if min(sides) == most and abs(sides[0] - sides[1]) == abs(imbalance)]
    assert abs(imbalance) == min(abs(b - s) for b, s in at.values() if min(b, s) == most)
    signs = {at[p][0] > at[p][1] for p in tied}
    if imbalance and len(signs) == 1:
        assert price == (tied[-1] if imbalance > 0 else tied[0])
    elif reference is not None:
        assert abs(price - reference) == min(abs(p - reference) for p in tied)
    unpriced_buys = [Unpriced(f"b{n}", None, size) for n, size in enumerate(buys)]
    unpriced_sells = [Unpriced(f"s{n}", None, size) for n, size in enumerate(sells)]
    expected_buys = turn(twins.slow, unpriced_buys, True, price, most)
    expected_sells = turn(twins.slow, unpriced_sells, False, price, most)
    crosses = uncross(twins.fast, price, unpriced_buys, unpriced_sells)
    assert total([(one.buy.id, one.quantity) for one in crosses]) == expected_buys
    assert total([(one.sell.id, one.quantity) for one in crosses]) == expected_sells
    bid, ask = twins.fast.bid, twins.fast.ask
    assert bid is None or ask is None or bid.price < ask.price


def turn(slow: SlowBook, unpriced: list[Unpriced[int]], buy: bool, price: int, volume: int) -> list[tuple[Any, int]]:
    """Return who gets how much of the volume, served one after the other."""
    queue = [(order.id, order.quantity) for order in unpriced]
    queue += [(o.id, o.quantity) for o in slow.side(buy) if (o.price >= price if buy else o.price <= price)]
    served = []
    for id_, size in queue:
        met = min(size, volume)
        volume -= met
        if met:
            served.append((id_, met))
    return served


def total(parts: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
    """Add up what each got, in the order of their turns."""
    sums: dict[Any, int] = {}
    for id_, quantity in parts:
        sums[id_] = sums.get(id_, 0) + quantity
    return list(sums.items())
