"""Whole ranges in one answer: NDJSON, CSV and Arrow by ``Accept``, exact, at the reader's pace, in bounded memory."""

import asyncio
import csv
import gzip
import io
import json
import socket
import uuid
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.times import NS_PER_MS, format_rfc3339, parse_rfc3339
from qsuite.repos.ticks import TicksRepo
from qsuite.services import tick_slices
from tests.support.client import Answer, send_raw
from tests.support.running_app import Api
from tests.support.waiting import eventually

TICKS = "/api/v1/ticks/"
BARS = "/api/v1/bars/"
RECORDS = "/api/v1/market-data/"
NDJSON, CSV, ARROW = "application/x-ndjson", "text/csv", "application/vnd.apache.arrow.stream"
T0_NS = parse_rfc3339("2013-10-07T13:30:00.123456789Z")

Cells = dict[str, str]


async def new_symbol(api: Api) -> str:
    symbol = f"D{uuid.uuid4().hex[:8].upper()}"
    answer = await api.admin.post("/api/v1/tickers/", {"symbol": symbol, "name": symbol})
    assert answer.status == 201, answer
    return symbol


async def store(api: Api, ticks: Iterator[Tick]) -> None:
    repo = TicksRepo(api.database)
    while batch := list(islice(ticks, 10_000)):
        await repo.add(batch)


async def download(api: Api, path: str, media: str, **query: str) -> Answer:
    answer = await api.viewer.get(path, query=query, headers={"Accept": media})
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"].partition(";")[0] == media
    return answer


def rows_of(answer: Answer) -> list[dict[str, Any]]:
    """Read the three types into what JSON would have said; what is missing is left out."""
    media = answer.headers["Content-Type"].partition(";")[0]
    if media == NDJSON:
        rows = [json.loads(line) for line in answer.body.splitlines()]
    elif media == CSV:
        rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    else:
        rows = pa.ipc.open_stream(answer.body).read_all().to_pylist()
    return [{name: plain(value) for name, value in row.items() if value not in (None, "")} for row in rows]


def plain(value: Any) -> str:
    if hasattr(value, "nanosecond"):  # pandas' Timestamp: the standard library's ends at microseconds
        return format_rfc3339(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def real_quotes(path: Path, symbol: str, count: int) -> tuple[list[Cells], list[Tick]]:
    """Read the file with nothing of ours: what is expected is the text of its cells."""
    with gzip.open(path, "rt") as file:
        cells = list(islice(csv.DictReader(file), count))
    seqs: dict[str, int] = {}
    ticks: list[Tick] = []
    for row in cells:
        at = row["ts_utc_ms"]
        row["seq"] = str(seqs.setdefault(at, 0))
        seqs[at] += 1
        ticks.append(Quote(symbol, int(at) * NS_PER_MS, Decimal(row["bid"]), Decimal(row["ask"]), seq=int(row["seq"])))
    return cells, ticks


async def test_real_ticks_come_back_bit_for_bit_in_every_type(api: Api, shared_data: Path) -> None:
    symbol = await new_symbol(api)
    cells, ticks = real_quotes(shared_data / "ticks/eurusd_fxcm_ticks_20140501_15.csv.gz", symbol, 8_000)
    await store(api, iter(ticks))
    wanted = [(int(row["ts_utc_ms"]) * NS_PER_MS, row["bid"], row["ask"], row["seq"]) for row in cells]
    for media in (NDJSON, CSV, ARROW):
        answer = await download(api, TICKS, media, symbol=symbol, kind="quote")
        rows = rows_of(answer)
        assert [(parse_rfc3339(row["ts"]), row["bid"], row["ask"], row["seq"]) for row in rows] == wanted
        assert {(row["symbol"], row["kind"]) for row in rows} == {(symbol, "quote")}


async def test_nanoseconds_trailing_zeros_and_the_longest_decimals_survive(api: Api) -> None:
    symbol = await new_symbol(api)
    long = "1234567890123456789012345.123456789"
    ticks: list[Tick] = [
        Trade(symbol, T0_NS, Decimal("181.520"), Decimal("0.0000000000000000000000000000000001"), 0),
        Quote(symbol, T0_NS + 1, None, Decimal(long), None, Decimal("3E+2"), 1),
    ]
    await store(api, iter(ticks))
    wanted = [
        {"symbol": symbol, "ts": "2013-10-07T13:30:00.123456789Z", "kind": "trade", "price": "181.520",
         "size": "0.0000000000000000000000000000000001", "seq": "0"},
        {"symbol": symbol, "ts": "2013-10-07T13:30:00.12345679Z", "kind": "quote", "ask": long, "ask_size": "300",
         "seq": "1"},
    ]  # fmt: skip
    for media in (NDJSON, CSV, ARROW):
        assert rows_of(await download(api, TICKS, media, symbol=symbol)) == wanted, media


@pytest.mark.parametrize("media", [NDJSON, CSV, ARROW])
async def test_what_was_downloaded_can_be_sent_back_as_it_is(api: Api, media: str) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, number) for number in range(3)]))
    answer = await download(api, TICKS, media, symbol=symbol)
    sent = await api.admin.post(TICKS, body=answer.body, headers={"Content-Type": media})
    assert (sent.status, sent.json["accepted"], sent.json["rejected"]) == (200, 3, 0)


