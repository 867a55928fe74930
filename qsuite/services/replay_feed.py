"""What recordings begin with: how fine their prices are is told before they are played."""

from collections.abc import Iterable

from qsuite.domain.market import Bar, Tick
from qsuite.services.files import MarketFile


def first_rows(files: Iterable[MarketFile]) -> dict[str, list[Tick | Bar]]:
    """Return the rows each file begins with, by symbol: enough to tell how fine its prices are."""
    found: dict[str, list[Tick | Bar]] = {}
    for file in files:
        chunks = file.chunks()
        for row in next(chunks).rows:
            found.setdefault(row.symbol, []).append(row)
        chunks.close()
    return found
