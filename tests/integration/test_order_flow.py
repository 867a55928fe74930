"""Real order flow through the book: what it holds and whom it matches is what the venues published."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from qsuite.domain.trading.auction import Equilibrium, Unpriced, auction_price, uncross
from qsuite.domain.trading.book import Book, SelfTrade
from tests.support.order_flow import LevelFeed, Message, Row, cents, cme_events, cme_trade_classes, lobster, table

# ---------------------------------------------------------------- NASDAQ, one hour of AAPL


@pytest.fixture(scope="module")
def nasdaq(shared_data: Path) -> "Hour":
    return Hour(shared_data / "l3")


class Hour:
    """The hour played once: the best prices after each message, ten levels where published, and who was executed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book = Book(0)
        self.best: list[tuple[int, ...]] = []
        published = table(folder / "lobster_aapl_20120621_orderbook_l10_published_first999.csv.gz")
        self.published_ten = {int(row[0]): tuple(map(int, row[1:])) for row in published}
        self.ten_levels: dict[int, tuple[int, ...]] = {}
        self.executions: Counter[str] = Counter()
        for message, adjustments in lobster(folder):
            for adjustment in adjustments:
                self.apply(adjustment)
            self.apply(message)
            best = (*self.shown(buy=False), *self.shown(buy=True))
            if not self.best or self.best[-1][1:] != best:
                self.best.append((message.seq, *best))
            if message.seq in self.published_ten:
                bids, asks = self.book.depth(10)
                pairs = zip(asks, bids, strict=True)
                self.ten_levels[message.seq] = tuple(n for ask, bid in pairs for n in (*ask[:2], *bid[:2]))

    def shown(self, *, buy: bool) -> tuple[int, int]:
        level = self.book.best(buy=buy)
        assert level is not None
        return level.price, level.quantity

    def apply(self, message: Message) -> None:
        match message.type:
            case 1:
                self.book.add(message.id, None, message.buy, message.price, message.size)
            case 2:
                self.book.reduce(message.id, message.size)
            case 3:
                assert self.book.remove(message.id).quantity == message.size
            case 4:
                self.execute(message)

    def execute(self, message: Message) -> None:
        """Send the taker that the message tells of, if its order is the first in turn."""
        best = self.book.best(buy=message.buy)
        assert best is not None
        assert best.price == message.price, "executions happen at the best price"
        assert best.first is not None
        if best.first.id == message.id:
            matched = self.book.match(None, not message.buy, message.size, message.price)
            assert [(one.maker.id, one.price, one.quantity) for one in matched.matches] == [
                (message.id, message.price, message.size)
            ]
            assert not matched.remaining
            self.executions["first in turn"] += 1
        else:
            self.book.reduce(message.id, message.size)
            self.executions["out of turn"] += 1


def numbers(rows: Iterable[Sequence[str]]) -> list[tuple[int, ...]]:
    return [tuple(map(int, row)) for row in rows]


def test_the_best_prices_of_nasdaq_follow_from_its_messages(nasdaq: Hour) -> None:
    published = numbers(table(nasdaq.folder / "lobster_aapl_20120621_0930_1030_orderbook_l1_published.csv.gz"))
    distinct = [state for state, _ in groupby(published)]
    assert len(distinct) == 23_440
    assert [state[1:] for state in nasdaq.best] == distinct
    by_seq = numbers(table(nasdaq.folder / "lobster_aapl_20120621_0930_1030_bbo_by_seq.csv.gz"))
    assert nasdaq.best == by_seq


def test_ten_levels_of_nasdaq_follow_from_its_messages(nasdaq: Hour) -> None:
    assert len(nasdaq.published_ten) == 999
    assert nasdaq.ten_levels == nasdaq.published_ten


def test_nasdaq_executes_the_order_that_the_book_matches(nasdaq: Hour) -> None:
    # The 24 pass over an older order at the same price; why, the data does not say.
    assert nasdaq.executions == {"first in turn": 4_043, "out of turn": 24}


# ---------------------------------------------------------------- CME, a day of the S&P 500 future

EXPLAINED = ("fifo_exact", "fifo_exact_with_smp_cancel")


