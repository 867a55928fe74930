"""Trades with the quotes they met, by the page or all of a range.

One pass over trades and quotes together: what is in memory is one batch, the ticks of its last instant, which the next
batch may add to, and the last quote so far. Before the first trade the prevailing quote is looked for backwards, in
steps that double, so that a quiet night costs a few empty questions and not a day of quotes.
"""

import time
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from typing import NamedTuple

from qsuite.domain.analytics.asof import QUOTE_AGE_MAX_NS, QuotedTrade, join_quotes
from qsuite.domain.errors import Invalid
from qsuite.domain.listing import Page
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.times import NS_PER_S
from qsuite.repos.cursors import cursor_after, read_cursor
from qsuite.repos.database import Database
from qsuite.repos.tick_queries import Order, order_of
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services import tick_slices
from qsuite.services.downloads import pulled

BUDGET_S = 20.0
"""What one page may take: few trades among very many quotes."""


class QuotedTradesAsked(NamedTuple):
    """Ask for one symbol's trades with ``start_ns <= ts_ns < end_ns``, each with the last quote at or before it.

    ``strictly``: before it only.
    """

    symbol: str
    start_ns: int | None = None
    end_ns: int | None = None
    strictly: bool = False


class QuotedTrades:
    """Read trades with their quotes."""

    def __init__(self, database: Database, ticks: TicksRepo) -> None:
        self._database = database
        self._ticks = ticks

    def batches(self, asked: QuotedTradesAsked) -> AsyncGenerator[list[QuotedTrade], None]:
        """Yield all of them in order; a stretch of quotes alone yields an empty batch."""
        return pulled(self._database, lambda: self._joined(asked, None))

    async def page(self, asked: QuotedTradesAsked, *, page_size: int, cursor: str = "") -> Page[QuotedTrade]:
        """Return one page in order; ``cursor`` is that of the page before."""
        scope = repr(("quoted_trades", asked))
        after: Order | None = None
        if cursor:
            ts_ns, seq, kind = read_cursor(cursor, scope, 3)
            after = int(ts_ns), int(seq), str(kind)
        items = await self._database.in_reader(self._read, asked, after, page_size + 1)
        if len(items) <= page_size:
            return Page(items, None)
        items.pop()
        return Page(items, None, cursor_after(list(order_of(items[-1].trade)), scope), has_next=True)

    # -- in a thread ------------------------------------------------------------------------------------------------

    def _read(self, asked: QuotedTradesAsked, after: Order | None, limit: int) -> list[QuotedTrade]:
        deadline_s = time.monotonic() + BUDGET_S
        found: list[QuotedTrade] = []
        with closing(self._joined(asked, after)) as batches:
            for batch in batches:
                found += batch
                if len(found) >= limit:
                    break
                if time.monotonic() > deadline_s:
                    raise Invalid(
                        "that takes too many quotes: ask for fewer trades or a shorter range",
                        code="ticks.too_many_quotes",
                    )
        return found[:limit]

    def _joined(self, asked: QuotedTradesAsked, after: Order | None) -> Generator[list[QuotedTrade], None, None]:
        # Quotes of the instant of the last trade given out count again, so it is read again from its beginning.
        start_ns = asked.start_ns if after is None else after[0]
        quote = None if start_ns is None else self._quote_before(asked.symbol, start_ns)
        query = TickQuery(asked.symbol, start_ns, asked.end_ns)
        with closing(_by_instants(tick_slices.in_batches(tick_slices.in_slices(self._ticks, query)))) as batches:
            for batch in batches:
                quotes = [] if quote is None else [quote]
                quotes += [tick for tick in batch if isinstance(tick, Quote)]
                trades = [
                    tick for tick in batch if isinstance(tick, Trade) and (after is None or order_of(tick) > after)
                ]
                yield join_quotes(trades, quotes, strictly=asked.strictly)
                quote = quotes[-1] if quotes else None

    def _quote_before(self, symbol: str, ts_ns: int) -> Quote | None:
        """Return the last quote before an instant that may still prevail."""
        end_ns, step_ns = ts_ns, NS_PER_S
        while end_ns > ts_ns - QUOTE_AGE_MAX_NS:
            start_ns = max(end_ns - step_ns, ts_ns - QUOTE_AGE_MAX_NS)
            with closing(self._ticks.iterate(TickQuery(symbol, start_ns, end_ns, "quote"))) as quotes:
                last = deque(quotes, maxlen=1)
            if last:
                assert isinstance(last[0], Quote)
                return last[0]
            end_ns, step_ns = start_ns, 2 * step_ns
        return None


def _by_instants(batches: Generator[list[Tick], None, None]) -> Generator[list[Tick], None, None]:
    """Cut batches anew so that no instant is divided between two."""
    with closing(batches):
        held: list[Tick] = []
        for batch in batches:
            held += batch
            last_ns = held[-1].ts_ns
            kept = len(held)
            while kept and held[kept - 1].ts_ns == last_ns:
                kept -= 1
            if kept:
                yield held[:kept]
                del held[:kept]
        if held:
            yield held
