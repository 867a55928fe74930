"""A recording as a feed of the live market, inside the server."""

import asyncio
from collections.abc import Iterable, Sequence

from qsuite.domain.market import Bar, Tick
from qsuite.services.files import MarketFile
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.services.replay import Played, Replay
from qsuite.services.ticker_guess import guess_ticker


async def replay_into(
    market: MarketDataService, reference: ReferenceService, files: Sequence[MarketFile], speed: float | None
) -> Played:
    """Play files into the live market, to their end or until cancelled; tickers they name are made where missing.

    ``speed`` 1 is real time, 0 or None as fast as storage takes it.
    """
    for symbol, rows in (await asyncio.to_thread(first_rows, files)).items():
        await _ensure(reference, symbol, rows)

    async def publish(ticks: list[Tick]) -> None:
        for tick in ticks:
            if reference.ticker(tick.symbol) is None:
                await _ensure(reference, tick.symbol, ticks)
        await market.publish(ticks)

    return await Replay(files, publish, speed=speed).run()


def first_rows(files: Iterable[MarketFile]) -> dict[str, list[Tick | Bar]]:
    """Return the rows each file begins with, by symbol: enough to tell how fine its prices are."""
    found: dict[str, list[Tick | Bar]] = {}
    for file in files:
        chunks = file.chunks()
        for row in next(chunks).rows:
            found.setdefault(row.symbol, []).append(row)
        chunks.close()
    return found


async def _ensure(reference: ReferenceService, symbol: str, rows: Iterable[Tick | Bar]) -> None:
    if reference.ticker(symbol) is None:
        await reference.ensure_ticker(symbol, guess_ticker(symbol, rows, "a replay"))
