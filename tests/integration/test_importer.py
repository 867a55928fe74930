"""Files into a real database: every row once, whatever stops the import and however often it is repeated."""

import asyncio
import csv
import gzip
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from pymongo import MongoClient

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Quote, Trade
from qsuite.domain.times import DAY_NS, NS_PER_MS, parse_rfc3339
from qsuite.repos.database import Database
from qsuite.repos.imports import ImportsRepo
from qsuite.repos.market_data import BarQuery
from qsuite.repos.ticks import TickQuery
from qsuite.services.files import FileOptions, MarketFile, open_market_file
from qsuite.services.importer import Importer, ImportReport
from qsuite.services.price_history import BarsAsked, PriceHistory
from tests.support.market import Parts, open_market
from tests.support.server import run_command
from tests.support.waiting import turns

NOW = parse_rfc3339("2026-11-21T14:30:00Z")
T0_MS = parse_rfc3339("2013-10-07T13:30:00Z") // NS_PER_MS


def trades_file(folder: Path, rows: int = 50_000, name: str = "xyz_trades.csv") -> Path:
    """Write trades of which many share a millisecond and some are alike."""
    lines = (
        f"{T0_MS + index // 3},{100 + index // 2 % 7}.{index % 100:02d},{1 + index // 2 % 5}" for index in range(rows)
    )
    path = folder / name
    path.write_text("ts_utc_ms,price,size\n" + "\n".join(lines) + "\n")
    return path


async def importing(database: Database) -> tuple[Parts, Importer]:
    parts = await open_market(database, NOW)
    importer = Importer(
        ticks=parts.ticks,
        market_data=parts.market_data,
        imports=ImportsRepo(database),
        reference=parts.reference,
        new_id=uuid.uuid4,
        batch_rows=5_000,
        column_rows=5_000,
    )
    return parts, importer


async def opened(path: Path, **options: str) -> MarketFile:
    return await asyncio.to_thread(open_market_file, path, FileOptions(**options))  # type: ignore[arg-type]


async def load(importer: Importer, path: Path, *, again: bool = False, **options: str) -> ImportReport:
    return await importer.run(await opened(path, **options), again=again)


def figures(report: ImportReport) -> tuple[int, int, int]:
    return report.created, report.unchanged, report.rejected


