"""Ticks that come over HTTP and the stream: decoded, made the market, and answered for once they are durable.

Invariant: a tick counted as accepted is in storage once ``take`` or ``stored`` has returned. Ticks of one body or
message go live in the order of their time, equal times in the order of their lines, so that the market ends at the
newest of them; those of several, in the order in which these were handed in.
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from heapq import merge
from itertools import pairwise
from operator import attrgetter
from typing import Any

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Tick
from qsuite.services import collector
from qsuite.services.files.rows import Decoded
from qsuite.services.market_data import MarketDataService
from qsuite.services.market_records import (
    OFF_LOOP_BYTES,
    OFF_LOOP_ROWS,
    BulkResult,
    LineError,
    decode,
    decode_tick_objects,
)
from qsuite.services.reference import ReferenceService

SORTED_TOGETHER = 20_000


class TickIngest:
    """Take ticks in from request bodies and messages."""

    def __init__(self, *, market: MarketDataService, reference: ReferenceService) -> None:
        self._market = market
        self._reference = reference

    async def take(self, body: bytes, content_type: str) -> BulkResult:
        """Publish the ticks of a body and return when they are stored; ``created`` counts them.

        Unavailable while storage is so far behind that nothing more is taken. OutcomeUnknown when it went away since:
        the ticks are live then, and stored as soon as it is back.
        """
        self._refuse_when_behind()
        with collector.paused() if len(body) >= OFF_LOOP_BYTES else nullcontext():
            result = await self._publish(await decode("decode_ticks", body, content_type))
            await self.stored(result)
        return result

    async def publish(self, rows: Sequence[Any]) -> BulkResult:
        """Publish ticks given as JSON objects; they count as accepted once ``stored`` has returned.

        Unavailable as with ``take``.
        """
        self._refuse_when_behind()
        return await self._publish(await decode_tick_objects(rows))

    async def stored(self, result: BulkResult) -> None:
        """Return when what was published is stored. OutcomeUnknown as with ``take``."""
        if result.created:
            await self._market.stored(result.created)

    def _refuse_when_behind(self) -> None:
        if self._market.writer.full:
            raise Unavailable("storage is behind the market; send again later", code="ticks.behind")

    async def _publish(self, decoded: Decoded[Tick]) -> BulkResult:
        many = len(decoded.rows) + len(decoded.bad) >= OFF_LOOP_ROWS
        accepted, result = await asyncio.to_thread(self._sift, decoded) if many else self._sift(decoded)
        if accepted:
            await self._market.publish(accepted)
        if many:
            await asyncio.to_thread(collector.let_go, decoded.bad, decoded.rows, accepted)
        return result

    def _sift(self, decoded: Decoded[Tick]) -> tuple[list[Tick], BulkResult]:
        """Return the ticks of known symbols by time, and what is to be said of the body."""
        result = BulkResult()
        result.reject_bad(decoded.bad)
        accepted: list[Tick] = []
        for tick, line in zip(decoded.rows, decoded.lines, strict=True):
            ticker = self._reference.ticker(tick.symbol)
            if ticker is None:
                result.reject(LineError(line, "ticker.unknown", f"no ticker {tick.symbol}", "symbol"))
            else:
                accepted.append(tick if tick.symbol == ticker.symbol else tick._replace(symbol=ticker.symbol))
        result.created = len(accepted)
        result.settle()
        return _by_time(accepted), result


def _by_time(ticks: list[Tick]) -> list[Tick]:
    """Sort, in portions: a sort of all at once would keep every other thread waiting."""
    if all(one.ts_ns <= after.ts_ns for one, after in pairwise(ticks)):
        return ticks
    key = attrgetter("ts_ns")
    runs = (sorted(ticks[start : start + SORTED_TOGETHER], key=key) for start in range(0, len(ticks), SORTED_TOGETHER))
    return list(merge(*runs, key=key))
