"""Training models in tests: bars stored as an import stores them, and a task run as a worker runs it."""

import csv
import gzip
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

from qsuite.domain.analytics.series import Candles
from qsuite.domain.market import Bar
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.models import Model
from qsuite.domain.times import parse_rfc3339
from qsuite.repos.database import Database
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.models import ModelsRepo
from qsuite.services.tasks.train_market_model import train_market_model

QUICK = {"folds": 3, "embargo": 2, "seed": 7, "draws": 200}


@dataclass
class SmallWork:
    """A job under way, without a runner."""

    database: Database
    job: uuid.UUID = field(default_factory=uuid7)
    owner: uuid.UUID = field(default_factory=uuid7)
    told: list[float] = field(default_factory=list)

    def progress(self, part: float) -> None:
        self.told.append(part)


async def train(database: Database, symbols: list[str], **choices: Any) -> Model:
    """Train a model on stored daily bars and return it as it is stored."""
    work = SmallWork(database)
    asked: Mapping[str, Any] = {"symbols": symbols, "interval": "1d", **QUICK, **choices}
    result = await train_market_model(work, asked)
    assert result["model"] == str(work.job)
    return await ModelsRepo(database).get(work.job)


async def store_bars(database: Database, ticker: uuid.UUID, bars: Iterable[Bar]) -> None:
    records = [MarketRecord(id=uuid7(), ticker=ticker, bar=bar, created_at=0, updated_at=0) for bar in bars]
    await MarketDataRepo(database).add_new(records)


def daily(symbol: str, candles: Candles) -> list[Bar]:
    """Return bars of these figures, with as many digits as keep the lowest below and the highest above the others."""
    columns = (candles.starts_ns, candles.opens, candles.highs, candles.lows, candles.closes, candles.volumes)
    return [
        Bar(symbol, "1d", int(ts_ns), *(Decimal(repr(float(each))) for each in figures))
        for ts_ns, *figures in zip(*columns, strict=True)
    ]


def real_bars(shared: Path, symbol: str) -> list[Bar]:
    """Return a symbol's daily bars of 2000 to 2013, raw, with their adjusted closes."""
    with gzip.open(shared / "daily/us_equities_wiki_daily.csv.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["symbol"] == symbol]
    return [
        Bar(
            symbol,
            "1d",
            parse_rfc3339(f"{row['date']}T00:00:00Z"),
            *(Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")),
            adjusted_close=Decimal(row["adj_close"]),
        )
        for row in rows
    ]
