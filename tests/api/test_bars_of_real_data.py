"""Bars over HTTP against the vendors' own: seconds and minutes of FX ticks, days of hours; adjusted prices, figures."""

import csv
import gzip
import uuid
from collections import defaultdict
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qsuite.domain.market import Bar
from qsuite.domain.market_record import MarketRecord
from qsuite.repos.market_data import MarketDataRepo
from qsuite.services.files import FileOptions, open_market_file
from tests.api.test_downloads import BARS, CSV, NDJSON, download, new_symbol, real_quotes, rows_of, store
from tests.support.running_app import Api

PRICES = ("open", "high", "low", "close")
HOURS = 2_100


def of_file(path: Path, count: int, **options: Any) -> list[Bar]:
    """Read enough of a vendor's bars to compare with."""
    chunks = open_market_file(path, FileOptions(**options)).chunks()
    return [row for row in islice((row for chunk in chunks for row in chunk.rows), count) if isinstance(row, Bar)]


def figures(bar: Any) -> tuple[str, ...]:
    return tuple(str(bar[name] if isinstance(bar, dict) else getattr(bar, name)) for name in PRICES)


def wiki(shared_data: Path, symbol: str, count: int) -> list[dict[str, str]]:
    with gzip.open(shared_data / "daily/us_equities_wiki_daily.csv.gz", "rt") as file:
        return list(islice((row for row in csv.DictReader(file) if row["symbol"] == symbol), count))


async def store_days(api: Api, symbol: str, days: list[dict[str, str]]) -> None:
    bars = [
        {"symbol": symbol, "interval": "1d", "timestamp": f"{day['date']}T00:00:00Z", "volume": day["volume"],
         "adjusted_close": day["adj_close"], **{name: day[name] for name in PRICES}}
        for day in days
    ]  # fmt: skip
    answer = await api.admin.post("/api/v1/market-data/bulk_create/", bars)
    assert answer.json["created"] == len(days), answer


async def test_bars_of_fx_ticks_are_the_vendors_in_every_cell(api: Api, shared_data: Path) -> None:
    symbol = await new_symbol(api)
    _, ticks = real_quotes(shared_data / "ticks/eurusd_fxcm_ticks_20140501_15.csv.gz", symbol, 8_000)
    await store(api, iter(ticks))
    for side, interval, name in (("bid", "1s", "second"), ("ask", "1s", "second"), ("ask", "1m", "minute")):
        path = shared_data / f"intraday/eurusd_fxcm_{name}_20140501_15.csv.gz"
        vendor = of_file(path, 4_000, quote_bars="bars", side=side)
        made = rows_of(await download(api, BARS, CSV, symbol=symbol, interval=interval, side=side))[:-1]
        assert len(made) > 100
        assert list(map(figures, made)) == list(map(figures, vendor[: len(made)]))


async def test_days_of_equity_hours_are_the_vendors(api: Api, shared_data: Path) -> None:
    symbol = await new_symbol(api)
    ticker = api.services.reference.require(symbol).id
    hours = of_file(shared_data / "daily/us_equities_lean_hour.csv.gz", HOURS, symbol="AAPL")
    await MarketDataRepo(api.database).add_new(
        [
            MarketRecord(id=uuid.uuid4(), ticker=ticker, bar=hour._replace(symbol=symbol), created_at=0, updated_at=0)
            for hour in hours
        ]
    )
    made = rows_of(await download(api, BARS, NDJSON, symbol=symbol, interval="1d"))[:-1]
    vendor = of_file(shared_data / "daily/us_equities_lean_daily.csv.gz", 400, symbol="AAPL")
    assert len(made) > 250
    assert [(*figures(day), day["volume"]) for day in made] == [
        (*figures(day), str(day.volume)) for day in vendor[: len(made)]
    ]


async def test_adjusted_months_span_splits(api: Api, shared_data: Path) -> None:
    symbol = await new_symbol(api)
    days = wiki(shared_data, "AAPL", 400)  # with the split of 2000-06-21
    await store_days(api, symbol, days)
    rows = rows_of(await download(api, BARS, CSV, symbol=symbol, interval="1d", adjusted="true"))
    assert [row["close"] for row in rows] == [day["adj_close"] for day in days]
    months: dict[str, list[dict[str, Fraction]]] = defaultdict(list)
    for day in days:
        scale = Fraction(day["adj_close"]) / Fraction(day["close"])
        months[day["date"][:7]].append({name: Fraction(day[name]) * scale for name in PRICES})
    made = rows_of(await download(api, BARS, CSV, symbol=symbol, interval="1mo", adjusted="true"))
    assert [row["timestamp"][:7] for row in made] == list(months)
    for row, parts in zip(made, months.values(), strict=True):
        wanted = (
            parts[0]["open"], max(part["high"] for part in parts), min(part["low"] for part in parts),
            parts[-1]["close"],
        )  # fmt: skip
        for name, price in zip(PRICES, wanted, strict=True):
            assert abs(Fraction(row[name]) - price) <= Fraction(1, 10**12), (row, name)
        assert Fraction(row["low"]) <= Fraction(row["close"]) <= Fraction(row["high"])
    split = {row["timestamp"][:7]: float(row["close"]) for row in made}
    assert 0.5 < split["2000-06"] / split["2000-05"] < 1.5
    refused = await api.viewer.get(BARS, query={"symbol": symbol, "adjusted": "true", "side": "bid"})
    assert (refused.status, list(refused.json["errors"])) == (422, ["adjusted"])


async def test_statistics_of_a_range_are_what_pandas_makes_of_the_file(api: Api, shared_data: Path) -> None:
    symbol = await new_symbol(api)
    days = wiki(shared_data, "IBM", 300)
    await store_days(api, symbol, days)
    first, last = days[50]["date"], days[250]["date"]
    query = {"interval": "1d", "start": f"{first}T00:00:00Z", "end": f"{last}T00:00:00Z"}
    found = (await api.viewer.get(f"/api/v1/tickers/{symbol}/statistics/", query=query)).json
    frame = pd.DataFrame(days[50:250])
    assert found["record_count"] == 200
    assert float(found["avg_close"]) == pytest.approx(frame["close"].astype(float).mean(), rel=1e-14)
    assert float(found["max_high"]) == frame["high"].astype(float).max()
    assert float(found["min_low"]) == frame["low"].astype(float).min()
    assert int(found["total_volume"]) == frame["volume"].astype(int).sum()
    assert (found["last_close"], found["first_timestamp"][:10]) == (days[249]["close"], first)
