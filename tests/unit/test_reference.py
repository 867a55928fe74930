"""The reference data in memory, while another process changes what is stored."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from qsuite.domain.reference import Ticker
from qsuite.services.reference import ReferenceService


def ticker(symbol: str, number: int) -> Ticker:
    return Ticker(id=UUID(int=number), symbol=symbol, name=symbol)


class Stored:
    """Tickers whose reading may be followed by something before its answer is used."""

    def __init__(self, *tickers: Ticker) -> None:
        self.tickers = list(tickers)
        self.meanwhile = lambda: None

    async def all(self) -> Sequence[Ticker]:
        read = list(self.tickers)
        self.meanwhile()
        return read


async def test_a_ticker_made_while_all_are_read_again_stays() -> None:
    stored = Stored(ticker("OLD", 1), ticker("GONE", 2))
    reference = ReferenceService(
        tickers=cast(Any, stored), data_sources=cast(Any, None), new_id=lambda: UUID(int=9), trail=cast(Any, None)
    )
    await reference.start()
    del stored.tickers[1]
    stored.meanwhile = lambda: reference._remember(ticker("NEW", 3))
    await reference.start()
    assert [each.symbol for each in reference.tickers()] == ["NEW", "OLD"]
