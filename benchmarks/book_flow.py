"""The messages that all order books of the benchmark are given: one hour of AAPL on NASDAQ, or a made-up flow.

Every book can add, cancel and let an order take from the other side; few can make an order smaller in place. So here a
smaller order is cancelled and comes again, for all of them, and an execution is a taker only where the executed order
is the first in turn: then each book does the same work and ends up with the same orders.

A message is (kind, order, buy, price, size); a taker is told with its own side and the price of the order it meets.
"""

import csv
import gzip
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from qsuite.domain.trading.book import Book
from qsuite.domain.trading.ladder import Resting

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data" / "l3"
STEM = "lobster_aapl_20120621_0930_1030"
ADD, CANCEL, SHRINK, TAKE = range(4)

Message = tuple[int, int, bool, int, int]
# As LOBSTER has them: 1 add, 2 reduce, 3 delete, 4 execution.
Recorded = tuple[int, int, bool, int, int]


def messages() -> tuple[str, list[Message]]:
    """Return the flow and what it is."""
    if RECORDED.is_dir():
        return "AAPL on NASDAQ", translate(recorded())
    return "a seeded flow", translate(made_up(90_000))


def translate(flow: Iterator[Recorded]) -> list[Message]:
    """Say it in messages that every book understands, and leave out what none can follow."""
    book = Book(0)
    said: list[Message] = []
    for kind, id_, buy, price, size in flow:
        order = book.find(id_)
        if kind == 1 and order is None:
            book.add(id_, None, buy, price, size)
            said.append((ADD, id_, buy, price, size))
        elif order is None:
            continue
        elif kind == 4 and first(book, order.buy) is order:
            book.match(None, not buy, size, price)
            said.append((TAKE, id_, not buy, price, size))
        else:
            book.remove(id_)
            left = order.quantity - size
            if kind == 3 or not left:
                said.append((CANCEL, id_, buy, price, 0))
            else:
                book.add(id_, None, buy, price, left)
                said.append((SHRINK, id_, buy, price, left))
        assert book.bid is None or book.ask is None or book.bid < book.ask, "an add never meets anyone"
    return said


def recorded() -> Iterator[Recorded]:
    """Read the hour, each adjustment before its message."""
    before: dict[str, list[Recorded]] = defaultdict(list)
    for seq, action, id_, side, price, size, _ in rows(RECORDED / f"{STEM}_adjustments.csv.gz"):
        kind = 1 if action == "add" else 3
        before[seq].append((kind, int(id_), side == "B", int(price), int(size)))
    for seq, _, name, id_, size, price, side in rows(RECORDED / f"{STEM}_messages_l50.csv.gz"):
        yield from before.get(seq, ())
        if name != "5":
            yield int(name), int(id_), side == "B", int(price), int(size)


def rows(path: Path) -> Iterator[list[str]]:
    """Read a gzipped CSV file without its header."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        found = csv.reader(text)
        next(found)
        yield from found


def made_up(count: int) -> Iterator[Recorded]:
    """Make a flow in the proportions of the recorded one: 49 adds, 45 deletes, 5 executions and a reduction in 100."""
    chance = random.Random(20120621)
    book = Book(0)
    middle = 100_000
    ids: list[int] = []
    for number in range(count):
        kind = chance.choices((1, 2, 3, 4), (49, 1, 45, 5))[0] if len(book) > 300 else 1
        buy = chance.random() < 0.5
        if kind == 1:
            middle += chance.randint(-1, 1)
            price, size = price_behind(book, buy, middle, 1 + int(chance.expovariate(0.1))), chance.randint(1, 5) * 100
            book.add(number, None, buy, price, size)
            ids.append(number)
            yield 1, number, buy, price, size
            continue
        order = picked(book, ids, chance) if kind != 4 else first(book, buy)
        if order is not None:
            size = order.quantity if kind == 3 else min(order.quantity, 100)
            yield kind, int(str(order.id)), order.buy, order.price, size
            book.reduce(order.id, size)


def price_behind(book: Book[int], buy: bool, middle: int, distance: int) -> int:
    """Return a price so far behind the middle that it meets nobody."""
    other = book.best(buy=not buy)
    if buy:
        return middle - distance if other is None else min(middle - distance, other.price - 1)
    return middle + distance if other is None else max(middle + distance, other.price + 1)


def first(book: Book[int], buy: bool) -> Resting[int] | None:
    """Return the order that a taker would meet."""
    best = book.best(buy=buy)
    return None if best is None else best.first


def picked(book: Book[int], ids: list[int], chance: random.Random) -> Resting[int] | None:
    """Return any order, or None where the pick has gone already."""
    at = chance.randrange(len(ids))
    ids[at], ids[-1] = ids[-1], ids[at]
    return book.find(ids.pop())
