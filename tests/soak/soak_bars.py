"""Every bar of the vendors, out of storage: their files imported, and bars of all intervals had over HTTP.

``make test`` does the same with the first thousands of lines.
"""

import asyncio
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.market import Bar
from qsuite.domain.times import parse_rfc3339
from qsuite.services.data_dir import DataDirLock, Runtime, write_runtime
from qsuite.services.files import FileOptions, open_market_file
from tests.api.test_downloads import BARS, CSV, download, rows_of
from tests.support import client
from tests.support.running_app import Api
from tests.support.server import COMMAND, environment

PRICES = ("open", "high", "low", "close")
Figures = tuple[Decimal, ...]


@pytest.fixture
def data_dir(api: Api, mongod: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a data directory that the server seems to run on, and give its long answers their time."""
    monkeypatch.setattr(client, "TIMEOUT_S", 600.0)
    found = tmp_path / "data"
    with DataDirLock(found):
        write_runtime(found, Runtime(1, mongod, f"http://127.0.0.1:{api.port}"))
        yield found


async def imported(api: Api, data_dir: Path, path: Path, *options: str) -> str:
    """Run ``qsuite import`` beside the server."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "import", str(path), *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(data_dir, DATABASE=api.database.name),
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def vendors(path: Path, **options: Any) -> dict[tuple[str, int], Figures]:
    chunks = open_market_file(path, FileOptions(**options)).chunks()
    rows = (row for chunk in chunks for row in chunk.rows)
    return {(row.symbol, row.ts_ns): figures(row) for row in rows if isinstance(row, Bar)}


def figures(bar: Bar | dict[str, str]) -> Figures:
    found: dict[str, Any] = bar if isinstance(bar, dict) else bar._asdict()
    return tuple(Decimal(found[name]) for name in PRICES)


async def built(api: Api, symbol: str, interval: str, **query: str) -> dict[tuple[str, int], dict[str, str]]:
    rows = rows_of(await download(api, BARS, CSV, symbol=symbol, interval=interval, **query))
    return {(symbol, parse_rfc3339(row["timestamp"])): row for row in rows}


def test_bars_of_all_fx_ticks_are_the_vendors_seconds_minutes_and_hours(
    api: Api, data_dir: Path, shared_data: Path, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []

    async def compare() -> None:
        await imported(api, data_dir, shared_data / "ticks/eurusd_fxcm_ticks_20140501_15.csv.gz")
        await api.services.reference.start()
        for side in ("bid", "ask"):
            for interval, name, count in (("1s", "intraday/eurusd_fxcm_second_20140501_15", 277_141),
                                          ("1m", "intraday/eurusd_fxcm_minute_20140501_15", 15_857),
                                          ("1h", "daily/eurusd_fxcm_hour", 268)):  # fmt: skip
                made = {at: figures(row) for at, row in (await built(api, "EURUSD", interval, side=side)).items()}
                vendor = vendors(shared_data / f"{name}.csv.gz", quote_bars="bars", side=side)
                assert len(made) == count
                assert made == {at: vendor.get(at) for at in made}
                assert interval == "1h" or len(vendor) == count
                told.append(f"{count:,} of {interval} {side}")

    io_loop.run_sync(compare)
    with capsys.disabled():
        print(f"\nequal in every cell: {', '.join(told)}")  # noqa: T201  the figures to quote


def test_days_of_all_equity_hours_are_the_vendors(
    api: Api, data_dir: Path, shared_data: Path, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    days = vendors(shared_data / "daily/us_equities_lean_daily.csv.gz")

    async def compare() -> int:
        await imported(api, data_dir, shared_data / "daily/us_equities_lean_hour.csv.gz")
        await api.services.reference.start()
        count = 0
        for symbol in ("AAPL", "IBM", "SPY"):
            made = await built(api, symbol, "1d")
            assert {at: figures(row) for at, row in made.items()} == {at: days.get(at) for at in made}
            count += len(made)
        return count

    count = io_loop.run_sync(compare)
    with capsys.disabled():
        print(f"\nequal in every cell: {count:,} days")  # noqa: T201  the figures to quote
    assert count == 17_547