def a_trade(symbol: str, number: int) -> Trade:
    return Trade(symbol, T0_NS + number * 1_000_000_000, Decimal("181.520") + number % 7, Decimal(100), number)


async def test_ranges_and_kinds_bound_what_is_sent(api: Api) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, number) for number in range(4)]))
    bounds = {"start": format_rfc3339(T0_NS + 1_000_000_000), "end": format_rfc3339(T0_NS + 3_000_000_000)}
    rows = rows_of(await download(api, TICKS, CSV, symbol=symbol, **bounds))
    assert [row["seq"] for row in rows] == ["1", "2"]
    nothing = await download(api, TICKS, CSV, symbol=symbol, kind="quote")
    assert nothing.body == b"symbol,ts,kind,bid,ask,bid_size,ask_size,seq\r\n"
    empty = pa.ipc.open_stream((await download(api, TICKS, ARROW, symbol=symbol, kind="quote")).body).read_all()
    assert (empty.num_rows, empty.schema.field("ts").type) == (0, pa.timestamp("ns", tz="UTC"))


async def test_bars_and_stored_bars_are_the_lists_of_all_pages(api: Api) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, number) for number in range(200)]))
    days = [
        {"symbol": symbol, "interval": "1d", "timestamp": f"2013-09-{day:02}T00:00:00Z", "open": "1.10", "high": "2",
         "low": "1", "close": "1.5", "volume": "10", "adjusted_close": "0.75", "trades": 3}
        for day in range(1, 21)
    ]  # fmt: skip
    stored = await api.admin.post("/api/v1/market-data/bulk_create/", days)
    assert stored.json["created"] == 20, stored
    for path, query in ((BARS, {"interval": "1s"}), (BARS, {"interval": "1d"}), (RECORDS, {"ordering": "timestamp"})):
        listed = (await api.viewer.get(path, query={"symbol": symbol, "page_size": "1000", **query})).json["results"]
        assert len(listed) >= 20
        wanted = [{name: plain(value) for name, value in row.items() if value is not None} for row in listed]
        for media in (NDJSON, CSV, ARROW):
            assert rows_of(await download(api, path, media, symbol=symbol, **query)) == wanted, (path, media)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/*", CSV),
        ("text/csv;q=0.5, application/x-ndjson", NDJSON),
        ("application/json;q=0.1, text/csv;q=0.2", CSV),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/json;q=0, */*;q=0.1", NDJSON),
        ("TEXT/CSV; charset=utf-8", CSV),
    ],
)
async def test_the_type_wanted_most_is_sent(api: Api, accept: str | None, media: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = await api.viewer.get(TICKS, query={"symbol": await new_symbol(api)}, headers=headers)
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, media)
    assert "Accept" in answer.headers.get_list("Vary")


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*;q=1", "text/csv;q=zero", "nonsense"])
async def test_other_types_are_not_acceptable(api: Api, accept: str) -> None:
    answer = await api.viewer.get(BARS, query={"symbol": await new_symbol(api)}, headers={"Accept": accept})
    assert (answer.status, answer.code) == (406, "not_acceptable")
    assert CSV in answer.json["offered"]


async def test_a_whole_range_has_no_pages(api: Api) -> None:
    query = {"symbol": await new_symbol(api), "page_size": "10", "cursor": ""}
    answer = await api.viewer.get(TICKS, query=query, headers={"Accept": CSV})
    assert (answer.status, set(answer.json["errors"])) == (422, {"page_size", "cursor"})


async def test_a_head_request_reads_the_head_alone(api: Api) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, 0)]))
    answer = await api.viewer.request("HEAD", TICKS, query={"symbol": symbol}, headers={"Accept": CSV})
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"].startswith(CSV)


async def test_a_client_of_http_1_0_gets_it_all_and_then_the_end_of_the_connection(api: Api) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, number) for number in range(5)]))
    head, body = (await send_raw(api.port, request_line(api, symbol, "HTTP/1.0"))).split(b"\r\n\r\n", 1)
    assert b"Transfer-Encoding" not in head
    assert body.count(b"\r\n") == 6


