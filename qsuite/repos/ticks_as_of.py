"""What a symbol's market showed at an instant of the past: its last trade and quote before it, wherever they are kept.

The rule is that of a restart: from the last tick before the instant on, each kind is looked for up to seven days back.
Blocks are found by what is noted beside them; of each kind mostly one is opened. For threads.
"""

from functools import partial

import numpy as np

from qsuite.domain.market import NO_MARKET, QUOTE, TRADE, Quote, Snapshot, Tick, Trade
from qsuite.domain.tick_columns.columns import take, to_ticks
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.repos.database import Database, translated
from qsuite.repos.tick_blocks import Span, TickBlocks, as_they_are
from qsuite.repos.tick_documents import decode_tick
from qsuite.repos.tick_queries import TickQuery, condition_of, order_of
from qsuite.repos.tick_tiers import TickTiers

LOOK_BACK_NS = (60 * NS_PER_S, 3_600 * NS_PER_S, DAY_NS, 7 * DAY_NS)
FAR_BACK_NS = 3_660 * DAY_NS


class TicksAsOf:
    """Look back."""

    def __init__(self, database: Database, series: str, tiers: TickTiers) -> None:
        self._database = database
        self._series = series
        self._tiers = tiers
        self._blocks = TickBlocks(database)

    def at(self, symbol: str, ts_ns: int) -> Snapshot:
        """Return the last trade and quote before an instant."""
        found = self._both(symbol, ts_ns)
        if found != NO_MARKET:
            return found
        last_ns = self._last_of_all(symbol, ts_ns)
        return NO_MARKET if last_ns is None else self._both(symbol, last_ns + 1)

    def _both(self, symbol: str, ts_ns: int) -> Snapshot:
        trade, quote = self._last(symbol, TRADE, ts_ns), self._last(symbol, QUOTE, ts_ns)
        return Snapshot(
            trade if isinstance(trade, Trade) else None,
            quote if isinstance(quote, Quote) else None,
        )

    def _last(self, symbol: str, kind: str, ts_ns: int) -> Tick | None:
        live = self._last_live(symbol, kind, ts_ns)
        return as_they_are(partial(self._last_sealed, symbol, kind, ts_ns, live))

    def _last_live(self, symbol: str, kind: str, ts_ns: int) -> Tick | None:
        ticks = self._database.sync[self._series]
        with translated("tick"):
            for back_ns in LOOK_BACK_NS:
                condition = condition_of(TickQuery(symbol, ts_ns - back_ns, ts_ns, kind))
                last = list(ticks.find(condition, {"_id": 0}).sort("ts", -1).limit(1))
                if last:
                    same_date = ticks.find(condition | {"ts": last[0]["ts"]}, {"_id": 0})
                    return max(map(decode_tick, same_date), key=order_of)
        return None

    def _last_sealed(self, symbol: str, kind: str, ts_ns: int, found: Tick | None) -> Tick | None:
        since_ns = ts_ns - LOOK_BACK_NS[-1] if found is None else found.ts_ns
        spans = [span for span in self._tiers.spans(symbol, since_ns, ts_ns) if _last_ns(span, kind) is not None]
        for span in sorted(spans, key=lambda each: min(_last_ns(each, kind) or 0, ts_ns), reverse=True):
            if found is not None and (_last_ns(span, kind) or 0) < found.ts_ns:
                break
            tick = self._in_block(span, kind, ts_ns)
            if tick is not None and (found is None or order_of(tick) > order_of(found)):
                found = tick
        return found

    def _in_block(self, span: Span, kind: str, ts_ns: int) -> Tick | None:
        columns = self._blocks.open(span)
        rows = np.flatnonzero((columns.trades == (kind == TRADE)) & (columns.ts_ns < ts_ns))[-1:]
        return next(iter(to_ticks(take(columns, rows))), None)

    def _last_of_all(self, symbol: str, ts_ns: int) -> int | None:
        """Return when a symbol's last tick before an instant was, however long ago."""
        ticks = self._database.sync[self._series]
        condition = condition_of(TickQuery(symbol, None, ts_ns))
        with translated("tick"):
            live = list(ticks.find(condition, {"_id": 0, "ts_ns": 1}).sort("ts", -1).limit(1))
        spans = self._tiers.spans(symbol, ts_ns - FAR_BACK_NS, ts_ns)
        ends = [each["ts_ns"] for each in live] + [min(span.last_ns, ts_ns - 1) for span in spans]
        return max(ends, default=None)


def _last_ns(span: Span, kind: str) -> int | None:
    return span.last_trade_ns if kind == TRADE else span.last_quote_ns
