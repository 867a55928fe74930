"""What a ticker looks like when all that is known of it is its prices."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from qsuite.domain.market import Bar, Quote, Tick, Trade

SAMPLED_ROWS = 2_000
FINEST_DECIMALS = 12
PENNY = Decimal("0.01")
ONE = Decimal(1)


def guess_ticker(symbol: str, rows: Iterable[Tick | Bar], origin: str) -> Mapping[str, Any]:
    """Return the fields of a ticker: prices on the finest step its first rows use, a cent at most; sizes alike."""
    sample = list(islice((row for row in rows if row.symbol == symbol), SAMPLED_ROWS))
    return {
        "name": symbol,
        "description": f"Made for {origin}; its steps are guessed from the data.",
        "tick_size": min(PENNY, _step(price for row in sample for price in _prices(row))),
        "lot_size": min(ONE, _step(size for row in sample for size in _sizes(row))),
    }


def _prices(row: Tick | Bar) -> tuple[Decimal | None, ...]:
    if isinstance(row, Trade):
        return (row.price,)
    return (row.bid, row.ask) if isinstance(row, Quote) else (row.open, row.high, row.low, row.close)


def _sizes(row: Tick | Bar) -> tuple[Decimal | None, ...]:
    if isinstance(row, Trade):
        return (row.size,)
    return (row.bid_size, row.ask_size) if isinstance(row, Quote) else (row.volume,)


def _step(values: Iterable[Decimal | None]) -> Decimal:
    most = 0
    for value in values:
        if value:
            exponent = value.normalize().as_tuple().exponent
            assert isinstance(exponent, int)
            most = max(most, -exponent)
    return ONE.scaleb(-min(most, FINEST_DECIMALS))