class Future:
    """The day played once: every trade that the rules explain is matched by the book, the rest is copied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.book: Book[int] = Book(0)
        self.classes = cme_trade_classes(folder)
        self.exact: Counter[str] = Counter()
        self.wrong: list[int] = []
        self.auction: Equilibrium[int] | None = None
        self.auction_fills: tuple[dict[Any, int], dict[Any, int]] = ({}, {})
        for event in cme_events(folder):
            self.play(event)

    def play(self, event: list[Row]) -> None:
        filled = {row.id for row in event if row.action == "F"}
        # Self-match prevention: who is cancelled while others trade, without a fill, was the aggressor's own.
        traded = any(row.action == "T" for row in event)
        gone = {row.id for row in event if traded and row.action == "C" and row.id not in filled}
        trades = [row for row in event if row.action == "T"]
        for aggressor, group in groupby(trades, key=lambda row: row.id):
            self.trade(aggressor, list(group), event, gone)
        for row in event:
            if row.action in "ACM":
                self.carry_out(row, done=filled | gone)

    def trade(self, aggressor: int, trades: list[Row], event: list[Row], gone: set[int]) -> None:
        kinds = [self.classes[trade.seq] for trade in trades]
        if kinds == ["auction"]:
            self.open(fills_of(trades[0], event))
        elif all(kind in EXPLAINED for kind in kinds):
            self.match(aggressor, trades, event, gone if EXPLAINED[1] in kinds else set())
        else:
            for trade, kind in zip(trades, kinds, strict=True):
                if kind in EXPLAINED:
                    self.match(aggressor, [trade], event, gone if kind == EXPLAINED[1] else set())
                else:
                    self.copy(trade, event, gone)

    def match(self, aggressor: int, trades: list[Row], event: list[Row], own: set[int]) -> None:
        """Send the aggressor once, with all it got, down to the last price it paid."""
        fills = [fill for trade in trades for fill in fills_of(trade, event)]
        for id_ in own:
            order = self.book.find(id_)
            if order is not None:
                order.owner = aggressor
        size = sum(fill.size for fill in fills)
        matched = self.book.match(aggressor, trades[0].side == "B", size, trades[-1].price, SelfTrade.CANCEL_RESTING)
        met = [(one.maker.id, one.price, one.quantity) for one in matched.matches]
        expected = [(fill.id, fill.price, fill.size) for fill in fills]
        if met == expected and not matched.remaining and bool(matched.cancelled) == bool(own):
            self.exact.update(self.classes[trade.seq] for trade in trades)
        else:
            self.wrong.extend(trade.seq for trade in trades)

    def copy(self, trade: Row, event: list[Row], gone: set[int]) -> None:
        """Do what the venue did where its reasons are hidden, as the refill of an iceberg is."""
        for fill in fills_of(trade, event):
            order = self.book.find(fill.id)
            assert order is not None
            self.book.reduce(fill.id, min(order.quantity, fill.size))
        for id_ in gone:
            order = self.book.find(id_)
            if order is not None and order.price == trade.price:
                self.book.remove(id_)

    def open(self, fills: list[Row]) -> None:
        """Hold the opening auction. Seven fills are of orders that never appear: they had no price."""
        unseen = [fill for fill in fills if fill.id not in self.book]
        assert len(unseen) == 7
        seller = next(fill for fill in unseen if fill.size == 1)
        buys = [Unpriced(fill.id, None, fill.size) for fill in unseen if fill is not seller]
        sells = [Unpriced(seller.id, None, seller.size)]
        self.auction = auction_price(self.book, sum(order.quantity for order in buys), 1)
        assert self.auction is not None
        met: Counter[Any] = Counter()
        for cross in uncross(self.book, self.auction.price, buys, sells):
            met[cross.buy.id] += cross.quantity
            met[cross.sell.id] += cross.quantity
        self.auction_fills = dict(met), {fill.id: fill.size for fill in fills}

    def carry_out(self, row: Row, *, done: set[int]) -> None:
        """Add, change or cancel; of orders that traded it only says what the book already holds."""
        if row.action == "A":
            self.book.add(row.id, row.id, row.side == "B", row.price, row.size)
        elif row.id in self.book:
            if row.action == "M":
                self.book.replace(row.id, row.size, row.price)
            else:
                assert self.book.remove(row.id).quantity == row.size
        else:
            assert row.id in done
            if row.action == "M":  # an iceberg shows its next part, behind all others
                self.book.add(row.id, row.id, row.side == "B", row.price, row.size)


def fills_of(trade: Row, event: list[Row]) -> list[Row]:
    """Return the fills of resting orders that follow a trade; one under the trade's own id is the aggressor's."""
    at = event.index(trade) + 1
    fills = []
    while at < len(event) and event[at].action == "F":
        if event[at].id != trade.id:
            fills.append(event[at])
        at += 1
    return fills


@pytest.fixture(scope="module")
def cme(shared_data: Path) -> Future:
    return Future(shared_data / "l3")


def test_aggressors_of_cme_meet_the_orders_that_the_book_matches(cme: Future) -> None:
    assert cme.wrong == []
    assert cme.exact == {"fifo_exact": 1_707, "fifo_exact_with_smp_cancel": 39}


def test_the_opening_auction_of_cme_has_the_published_price_and_size_and_fills(cme: Future) -> None:
    assert cme.auction is not None
    assert (cme.auction.price, cme.auction.quantity) == (cents("4800.25"), 44)
    met, published = cme.auction_fills
    assert met == published


def test_the_book_of_cme_is_equal_down_to_the_places_in_each_queue(cme: Future) -> None:
    published = table(cme.folder / "cme_esh4_20231225_book_at_split.csv.gz")
    expected = [(side, cents(price), int(at), int(id_), int(size)) for side, price, at, id_, size in published]
    held = [
        (side, level.price, at, order.id, order.quantity)
        for side in "BA"
        for level in cme.book.levels(buy=side == "B")
        for at, order in enumerate(level, 1)
    ]
    assert len(held) == 10_898
    assert held == expected


# ---------------------------------------------------------------- Binance, depth beside best prices

# Depth events that leave out a bid which the ticker shows before and after them. The next event takes that level away,
# though none ever announced it: the venue's omission, and no book of levels can know better.
LEFT_OUT = {50093478174: "61565.10000000", 50093480542: "61556.11000000"}


def units(text: str) -> int:
    """Read a price or quantity as an integer: each is written with the same places throughout a file."""
    return int(text.replace(".", ""))


@pytest.mark.parametrize(
    ("stem", "events", "left_out"),
    [("binance_btcusdt_usdm_20240808", 6_547, {}), ("binance_btcusdt_spot_20240808_09", 6_493, LEFT_OUT)],
)
def test_depth_of_binance_has_the_best_prices_of_its_ticker(
    shared_data: Path, stem: str, events: int, left_out: dict[int, str]
) -> None:
    folder = shared_data / "l2"
    feed = LevelFeed(Book(0))
    start = 0
    for _, last, side, price, quantity in table(folder / f"{stem}_snapshot.csv.gz"):
        start = int(last)
        feed.put(buy=side == "B", price=units(price), quantity=units(quantity))
    tickers = [(int(row[3]), *map(units, row[4:])) for row in table(folder / f"{stem}_book_ticker.csv.gz")]
    compared, newest = 0, 0
    differ: dict[int, int] = {}
    unannounced: int | None = None
    for key, rows in groupby(table(folder / f"{stem}_depth.csv.gz"), key=itemgetter(5)):
        last = int(key)
        if last <= start:
            continue
        changes = [(row[7] == "B", units(row[8]), units(row[9])) for row in rows]
        for buy, price, quantity in changes:
            feed.put(buy=buy, price=price, quantity=quantity)
        if unannounced is not None:
            assert (True, unannounced, 0) in changes
            unannounced = None
        while newest + 1 < len(tickers) and tickers[newest + 1][0] <= last:
            newest += 1
        bid, ask = feed.book.bid, feed.book.ask
        assert bid is not None
        assert ask is not None
        compared += 1
        best = tickers[newest][1:]
        if (*bid[:2], *ask[:2]) != best:
            differ[last] = unannounced = best[0]
            assert best[2:] == ask[:2]
            assert all(price != unannounced for _, price, _ in changes)
    assert compared == events
    assert differ == {last: units(price) for last, price in left_out.items()}