async def test_every_tick_is_stored_in_file_order_and_again_changes_nothing(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    path = trades_file(tmp_path)
    told: list[float] = []
    report = await importer.run(await opened(path), progress=lambda so_far: told.append(so_far.done))
    assert (figures(report), report.rows, report.new_tickers) == ((50_000, 0, 0), 50_000, ["XYZ"])
    assert told == sorted(told)
    assert told[-1] == 1.0
    found = await parts.ticks.read(TickQuery("XYZ"), 100_000)
    with path.open() as file:
        expected = [(int(row["ts_utc_ms"]), row["price"], row["size"]) for row in csv.DictReader(file)]
    assert [
        (tick.ts_ns // NS_PER_MS, str(tick.price), str(tick.size)) for tick in found if isinstance(tick, Trade)
    ] == expected

    # Batches part no instant, so no blocks overlap, and their ticks can be added up.
    assert (await parts.ticks.page(TickQuery("XYZ"), page_size=1)).count == 50_000

    known = await load(importer, path)
    assert (known.known, known.rows, figures(known)) == (True, 0, (0, 50_000, 0))
    compared = await load(importer, path, again=True)
    assert (compared.known, compared.rows, figures(compared)) == (False, 50_000, (0, 50_000, 0))
    assert await parts.ticks.count() == 50_000


async def test_without_blocks_ticks_are_imported_row_by_row(memory_database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(memory_database)
    assert figures(await load(importer, trades_file(tmp_path, 200))) == (200, 0, 0)
    assert figures(await load(importer, tmp_path / "xyz_trades.csv", again=True)) == (0, 200, 0)
    assert len(await parts.ticks.read(TickQuery("XYZ"), 1_000)) == 200


async def test_a_missing_ticker_gets_the_steps_of_its_data(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    path = tmp_path / "ticks.csv"
    path.write_text(
        "symbol,ts_utc_ms,bid,ask,bid_size,ask_size\nEURUSD,1,1.38727,1.3873,0.5,1\nIBM,2,181.5,181.6,100,300\n"
    )
    await load(importer, path)
    euro, ibm = parts.reference.require("EURUSD"), parts.reference.require("IBM")
    assert (euro.tick_size, euro.lot_size) == (Decimal("0.00001"), Decimal("0.1"))
    assert (ibm.tick_size, ibm.lot_size) == (Decimal("0.01"), Decimal(1))
    assert (await parts.reference.data_source(euro.data_source or uuid.uuid4())).code == "import"


class Stopped(Exception):
    """What stops an import in the tests below."""


def stop_after(batches: int) -> Callable[[ImportReport], None]:
    seen: list[int] = []

    def progress(report: ImportReport) -> None:
        seen.append(report.rows)
        if len(seen) == batches:
            raise Stopped

    return progress


async def test_an_import_that_was_stopped_goes_on_where_it_was(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    file = await opened(trades_file(tmp_path))
    for batches in (1, 2):
        with pytest.raises(Stopped):
            await importer.run(file, progress=stop_after(batches))
    report = await importer.run(file)
    assert report.resumed
    assert report.rows < 40_000
    assert report.created + report.unchanged == 50_000
    assert await parts.ticks.count() == 50_000


async def test_an_import_cancelled_at_any_moment_can_be_finished(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    file = await opened(trades_file(tmp_path))
    for later in (0, 1, 5):  # turns of the loop
        task = asyncio.create_task(importer.run(file, progress=cancel_soon(later)))
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert await parts.ticks.count() > 0
    report = await importer.run(file)
    assert report.created + report.unchanged == await parts.ticks.count() == 50_000


def cancel_soon(later: int) -> Callable[[ImportReport], None]:
    """Cancel the import so many turns of the loop after its first batch, when others are on their way."""
    cancelling: list[asyncio.Task[None]] = []

    async def cancel(task: "asyncio.Task[object]") -> None:
        await turns(later)
        task.cancel()

    def progress(report: ImportReport) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not cancelling:
            cancelling.append(asyncio.create_task(cancel(task)))

    return progress


async def test_a_lost_import_record_costs_time_and_nothing_else(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    file = await opened(trades_file(tmp_path, 20_000))
    with pytest.raises(Stopped):
        await importer.run(file, progress=stop_after(2))
    await database.collection("imports").delete_many({})
    report = await importer.run(file)
    assert report.unchanged > 0
    assert report.created + report.unchanged == 20_000
    assert await parts.ticks.count() == 20_000


async def test_a_longer_cut_of_the_same_recording_adds_only_what_is_new(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    await load(importer, trades_file(tmp_path, 9_000, "short_xyz.csv"), symbol="XYZ")
    report = await load(importer, trades_file(tmp_path, 12_000, "long_xyz.csv"), symbol="XYZ")
    assert figures(report) == (3_000, 9_000, 0)
    assert await parts.ticks.count() == 12_000


async def test_two_vendors_of_one_symbol_are_kept_beside_each_other(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    for vendor, bid in (("a", "1.10"), ("b", "1.11")):
        path = tmp_path / f"eurusd_{vendor}.csv"
        path.write_text(f"ts_utc_ms,bid,ask\n{T0_MS},{bid},1.2\n{T0_MS + 1},{bid},1.2\n")
        assert figures(await load(importer, path, symbol="EURUSD")) == (2, 0, 0)
        assert figures(await load(importer, path, symbol="EURUSD", again=True)) == (0, 2, 0)
    found = await parts.ticks.read(TickQuery("EURUSD"), 10)
    assert [str(tick.bid) for tick in found if isinstance(tick, Quote)] == ["1.10", "1.11", "1.10", "1.11"]


async def test_a_sparse_file_over_a_dense_market_finds_its_own(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    dense = tmp_path / "dense.csv"
    dense.write_text("ts_utc_ms,bid,ask\n" + "\n".join(f"{T0_MS + index},1.1,1.2" for index in range(20_000)))
    sparse = tmp_path / "sparse.csv"
    sparse.write_text(
        "ts_utc_ms,bid,ask\n" + "\n".join(f"{T0_MS + index},1.1,1.2" for index in range(0, 30_000, 1_500))
    )
    await load(importer, dense, symbol="EURUSD")
    report = await load(importer, sparse, symbol="EURUSD")
    assert figures(report) == (6, 14, 0)
    assert await parts.ticks.count() == 20_006


async def test_bad_lines_are_numbered_and_cost_only_themselves(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    path = tmp_path / "xyz.csv"
    path.write_text(f"ts_utc_ms,price,size\n{T0_MS},10,1\nnever,10,1\n{T0_MS},-1,1\n{T0_MS},10\n{T0_MS + 1},11,1\n")
    report = await load(importer, path, symbol="XYZ")
    assert figures(report) == (2, 0, 3)
    assert [row.line for row in report.bad] == [3, 4, 5]
    assert await parts.ticks.count() == 2


async def test_bars_are_stored_once_and_contradictions_are_told(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    header = "symbol,date,open,high,low,close,volume\n"
    days = [f"IBM,2013-10-{day:02d},180,182,179,181.{day:02d},1000\n" for day in range(1, 11)]
    (first := tmp_path / "early_daily.csv").write_text(header + "".join(days[:6]))
    (second := tmp_path / "late_daily.csv").write_text(header + days[5] + days[4].replace("181.05", "181.55") + days[7])
    assert figures(await load(importer, first)) == (6, 0, 0)
    report = await load(importer, second)
    assert figures(report) == (1, 1, 1)
    assert report.conflicts == ["IBM 1d 2013-10-05T00:00:00.000Z: another bar is stored there"]
    stored = await parts.market_data.read(BarQuery("IBM", "1d"), 100)
    assert [bar.ts_ns % DAY_NS for bar in stored] == [0] * 7
    assert stored[4].close == Decimal("181.05")


async def test_bid_and_ask_bars_give_a_bar_of_bids_and_the_closing_quote(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    path = tmp_path / "eurusd_minute.csv"
    names = [f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")]
    path.write_text(f"ts_utc_ms,{','.join(names)}\n{T0_MS},1.10,1.14,1.09,1.12,1.11,1.15,1.10,1.13\n")
    assert figures(await load(importer, path, symbol="EURUSD", interval="1m")) == (2, 0, 0)
    (bar,) = await parts.market_data.read(BarQuery("EURUSD"), 10)
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (*map(Decimal, ("1.10", "1.14", "1.09", "1.12")), 0)
    (quote,) = await parts.ticks.read(TickQuery("EURUSD"), 10)
    assert isinstance(quote, Quote)
    assert (quote.bid, quote.ask, quote.ts_ns) == (Decimal("1.12"), Decimal("1.13"), (T0_MS + 60_000) * NS_PER_MS - 1)


async def test_a_damaged_file_leaves_what_was_read_and_says_so(database: Database, tmp_path: Path) -> None:
    parts, importer = await importing(database)
    whole = gzip.compress(trades_file(tmp_path).read_bytes())
    (path := tmp_path / "cut_xyz.csv.gz").write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(SetupError, match="damaged"):
        await load(importer, path, symbol="XYZ")
    there = await parts.ticks.count()
    assert 0 < there < 50_000
    path.write_bytes(whole)
    await load(importer, path, symbol="XYZ")
    assert await parts.ticks.count() == 50_000


# -- real files -----------------------------------------------------------------------------------------------------


async def test_real_trades_make_the_published_minutes(database: Database, shared_data: Path) -> None:
    parts, importer = await importing(database)
    await load(importer, shared_data / "ticks" / "ibm_trades_20131007_11.csv.gz")
    with gzip.open(shared_data / "intraday" / "us_equities_minute_trades.csv.gz", "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["symbol"] == "IBM"]
    days = range(T0_MS // 86_400_000, T0_MS // 86_400_000 + 5)
    published = {
        int(row["ts_utc_ms"]): Decimal(row["volume"]) for row in rows if int(row["ts_utc_ms"]) // 86_400_000 in days
    }
    history = PriceHistory(database=database, ticks=parts.ticks, market_data=parts.market_data, clock=parts.clock)
    ours: dict[int, Decimal] = {}
    cursor: str | None = ""
    while cursor is not None:
        page = await history.bars(BarsAsked("IBM", "1m"), page_size=1_000, cursor=cursor)
        ours |= {bar.ts_ns // NS_PER_MS: bar.volume for bar in page.items}
        cursor = page.next_cursor
    equal = sum(ours.get(ts_ms) == volume for ts_ms, volume in published.items())
    # The data's README: the total size of the ticks equals the bar's volume in 2,137 of 2,155 bars.
    assert (equal, len(published)) == (2_137, 2_155)


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def settings_of(mongod: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    name = f"test_cli_{uuid.uuid4().hex[:8]}"
    yield {"MONGODB_URI": mongod, "DATABASE": name}
    with MongoClient(mongod) as client:
        client.drop_database(name)


def test_the_command_tells_what_it_did_and_exits_with_what_failed(tmp_path: Path, settings_of: dict[str, str]) -> None:
    data_dir = tmp_path / "data"
    good, bad = trades_file(tmp_path, 1_000), tmp_path / "factors.csv"
    bad.write_text("symbol,factor\nIBM,1\n")
    first = run_command(data_dir, "import", str(good), **settings_of)
    assert first.returncode == 0, first
    assert "xyz_trades.csv: 1,000 stored, 0 there already, 0 left out" in first.stdout
    assert "new tickers: XYZ" in first.stdout
    again = run_command(data_dir, "import", str(bad), str(good), **settings_of)
    assert again.returncode == 1
    assert "xyz_trades.csv: imported before, 1,000 rows are there" in again.stdout
    assert "factors.csv is not market data" in again.stderr
    assert again.stderr.splitlines()[-1] == "Error: 1 of 2 files could not be imported"
    assert "Traceback" not in again.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--columns", "price"], "is not FIELD=COLUMN"),
        (["--columns", "price=last"], "has no column 'last'"),
        (["--tz", "Mars/Olympus"], "no such time zone"),
        (["--kind", "candles"], "'candles' is not one of"),
    ],
)
def test_a_wrong_option_is_answered_by_one_line(
    tmp_path: Path, settings_of: dict[str, str], arguments: list[str], told: str
) -> None:
    done = run_command(tmp_path / "data", "import", str(trades_file(tmp_path, 10)), *arguments, **settings_of)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
