"""``qsuite replay`` against a running server: its ticks are the server's market, and its key does not outlive it."""

import asyncio
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qsuite.cli.replay import Playing, _replay
from qsuite.domain.errors import SetupError
from qsuite.domain.times import NS_PER_MS, format_rfc3339, parse_rfc3339
from qsuite.services.data_dir import DataDirLock, Runtime, write_runtime
from qsuite.settings import Settings
from tests.support.running_app import Api
from tests.support.server import COMMAND, environment

T0_MS = parse_rfc3339("2013-10-07T13:30:00Z") // NS_PER_MS
OPTIONS: dict[str, Any] = {"symbol": None, "interval": None, "tz": None, "columns": {}, "kind": None}


def recording(folder: Path, symbol: str, rows: int = 1_500) -> list[Path]:
    """Write trades and quotes of a new symbol, interleaved in time."""
    trades, quotes = folder / "trades.csv", folder / "quotes.csv"
    trades.write_text(
        "symbol,ts_utc_ms,price,size\n"
        + "".join(f"{symbol},{T0_MS + 2 * index},181.{index % 100:02d}5,100\n" for index in range(rows))
    )
    quotes.write_text(
        "symbol,ts_utc_ms,bid,ask,bid_size,ask_size\n"
        + "".join(f"{symbol},{T0_MS + 2 * index + 1},181,182,300,{index + 1}\n" for index in range(rows))
    )
    return [trades, quotes]


@pytest.fixture
def data_dir(api: Api, mongod: str, tmp_path: Path) -> Iterator[Path]:
    """Return a data directory that the server seems to run on."""
    found = tmp_path / "data"
    with DataDirLock(found):
        write_runtime(found, Runtime(1, mongod, f"http://127.0.0.1:{api.port}"))
        yield found


async def command(api: Api, data_dir: Path, *arguments: object) -> tuple[int | None, str, str]:
    """Run the command beside the server."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "replay",
        *map(str, arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(data_dir, DATABASE=api.database.name),
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def run(settings: Settings, files: list[Path], **more: Any) -> Any:
    return await _replay(settings, files, Playing(0, None, None), OPTIONS, more.get("url"), more.get("token"))


async def test_a_recording_becomes_the_market_of_the_server_in_its_own_order(
    api: Api, data_dir: Path, tmp_path: Path
) -> None:
    symbol = f"R{uuid.uuid4().hex[:6].upper()}"
    assert await command(api, data_dir, *recording(tmp_path, symbol), "--speed", 0) == (0, "3,000 ticks played\n", "")
    price = (await api.viewer.get(f"/api/v1/tickers/{symbol}/latest_price/")).json
    assert (price["price"], price["bid"], price["ask"]) == ("181.995", "181", "182")
    ticker = (await api.viewer.get(f"/api/v1/tickers/{symbol}/")).json
    assert (ticker["tick_size"], ticker["lot_size"]) == ("0.001", "1")
    first = (await api.viewer.get("/api/v1/ticks/", query={"symbol": symbol, "page_size": 1_000})).json
    assert first["count"] == 3_000
    assert [tick["kind"] for tick in first["results"]] == ["trade", "quote"] * 500


async def test_a_part_of_a_recording_is_played(api: Api, data_dir: Path, tmp_path: Path) -> None:
    symbol = f"R{uuid.uuid4().hex[:6].upper()}"
    files = recording(tmp_path, symbol, 10)
    edges = ("--start", format_rfc3339((T0_MS + 5) * NS_PER_MS), "--end", format_rfc3339((T0_MS + 9) * NS_PER_MS))
    assert await command(api, data_dir, *files, "--speed", 0, *edges) == (0, "4 ticks played\n", "")
    code, _, told = await command(api, data_dir, *files, "--start", "noon")
    assert code == 2
    assert "Invalid value for '--start'" in told


async def test_its_key_is_revoked_in_the_end(api: Api, data_dir: Path, tmp_path: Path) -> None:
    symbol = f"R{uuid.uuid4().hex[:6].upper()}"
    await command(api, data_dir, *recording(tmp_path, symbol, 10), "--speed", 0)
    keys = await api.database.collection("api_keys").find({"name": {"$regex": "qsuite replay"}}).to_list(None)
    assert keys
    assert all(key["revoked_at"] is not None for key in keys)


async def test_a_given_token_is_used_and_must_be_an_admins(api: Api, settings: Settings, tmp_path: Path) -> None:
    symbol = f"R{uuid.uuid4().hex[:6].upper()}"
    files, url = recording(tmp_path, symbol, 10), f"http://127.0.0.1:{api.port}/"
    with pytest.raises(SetupError, match="403"):
        await run(settings, files, url=url, token=api.trader.token)
    played = await run(settings, files, url=url, token=api.admin.token)
    assert played.ticks == 20


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"url": "http://127.0.0.1:1", "token": "x"}, "no answer from http://127.0.0.1:1"),
        ({"url": "http://127.0.0.1:1"}, "give --token"),
        ({}, "no server runs on"),
    ],
)
async def test_without_a_server_or_a_way_in_it_says_what_is_missing(
    settings: Settings, tmp_path: Path, more: dict[str, str], told: str
) -> None:
    alone = replace(settings, data_dir=tmp_path / "nobody")
    with pytest.raises(SetupError, match=told):
        await run(alone, recording(tmp_path, "IBM", 1), **more)
