"""Ticks that come over HTTP: decoded, made the market, and answered for once they are durable.

Invariant: a tick counted as accepted is in storage. Ticks of one body go live in the order of their time, equal times
in the order of their lines, so that the market ends at the newest of them.
"""

from operator import attrgetter

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Tick
from qsuite.services.market_data import MarketDataService
from qsuite.services.market_records import BulkResult, LineError, bad_line, decode
from qsuite.services.reference import ReferenceService


class TickIngest:
    """Take ticks in from request bodies."""

    def __init__(self, *, market: MarketDataService, reference: ReferenceService) -> None:
        self._market = market
        self._reference = reference

    async def take(self, body: bytes, content_type: str) -> BulkResult:
        """Publish the ticks of a body and return when they are stored; ``created`` counts them.

        Unavailable while storage is so far behind that nothing more is taken. OutcomeUnknown when it went away since:
        the ticks are live then, and stored as soon as it is back.
        """
        if self._market.writer.full:
            raise Unavailable("storage is behind the market; send again later", code="ticks.behind")
        decoded = await decode("decode_ticks", body, content_type)
        result = BulkResult()
        for row in decoded.bad:
            result.reject(bad_line(row))
        accepted: list[Tick] = []
        for tick, line in zip(decoded.rows, decoded.lines, strict=True):
            ticker = self._reference.ticker(tick.symbol)
            if ticker is None:
                result.reject(LineError(line, "ticker.unknown", f"no ticker {tick.symbol}", "symbol"))
            else:
                accepted.append(tick if tick.symbol == ticker.symbol else tick._replace(symbol=ticker.symbol))
        if accepted:
            accepted.sort(key=attrgetter("ts_ns"))
            await self._market.publish(accepted)
            await self._market.stored(len(accepted))
        result.created = len(accepted)
        result.settle()
        return result
