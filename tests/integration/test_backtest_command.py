"""``qsuite backtest`` beside a running server: the server's past, played in a process of its own."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest

from qsuite.cli.backtest import read_commission, read_instant, read_interval, read_parameters
from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.times import NS_PER_S
from qsuite.services.data_dir import DataDirLock, Runtime, write_runtime
from tests.support.bars import symbol_with
from tests.support.running_app import Api
from tests.support.server import COMMAND, environment

FALL_AND_RISE = BarSeries(np.array([100.0] * 20 + [90, 99, 110, 108, 107]), np.full(25, 1000.0))


@pytest.fixture
def data_dir(api: Api, mongod: str, tmp_path: Path) -> Iterator[Path]:
    """Return a data directory that the server seems to run on."""
    found = tmp_path / "data"
    with DataDirLock(found):
        write_runtime(found, Runtime(1, mongod, f"http://127.0.0.1:{api.port}"))
        yield found


async def command(api: Api, data_dir: Path, *arguments: object) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "backtest", *map(str, arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(data_dir, DATABASE=api.database.name),
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_it_prints_the_figures_and_writes_the_page(api: Api, data_dir: Path, tmp_path: Path) -> None:
    symbol = await symbol_with(api, FALL_AND_RISE)
    page = tmp_path / "report.html"
    code, out, err = await command(
        api, data_dir, "mean_reversion", symbol, "--cash", "10000", "--param", "length=20", "--param", "quantity=10",
        "--commission", "0.1", "--slippage-bps", "0", "--report", page,
    )  # fmt: skip
    assert (code, err) == (0, "")
    words = " ".join(out.split())
    # Ten bought at 99 and sold at 108, a tenth each way for each; holding would have made 7 %.
    for expected in ("25 bars of 1d", "final equity 10,088.00 of 10,000.00", "total return 0.88 %", "costs 2.00"):
        assert expected in words
    assert "benchmark return 7.00 %" in words
    assert "round trips 1 0 still open" in words
    assert page.read_text().startswith("<!doctype html>")
    assert symbol in page.read_text()


async def test_it_says_in_a_line_what_is_wrong(api: Api, data_dir: Path) -> None:
    code, out, err = await command(api, data_dir, "sma_cross", "NOSUCH", "--participation", "0.1")
    assert (code, out) == (1, "")
    assert err == "Error: some symbols are unknown (symbols: no ticker NOSUCH)\n"


def test_options_are_read_as_people_write_them() -> None:
    assert read_commission("0.1%") == {"model": "percent", "percent": "0.1"}
    assert read_commission("0.005") == {"model": "per_share", "per_share": "0.005"}
    assert read_parameters(["fast=10", "equity_fraction=0.5", "allow_short=true"]) == {
        "fast": 10,
        "equity_fraction": "0.5",
        "allow_short": True,
    }
    assert read_instant("2015-01-02") == read_instant("2015-01-02T00:00:00Z") == 1_420_156_800 * NS_PER_S
    for read, wrong in ((read_commission, "much"), (read_instant, "today"), (read_interval, "7m")):
        with pytest.raises(click.BadParameter):
            read(wrong)
    with pytest.raises(click.BadParameter):
        read_parameters(["fast"])
