"""Which ticks, in which order: what every reading of the time series shares.

Order: ``(ts_ns, seq)``, a quote before the trade it met. The server finds and sorts by the millisecond of ``ts``; the
rest of the order is made here, among the few ticks of one millisecond.
"""

from collections.abc import Generator
from contextlib import closing
from itertools import groupby
from typing import NamedTuple

from pymongo.collection import Collection

from qsuite.domain.market import NO_MARKET, QUOTE, TRADE, Quote, Snapshot, Tick, Trade, kind_of
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.repos.database import Document, translated
from qsuite.repos.tick_documents import decode_tick, stored_date

Ticks = Collection[Document]
Order = tuple[int, int, str]

READ_SIZE = 5_000
_DATES_FROM_NS = 60 * DAY_NS
_DATES_TO_NS = 2**32 * NS_PER_S - 60 * DAY_NS
# How far back to look for the newest trade of a symbol that ends in quotes, and the reverse.
_LOOK_BACK_NS = (60 * NS_PER_S, 3_600 * NS_PER_S, DAY_NS, 7 * DAY_NS)


class TickQuery(NamedTuple):
    """Ask for one symbol's ticks with ``start_ns <= ts_ns < end_ns``; each bound and the kind may be open."""

    symbol: str
    start_ns: int | None = None
    end_ns: int | None = None
    kind: str | None = None


def order_of(tick: Tick) -> Order:
    """Return what ticks of one symbol are sorted by."""
    return tick.ts_ns, tick.seq, kind_of(tick)


def condition_of(query: TickQuery) -> Document:
    """Return the filter of a query: coarse by date, which the index serves, and exact by nanosecond."""
    condition: Document = {"symbol": query.symbol}
    dates: Document = {}
    exact: Document = {}
    if query.start_ns is not None:
        exact["$gte"] = query.start_ns
        dates |= _date_bound("$gte", query.start_ns)
    if query.end_ns is not None:
        exact["$lt"] = query.end_ns
        dates |= _date_bound("$lte", query.end_ns)
    if dates:
        condition["ts"] = dates
    if exact:
        condition["ts_ns"] = exact
    if query.kind is not None:
        condition["kind"] = query.kind
    return condition


def _date_bound(operator: str, ts_ns: int) -> Document:
    """Return a bound on the date; none where mongod 6.0 finds nothing by it, which its exact twin makes up for.

    It compares bucket ids whose 32 bits of seconds wrap round below 1970 and above 2106.
    """
    return {operator: stored_date(ts_ns)} if _DATES_FROM_NS <= ts_ns < _DATES_TO_NS else {}


def iterate_ticks(ticks: Ticks, query: TickQuery, after: Order | None = None) -> Generator[Tick, None, None]:
    """Yield ticks in order, behind ``after``; memory holds one batch and the ticks of one millisecond."""
    condition = condition_of(query)
    if after is not None and (bound := _date_bound("$gte", after[0])):
        condition["ts"] = {**condition.get("ts", {}), **bound}
    found = ticks.find(condition, {"_id": 0}).sort("ts", 1)
    with translated("tick"), closing(found.batch_size(READ_SIZE)) as documents:
        # The server sorts by date as it unpacks its buckets; finer than that nothing is sorted but equal dates.
        for _, same_date in groupby(documents, key=lambda document: document["ts"]):
            for tick in sorted(map(decode_tick, same_date), key=order_of):
                if after is None or order_of(tick) > after:
                    yield tick


def newest_of(ticks: Ticks, symbol: str, end_ns: int) -> Snapshot:
    """Return the last trade and quote of a symbol whose last tick is at ``end_ns``, each up to seven days before it."""
    found = NO_MARKET
    for kind in (TRADE, QUOTE):
        tick = _newest_of_kind(ticks, symbol, kind, end_ns)
        if isinstance(tick, Trade):
            found = found._replace(trade=tick)
        elif isinstance(tick, Quote):
            found = found._replace(quote=tick)
    return found


def _newest_of_kind(ticks: Ticks, symbol: str, kind: str, end_ns: int) -> Tick | None:
    for back_ns in _LOOK_BACK_NS:
        condition = condition_of(TickQuery(symbol, end_ns - back_ns, None, kind))
        last = list(ticks.find(condition, {"_id": 0}).sort("ts", -1).limit(1))
        if last:
            same_date = ticks.find({"symbol": symbol, "kind": kind, "ts": last[0]["ts"]}, {"_id": 0})
            return max(map(decode_tick, same_date), key=order_of)
    return None
