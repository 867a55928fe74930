"""The closes of stored daily bars, and nothing else of them: many symbols' histories are read at once.

A symbol's closes are the adjusted ones where every bar read has one, else the raw ones: a mixture would show every
split as a crash.
"""

from collections.abc import Iterable
from datetime import datetime

from qsuite.domain.times import datetime_to_ns
from qsuite.repos import market_data
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal

DAY = "1d"
FIELDS = {"_id": 0, "timestamp": 1, "close": 1, "adjusted_close": 1}


class DailyClosesRepo:
    """Read closes by symbol and instant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def closes(self, symbols: Iterable[str], count: int) -> dict[str, dict[int, float]]:
        """Return each symbol's ``count`` newest closes up to the last day that all of them have; none for unknown ones.

        Symbols without daily bars hold up nobody: the others are read as if those were not asked for.
        """
        return await self._database.in_reader(self._read, sorted(set(symbols)), count)

    def _read(self, symbols: list[str], count: int) -> dict[str, dict[int, float]]:
        with translated("bars"):
            last = {symbol: self._last_day(symbol) for symbol in symbols}
            end = min((day for day in last.values() if day is not None), default=None)
            if end is None:
                return {}
            return {symbol: self._newest(symbol, end, count) for symbol in symbols if last[symbol] is not None}

    def _last_day(self, symbol: str) -> datetime | None:
        bars = self._database.sync[market_data.NAME]
        found = bars.find_one({"symbol": symbol, "interval": DAY}, FIELDS, sort=[("timestamp", -1)])
        return None if found is None else found["timestamp"]

    def _newest(self, symbol: str, end: datetime, count: int) -> dict[int, float]:
        condition: Document = {"symbol": symbol, "interval": DAY, "timestamp": {"$lte": end}}
        bars = self._database.sync[market_data.NAME]
        found = list(bars.find(condition, FIELDS).sort("timestamp", -1).limit(count))
        adjusted = all(bar.get("adjusted_close") is not None for bar in found)
        field = "adjusted_close" if adjusted else "close"
        return {datetime_to_ns(bar["timestamp"]): float(decode_decimal(bar[field])) for bar in found}
