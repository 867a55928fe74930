"""Recorded order flow of real venues, read from the shared market data and played into a ``Book``."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from qsuite.domain.trading.book import Book
from qsuite.domain.trading.ladder import Number


def table(path: Path) -> Iterator[list[str]]:
    """Read the rows of a gzipped CSV file, without its header."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        rows = csv.reader(text)
        next(rows)
        yield from rows


def cents(price: str) -> int:
    """Read a price of whole cents as an integer."""
    scaled = Decimal(price) * 100
    assert scaled == int(scaled)
    return int(scaled)


# ---------------------------------------------------------------- LOBSTER: one row a message


class Message(NamedTuple):
    """1 add, 2 reduce, 3 delete, 4 execution, 5 execution of a hidden order."""

    seq: int
    type: int
    id: int
    size: int
    price: int
    buy: bool


def lobster(folder: Path) -> Iterator[tuple[Message, list[Message]]]:
    """Go through the messages, each with the adjustments that come before it."""
    stem = "lobster_aapl_20120621_0930_1030"
    before: dict[int, list[Message]] = defaultdict(list)
    for seq, action, id_, side, price, size, _ in table(folder / f"{stem}_adjustments.csv.gz"):
        kind = {"add": 1, "delete": 3}[action]
        before[int(seq)].append(Message(int(seq), kind, int(id_), int(size), int(price), side == "B"))
    for seq, _, kind, id_, size, price, side in table(folder / f"{stem}_messages_l50.csv.gz"):
        message = Message(int(seq), int(kind), int(id_), int(size), int(price), side == "B")
        yield message, before.pop(message.seq, [])
    assert not before, "every adjustment has its message"


# ---------------------------------------------------------------- CME: events of several rows


class Row(NamedTuple):
    """A add, C cancel, M modify, T trade (side of the aggressor), F fill of a resting order."""

    seq: int
    action: str
    side: str
    price: int
    size: int
    id: int


def cme_events(folder: Path) -> Iterator[list[Row]]:
    """Go through the events: rows up to one that is marked as the last (bit 128) or part of the snapshot (bit 32)."""
    event: list[Row] = []
    for seq, _, action, side, price, size, id_, flags, _ in table(folder / "cme_esh4_20231225_mbo_part1.csv.gz"):
        event.append(Row(int(seq), action, side, cents(price), int(size), int(id_)))
        if int(flags) & (128 | 32):
            yield event
            event = []
    assert not event


def cme_trade_classes(folder: Path) -> dict[int, str]:
    """Return how each trade was explained, by its number."""
    return {int(row[0]): row[-1] for row in table(folder / "cme_esh4_20231225_trade_checks_part1.csv.gz")}


# ---------------------------------------------------------------- feeds of levels


class LevelFeed:
    """A book of price levels: one nameless order stands for all at its price."""

    def __init__(self, book: Book[Number]) -> None:
        self.book: Book[Any] = book

    def put(self, *, buy: bool, price: Any, quantity: Any) -> None:
        """Set what rests at a price; zero takes the level away."""
        place = (buy, price)
        if place in self.book:
            if quantity:
                self.book.replace(place, quantity, price)
            else:
                self.book.remove(place)
        elif quantity:
            self.book.add(place, None, buy, price, quantity)
