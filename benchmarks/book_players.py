"""Play a flow through one order book and say how fast: run as a script by the interpreter that has the book.

``python book_players.py NAME FLOW``: prints "ready", then for each line read one figure, messages a second. Only the
standard library and the named book are imported, since a peer's interpreter has nothing else. What is counted is
processor time: books wait for nothing, and what else runs on the machine is not theirs.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable

ADD, CANCEL, SHRINK, TAKE = range(4)
# A short run says more about the machine than about the book.
LEAST_SECONDS = 0.5

Messages = list[tuple[int, int, bool, int, int]]


def qsuite(messages: Messages) -> int:
    """Ours, with one symbol."""
    book = importlib.import_module("qsuite.domain.trading.book").Book(0)
    add, remove, match = book.add, book.remove, book.match
    taken = 0
    for kind, id_, buy, price, size in messages:
        if kind == ADD:
            add(id_, None, buy, price, size)
        elif kind == CANCEL:
            remove(id_)
        elif kind == SHRINK:
            remove(id_)
            add(id_, None, buy, price, size)
        else:
            for one in match(None, buy, size, price).matches:
                taken += one.quantity
    return taken


def pyorderbook(messages: Messages) -> int:
    """Orders are objects with a uuid; a cancel takes the object."""
    library = importlib.import_module("pyorderbook")
    book, orders = library.Book(), {}
    match, cancel, bid, ask = book.match, book.cancel, library.bid, library.ask
    taken = 0
    for kind, id_, buy, price, size in messages:
        if kind in (CANCEL, SHRINK):
            cancel(orders[id_])
        if kind in (ADD, SHRINK):
            order = orders[id_] = (bid if buy else ask)("AAPL", price, size)
            match(order)
        elif kind == TAKE:
            for trade in match((bid if buy else ask)("AAPL", price, size)).trades:
                taken += trade.fill_quantity
    return taken


def lightmatchingengine(messages: Messages) -> int:
    """Numbers its orders itself; a trade is told to both sides."""
    library = importlib.import_module("lightmatchingengine.lightmatchingengine")
    engine, ids = library.LightMatchingEngine(), {}
    add, cancel = engine.add_order, engine.cancel_order
    taken = 0
    for kind, id_, buy, price, size in messages:
        if kind in (CANCEL, SHRINK):
            cancel(ids[id_], "AAPL")
        if kind in (ADD, SHRINK):
            ids[id_] = add("AAPL", price, size, 1 if buy else 2)[0].order_id
        elif kind == TAKE:
            for trade in add("AAPL", price, size, 1 if buy else 2)[1][1:]:
                taken += trade.trade_qty
    return taken


def nanobook(messages: Messages) -> int:
    """Rust behind a Python class; numbers its orders itself."""
    exchange, ids = importlib.import_module("nanobook").Exchange(), {}
    submit, cancel = exchange.submit_limit, exchange.cancel
    taken = 0
    for kind, id_, buy, price, size in messages:
        if kind in (CANCEL, SHRINK):
            cancel(ids[id_])
        if kind in (ADD, SHRINK):
            ids[id_] = submit("buy" if buy else "sell", price, size).order_id
        elif kind == TAKE:
            taken += submit("buy" if buy else "sell", price, size).filled_quantity
    return taken


def cython_orderbook(messages: Messages) -> int:
    """Cython; keeps its trades in a log of its own."""
    library = importlib.import_module("cython_orderbook")
    book, ids, bid, ask = library.OrderBook(), {}, library.OrderSide.BID, library.OrderSide.ASK
    make, add, cancel = library.Order, book.add_limit_order, book.cancel_order
    for kind, id_, buy, price, size in messages:
        if kind in (CANCEL, SHRINK):
            cancel(ids[id_])
        if kind != CANCEL:
            order = make(side=bid if buy else ask, price=price, original_quantity=size)
            add(order)
            ids[id_] = order.order_id if kind != TAKE else ids[id_]
    return int(sum(trade.quantity_filled for trade in book.trade_log))


PLAYERS: dict[str, Callable[[Messages], int]] = {
    "qsuite": qsuite,
    "pyorderbook": pyorderbook,
    "lightmatchingengine": lightmatchingengine,
    "nanobook": nanobook,
    "cython-orderbook": cython_orderbook,
}


def main() -> None:
    """Answer each line on standard input with a figure."""
    _, name, path = sys.argv
    with open(path, encoding="utf-8") as file:
        messages = [(kind, id_, bool(buy), price, size) for kind, id_, buy, price, size in json.load(file)]
    play = PLAYERS[name]
    expected = sum(size for kind, *_, size in messages if kind == TAKE)
    print("ready", flush=True)
    for _ in sys.stdin:
        played, seconds = 0, 0.0
        while seconds < LEAST_SECONDS:
            start = time.process_time()
            taken = play(messages)
            seconds += time.process_time() - start
            played += len(messages)
            assert taken == expected, f"{name} filled {taken}, not {expected}"
        print(played / seconds, flush=True)


if __name__ == "__main__":
    main()
