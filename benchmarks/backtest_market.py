"""The made-up markets that backtests are measured on: random walks of days, the same each time."""

import json
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np

from qsuite.domain.analytics.series import Candles
from qsuite.domain.backtests.panel import Panel, panel_of
from qsuite.domain.backtests.terms import Terms
from qsuite.domain.market import Bar
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.commission import Commission, Model

YEARS, DAYS = 20, 252
CASH = Decimal(100_000)
A_TENTH_OF_A_PERCENT = Commission(model=Model.PERCENT, percent=Decimal("0.1"))
PLACES = 4
"""So fine that averages of two lengths are never equal: libraries differ in what they take for a crossing then."""


def days_of(seed: int, years: int = YEARS) -> Candles:
    """Return daily bars of one symbol."""
    chance, count = np.random.default_rng(seed), years * DAYS
    closes = np.round(100 * np.exp(np.cumsum(chance.normal(3e-4, 0.015, count))), PLACES)
    opens = np.round(np.concatenate(([100.0], closes[:-1])) * np.exp(chance.normal(0, 0.004, count)), PLACES)
    highs = np.round(np.maximum(opens, closes) * 1.003, PLACES)
    lows = np.round(np.minimum(opens, closes) * 0.997, PLACES)
    starts = np.busday_offset("2000-01-03", np.arange(count)).astype("M8[ns]").astype(np.int64)
    return Candles(starts, opens, highs, lows, closes, chance.integers(100_000, 900_000, count).astype(np.float64))


def panel(symbols: int = 1) -> Panel:
    """Return twenty years of days of so many symbols."""
    return panel_of("1d", {f"S{number}": days_of(20261122 + number) for number in range(symbols)})


def terms_for(panel: Panel) -> Terms:
    """Return what they are traded with: a tenth of a per cent a fill."""
    tick = Decimal(1).scaleb(-PLACES)
    tickers = {
        symbol: Ticker(id=UUID(int=number), symbol=symbol, name=symbol, tick_size=tick)
        for number, symbol in enumerate(panel.symbols)
    }
    return Terms(cash=CASH, tickers=tickers, commission=A_TENTH_OF_A_PERCENT)


def bars_of(symbol: str, candles: Candles) -> list[Bar]:
    """Return them as bars."""
    rows = zip(*(column.tolist() for column in candles), strict=True)
    return [Bar(symbol, "1d", row[0], *(Decimal(repr(value)) for value in row[1:])) for row in rows]


def write(folder: Path, candles: Candles, sets: list[tuple[int, int]]) -> None:
    """Write bars and sets for a peer."""
    named = dict(zip(Candles._fields, (column.tolist() for column in candles), strict=True))
    (folder / "bars.json").write_text(json.dumps(named))
    (folder / "sets.json").write_text(json.dumps(sets))
