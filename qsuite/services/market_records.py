"""Bars that people and programs give us: one by one, or in bulk from a body of any of four types.

Invariant: a bar's high is its highest price and its low its lowest, it belongs to a ticker that exists, and no bar is
replaced by a bulk load: there, other figures for a bar that is stored are rejected as a conflict.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from heapq import nsmallest
from importlib import import_module
from operator import attrgetter
from types import ModuleType
from typing import Any, Literal
from uuid import UUID

from qsuite.domain.errors import Invalid, PreconditionFailed
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.market import Bar, Tick
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.statistics import BarStatistics
from qsuite.domain.times import NS_PER_MS, floor_ms, format_rfc3339
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.services import collector
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.files.rows import BadRow, Decoded, RowError, check_range
from qsuite.services.reference import ReferenceService

OFF_LOOP_BYTES = 65_536
"""A body from here on is decoded in a thread."""
OFF_LOOP_ROWS = 200
ERRORS_SHOWN = 1_000
BULK_SLICE = 2_000
RECENT_NS = 5 * 60 * 1_000_000_000
RECENT_MAX = 1_000
BATCH_RECORDS = 500

BAR_FIELDS = ("interval", "open", "high", "low", "close", "volume", "adjusted_close", "vwap", "trades")


@dataclass(frozen=True, slots=True)
class LineError:
    """Why one line of a body was left out; lines are counted from 1."""

    line: int
    code: str
    detail: str
    field: str | None = None


@dataclass(slots=True)
class BulkResult:
    """What became of a body. ``errors`` holds the first thousand of the rejected."""

    created: int = 0
    unchanged: int = 0
    rejected: int = 0
    errors: list[LineError] = field(default_factory=list)

    def reject(self, error: LineError) -> None:
        """Count a line that was left out."""
        self.rejected += 1
        self.errors.append(error)
        if len(self.errors) >= 2 * ERRORS_SHOWN:
            self.settle()

    def reject_bad(self, rows: Sequence[BadRow]) -> None:
        """Count the lines that could not be read."""
        first = nsmallest(ERRORS_SHOWN, rows, key=attrgetter("line"))
        self.errors += (LineError(row.line, "validation", row.reason, row.field) for row in first)
        self.rejected += len(rows)

    def settle(self) -> None:
        """Put the errors in order and bound their number."""
        self.errors.sort(key=lambda error: error.line)
        del self.errors[ERRORS_SHOWN:]


class MarketRecords:
    """Keep stored bars."""

    def __init__(
        self,
        *,
        repo: MarketDataRepo,
        reference: ReferenceService,
        new_id: Callable[[], UUID],
        trail: AuditTrail,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._repo = repo
        self._reference = reference
        self._new_id = new_id
        self._trail = trail
        self._clock = clock

    async def get(self, identity: UUID) -> MarketRecord:
        """Return one bar. NotFound if there is none."""
        return await self._repo.get(identity)

    async def page(self, listing: Listing) -> Page[MarketRecord]:
        """Return one page of bars; the condition ``ticker`` takes ids and symbols."""
        conditions = tuple(self._by_symbol(condition) for condition in listing.conditions)
        return await self._repo.page(replace(listing, conditions=conditions))

    async def batches(self, listing: Listing) -> AsyncGenerator[list[MarketRecord], None]:
        """Yield all bars of a listing, in its order."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.page(replace(listing, cursor=cursor, page_size=BATCH_RECORDS))
            if page.items:
                yield page.items
            cursor = page.next_cursor

    async def create(self, values: Mapping[str, Any]) -> MarketRecord:
        """Store a bar. AlreadyExists when its place is taken, Invalid when it makes no sense."""
        symbol, ticker = self._ticker_of(values)
        bar = checked(
            Bar(
                symbol,
                values["interval"],
                values["timestamp"],
                values["open"],
                values["high"],
                values["low"],
                values["close"],
                values["volume"],
                vwap=values.get("vwap"),
                trades=values.get("trades"),
                adjusted_close=values.get("adjusted_close"),
            )
        )
        record = self._record(ticker, bar)
        await self._repo.add(record)
        return record

    async def change(self, identity: UUID, values: Mapping[str, Any], version: int | None = None) -> MarketRecord:
        """Store a bar's changed fields, if it is still of the version given."""
        known = await self._repo.get(identity)
        _require_version(known, version)
        changes = {name: values[name] for name in BAR_FIELDS if name in values}
        symbol, ticker = known.bar.symbol, known.ticker
        if values.get("ticker") is not None or values.get("symbol") is not None:
            symbol, ticker = self._ticker_of(values)
        ts_ns = values.get("timestamp", known.bar.ts_ns)
        changed = replace(
            known,
            ticker=ticker,
            bar=checked(known.bar._replace(symbol=symbol, ts_ns=ts_ns, **changes)),
            updated_at=floor_ms(self._clock()),
            version=known.version + 1,
        )
        await self._trail.record(
            "bar.changed",
            subject=identity,
            facts={"symbol": symbol, "ts": format_rfc3339(ts_ns), **changes},
            change=lambda session: self._repo.save(changed, session),
        )
        return changed

    async def delete(self, identity: UUID, version: int | None = None) -> None:
        """Delete a bar."""
        known = await self._repo.get(identity)
        _require_version(known, version)
        await self._trail.record(
            "bar.deleted",
            subject=identity,
            facts={"symbol": known.bar.symbol, "ts": format_rfc3339(known.bar.ts_ns), "interval": known.bar.interval},
            change=lambda session: self._repo.delete(identity, known.version, session),
        )

    async def bulk_create(self, body: bytes, content_type: str) -> BulkResult:
        """Store the bars of a body that are new; the same body again changes nothing.

        Malformed, UnsupportedMedia and TooLarge for a body that cannot be read at all.
        """
        long = len(body) >= OFF_LOOP_BYTES
        with collector.paused() if long else nullcontext():
            decoded = await decode("decode_bars", body, content_type)
            result = await self._store(decoded)
            if long:
                await asyncio.to_thread(collector.let_go, decoded.bad, decoded.rows)
            return result

    async def _store(self, decoded: Decoded[Bar]) -> BulkResult:
        result = BulkResult()
        result.reject_bad(decoded.bad)
        for start in range(0, len(decoded.rows), BULK_SLICE):
            part = slice(start, start + BULK_SLICE)
            records, lines = self._records(decoded.rows[part], decoded.lines[part], result)
            added = await self._repo.add_new(records)
            result.created += added.created
            result.unchanged += added.unchanged
            for place in added.conflicts:
                result.reject(LineError(lines[place], "conflict", "a bar of other figures is stored there"))
        result.settle()
        return result

    async def statistics(
        self, symbol: str, interval: str | None, start_ns: int | None, end_ns: int | None
    ) -> BarStatistics:
        """Describe a symbol's stored bars, of every interval where none is given."""
        return await self._repo.statistics(BarQuery(symbol, interval, start_ns, end_ns))

    async def intervals(self, symbol: str) -> list[str]:
        """Return the intervals of which a symbol has stored bars."""
        return await self._repo.intervals(symbol)

    async def recent(self) -> list[MarketRecord]:
        """Return the stored bars that start in the last five minutes, newest first, at most a thousand."""
        return await self._repo.recent(self._clock() - RECENT_NS, RECENT_MAX)

    # ---------------------------------------------------------------------------------------------------------------

    def _records(
        self, bars: Sequence[Bar], at_lines: Sequence[int], result: BulkResult
    ) -> tuple[list[MarketRecord], list[int]]:
        records: list[MarketRecord] = []
        lines: list[int] = []
        for bar, line in zip(bars, at_lines, strict=True):
            ticker = self._reference.ticker(bar.symbol)
            if ticker is None:
                result.reject(LineError(line, "ticker.unknown", f"no ticker {bar.symbol}", "symbol"))
            elif bar.ts_ns % NS_PER_MS:
                result.reject(LineError(line, "validation", "finer than a millisecond", "timestamp"))
            else:
                records.append(self._record(ticker.id, bar._replace(symbol=ticker.symbol)))
                lines.append(line)
        return records, lines

    def _record(self, ticker: UUID, bar: Bar) -> MarketRecord:
        now = floor_ms(self._clock())
        return MarketRecord(id=self._new_id(), ticker=ticker, bar=bar, created_at=now, updated_at=now)

    def _ticker_of(self, values: Mapping[str, Any]) -> tuple[str, UUID]:
        """Return symbol and id of the ticker that ``ticker`` (an id or symbol) and ``symbol`` name alike."""
        named = {name: values[name] for name in ("ticker", "symbol") if values.get(name) is not None}
        if not named:
            raise Invalid("some fields are wrong", errors={"symbol": ["give a symbol or a ticker"]})
        found = {name: self._reference.ticker(value) for name, value in named.items()}
        unknown = {name: ["no such ticker"] for name, ticker in found.items() if ticker is None}
        if unknown:
            raise Invalid("some fields are wrong", errors=unknown)
        tickers = {ticker.symbol: ticker.id for ticker in found.values() if ticker is not None}
        if len(tickers) > 1:
            raise Invalid("some fields are wrong", errors={"ticker": ["differs from the symbol"]})
        return tickers.popitem()

    def _by_symbol(self, condition: Condition) -> Condition:
        if condition.field != "ticker":
            return condition
        values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
        tickers = [self._reference.ticker(str(value)) for value in values]
        # A ticker that is not there has no bars; no symbol is empty.
        symbols = tuple(ticker.symbol if ticker else "" for ticker in tickers)
        return Condition("symbol", condition.operator, symbols if condition.operator == "in" else symbols[0])