def request_line(api: Api, symbol: str, version: str = "HTTP/1.1", media: str = CSV) -> bytes:
    lines = (
        f"GET {TICKS}?symbol={symbol} {version}", "Host: x", f"Accept: {media}", "Connection: keep-alive",
        f"Authorization: Bearer {api.viewer.token}", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode()


async def test_storage_that_fails_half_way_never_looks_like_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, number) for number in range(20)]))
    monkeypatch.setattr(tick_slices, "BATCH_TICKS", 10)
    iterate = TicksRepo.iterate

    def failing(repo: TicksRepo, *args: Any, **kwargs: Any) -> Iterator[Tick]:
        for number, tick in enumerate(iterate(repo, *args, **kwargs)):
            if number == 15:
                raise Unavailable("the database is away")
            yield tick

    monkeypatch.setattr(TicksRepo, "iterate", closable(failing))
    data = await send_raw(api.port, request_line(api, symbol))
    assert data.startswith(b"HTTP/1.1 200")
    assert data.count(symbol.encode()) == 10
    assert not data.endswith(b"0\r\n\r\n")


def closable(function: Any) -> Any:
    """Give what a function yields as a generator, whatever it says of its type."""

    def generate(*args: Any, **kwargs: Any) -> Any:
        yield from function(*args, **kwargs)

    return generate


@pytest.mark.parametrize(("media", "reading"), [(NDJSON, "iterate"), (ARROW, "columns")])
async def test_storage_that_is_away_from_the_start_is_a_problem(
    api: Api, monkeypatch: pytest.MonkeyPatch, media: str, reading: str
) -> None:
    def away(*args: Any, **kwargs: Any) -> Any:
        raise Unavailable("the database is away")
        yield

    monkeypatch.setattr(TicksRepo, reading, away)
    answer = await api.viewer.get(TICKS, query={"symbol": await new_symbol(api)}, headers={"Accept": media})
    assert (answer.status, answer.code) == (503, "unavailable")
    assert api.services.downloads.under_way == 0


async def test_a_range_in_many_slices_holds_every_tick_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    symbol = await new_symbol(api)
    # Seven of each instant, so that slices end amid them.
    ticks = [Trade(symbol, T0_NS + number // 7, Decimal(1), Decimal(1), number) for number in range(1_000)]
    await store(api, iter(ticks))
    monkeypatch.setattr(tick_slices, "SLICE_TICKS", 100)
    monkeypatch.setattr(tick_slices, "BATCH_TICKS", 33)
    monkeypatch.setattr(tick_slices, "PIECE_TICKS", 33)
    for media in (CSV, ARROW):
        rows = rows_of(await download(api, TICKS, media, symbol=symbol))
        assert [int(row["seq"]) for row in rows] == list(range(1_000))


async def test_a_slow_client_is_waited_for_and_one_that_leaves_ends_the_reading(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol = await new_symbol(api)
    await store(api, (a_trade(symbol, number) for number in range(60_000)))
    read: list[int] = []
    in_batches = tick_slices.in_batches

    def counted(ticks: Any) -> Any:
        place = len(read)
        read.append(0)
        for batch in in_batches(ticks):
            read[place] += len(batch)
            yield batch

    monkeypatch.setattr("qsuite.services.price_history.in_batches", counted)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", api.port))
        await loop.sock_sendall(slow, request_line(api, symbol, media=NDJSON))
        assert (await loop.sock_recv(slow, 1_000)).startswith(b"HTTP/1.1 200")
        # It takes nothing more, while another reads all of it: what is read ahead is what the kernel takes (4 MiB).
        await download(api, TICKS, NDJSON, symbol=symbol)
        assert read[1] == 60_000
        assert 0 < read[0] < 60_000
        assert api.services.downloads.under_way == 1
    await eventually(lambda: api.services.downloads.under_way == 0)
    assert read[0] < 60_000


async def test_so_many_downloads_at_once_and_no_more(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    symbol = await new_symbol(api)
    downloads = api.services.downloads
    monkeypatch.setattr(downloads, "under_way", api.services.settings.http.max_downloads)
    answer = await api.viewer.get(TICKS, query={"symbol": symbol}, headers={"Accept": CSV})
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, "downloads.too_many", "5")
    assert (await api.viewer.get(TICKS, query={"symbol": symbol})).status == 200


async def test_a_long_range_takes_no_more_memory_than_a_short_one(api: Api) -> None:
    short, symbol = await new_symbol(api), await new_symbol(api)
    await store(api, (a_trade(short, number) for number in range(10_000)))
    await store(api, (a_trade(symbol, number) for number in range(60_000)))
    await download(api, TICKS, ARROW, symbol=short)  # loads Arrow's library too
    process = psutil.Process()

    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request_line(api, symbol, "HTTP/1.0", ARROW))
    before, size, peak = process.memory_info().rss, 0, 0
    while part := await reader.read(1 << 20):
        size += len(part)
        peak = max(peak, process.memory_info().rss)
    writer.close()
    assert size > 3_000_000
    assert peak - before < 24 << 20
