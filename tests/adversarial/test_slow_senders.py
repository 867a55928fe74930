"""Clients that send a byte now and then, or nothing: cut off in time, and everybody else served meanwhile."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.database import connect
from qsuite.settings import Settings
from tests.adversarial.pipe import Pipe
from tests.adversarial.tally import Tally, watched
from tests.support.running_app import Api, running_api

CONNECTIONS = 200
BOUND_S = 1.0
"""Bounds on what is slow; the server looks around each half second."""
END_S = 60.0
HEAD = b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
UPGRADE = (
    b"GET /ws/v1/stream/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SLOW = {
    "nothing at all": (b"", b""),
    "half a request line": (b"GET /heal", b""),
    "a header a byte at a time": (b"GET /health/live/ HTTP/1.1\r\nHost: x\r\nX: ", b"a" * 10_000),
    "lines without end": (b"GET /health/live/ HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n" * 10_000),
    "half a body": (HEAD + b"Content-Length: 100\r\n\r\n{", b""),
    "a body a byte at a time": (HEAD + b"Content-Length: 100000\r\n\r\n{", b" " * 100_000),
    "chunks of one byte": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000),
    "a size a byte at a time": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 60),
    "nothing after an answer": (b"GET /health/live/ HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    "nothing after an upgrade": (UPGRADE, b""),
    "half a frame": (UPGRADE + b"\x81\xfe\x10\x00aaaa", b"x" * 4_000),
}


@pytest.fixture
def impatient(mongod: str, io_loop: IOLoop, settings: Settings, tmp_path: Path) -> Iterator[Api]:
    """Serve the whole application with short bounds on clients."""
    bounds = dict.fromkeys(("header_timeout_s", "body_timeout_s", "idle_timeout_s"), BOUND_S)
    settings = replace(
        settings,
        http=replace(settings.http, **bounds),
        stream=replace(settings.stream, auth_timeout_s=BOUND_S),
    )
    database = connect(mongod, f"test_slow_{uuid.uuid4().hex[:12]}", pool_size=8)
    try:
        context = running_api(settings, database, tmp_path)
        yield io_loop.run_sync(context.__aenter__)
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()


async def dawdle(port: int, first: bytes, rest: bytes) -> bytes:
    """Send slowly and read until the server hangs up; return all it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    drip = asyncio.create_task(_drip(writer, first, rest))
    try:
        return await _read_to_end(reader)
    finally:
        drip.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await drip
        writer.close()


async def _drip(writer: asyncio.StreamWriter, first: bytes, rest: bytes) -> None:
    writer.write(first)
    for at in range(len(rest)):
        await asyncio.sleep(0.1)
        writer.write(rest[at : at + 1])


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    raw = b""
    with suppress(ConnectionError):
        while part := await reader.read(65_536):
            raw += part
    return raw


async def others(api: Api, tally: Tally, until: "asyncio.Future[list[bytes]]") -> None:
    """Ask what everybody asks, for as long as the slow ones are there."""
    pipe = Pipe(api.port)
    line = f"Authorization: Bearer {api.trader.token}\r\n".encode()
    while not until.done():
        reply = await pipe.ask("GET", "/api/v1/tickers/", line)
        tally.count(reply.status, str(reply))
        if reply.status != 200:
            tally.deny(f"not served: {reply}")
        await asyncio.sleep(0.005)
    pipe.close()


@pytest.mark.timeout(600)
async def test_slow_senders_are_hung_up_on_and_the_others_served_meanwhile(
    impatient: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = list(SLOW)
    with watched(f"beside {CONNECTIONS} slow senders", capsys) as tally:
        slow = asyncio.gather(*[dawdle(impatient.port, *SLOW[kinds[n % len(kinds)]]) for n in range(CONNECTIONS)])
        serving = asyncio.gather(*[others(impatient, tally, slow) for _ in range(4)])
        said = await asyncio.wait_for(slow, END_S)
        await serving
    assert tally.sent.total() > 100
    for number, raw in enumerate(said):
        kind = kinds[number % len(kinds)]
        assert raw.count(b"HTTP/1.1 ") <= 1, f"{kind}: {raw[:500]!r}"
        if kind.startswith(("a header", "half a request", "lines", "half a body", "a body", "chunks", "a size")):
            assert raw.startswith(b"HTTP/1.1 408 "), f"{kind}: {raw[:200]!r}"