@cache
def _bodies() -> ModuleType:
    return import_module("qsuite.services.files.bodies")


async def decode(reader: Literal["decode_bars", "decode_ticks"], body: bytes, content_type: str) -> Decoded[Any]:
    """Decode a body by a reader of ``services.files.bodies``, in a thread when it is long.

    That module brings pyarrow with it, a third of a second: it is imported at its first use, and in a thread, so that
    neither the start of a server nor the requests of others wait for it.
    """
    if not _bodies.cache_info().currsize:
        await asyncio.to_thread(_bodies)
    decode_with: Callable[[bytes, str], Decoded[Any]] = getattr(_bodies(), reader)
    # A short Arrow stream may hold a row in each byte, or less.
    if len(body) < OFF_LOOP_BYTES and "arrow" not in content_type.lower():
        return decode_with(body, content_type)
    return await asyncio.to_thread(decode_with, body, content_type)


async def decode_tick_objects(rows: Sequence[Any]) -> Decoded[Tick]:
    """Decode ticks that were read from JSON already; their lines are their places, from 1."""
    if not _bodies.cache_info().currsize:
        await asyncio.to_thread(_bodies)
    decode_with: Callable[[Sequence[Any]], Decoded[Tick]] = _bodies().decode_tick_objects
    return decode_with(rows) if len(rows) < OFF_LOOP_ROWS else await asyncio.to_thread(decode_with, rows)


def checked(bar: Bar) -> Bar:
    """Return the bar if it makes sense. Invalid names the field that does not."""
    try:
        check_range(bar.open, bar.high, bar.low, bar.close)
        if bar.ts_ns % NS_PER_MS:
            raise RowError("finer than a millisecond", "timestamp")
    except RowError as wrong:
        raise Invalid("some fields are wrong", errors={wrong.field or "_schema": [wrong.reason]}) from None
    return bar


def _require_version(known: MarketRecord, wanted: int | None) -> None:
    if wanted is not None and wanted != known.version:
        raise PreconditionFailed("it was changed since it was read: read it again", version=known.version)
