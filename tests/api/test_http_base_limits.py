"""Time bounds and the orderly end of the HTTP server, on a small API."""

import asyncio
import gc
import json
import socket
import tracemalloc
from contextlib import AbstractAsyncContextManager

import pytest

from qsuite.domain.errors import SetupError
from qsuite.handlers.server import ApiServer
from qsuite.settings import HttpSettings
from tests.support.client import ApiClient, send_raw
from tests.support.small_api import WaitingHandler, small_server
from tests.support.waiting import eventually


def impatient(**bounds: float) -> AbstractAsyncContextManager[ApiServer]:
    """Serve with one bound so short that it is met at once, and all others out of reach."""
    patient = {"header_timeout_s": 60.0, "body_timeout_s": 60.0, "idle_timeout_s": 60.0, "stuck_s": 60.0}
    return small_server(HttpSettings(**{**patient, **bounds}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bound", "sent", "status"),
    [
        ("header_timeout_s", b"GET /who/ HTTP/1.1\r\nHost: x\r\nA:", b"HTTP/1.1 408 "),
        ("header_timeout_s", b"", b""),
        ("body_timeout_s", b"POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", b"HTTP/1.1 408 "),
        (
            "body_timeout_s",
            b"POST /echo/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{",
            b"HTTP/1.1 408 ",
        ),
        ("idle_timeout_s", b"GET /who/ HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 "),
    ],
)
async def test_a_client_that_does_not_go_on_is_hung_up_on(bound: str, sent: bytes, status: bytes) -> None:
    async with impatient(**{bound: 0.1}) as server:
        raw = await send_raw(server.port, sent)
    assert raw.startswith(status)
    assert raw.count(b"HTTP/1.1 ") == (1 if status else 0)
    if b"408" in status:
        assert json.loads(raw.partition(b"\r\n\r\n")[2])["code"] == "timeout"


async def test_a_working_request_may_take_longer_than_any_bound_on_the_client() -> None:
    async with impatient(header_timeout_s=0.1, body_timeout_s=0.1, idle_timeout_s=0.1, stuck_s=0.1) as server:
        asking = asyncio.create_task(
            send_raw(server.port, b"GET /wait/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        )
        await eventually(lambda: WaitingHandler.waiting == 1)
        looks: list[object] = []
        first = server._look
        await eventually(lambda: server._look is not first and looks.append(server._look) is None)
        last = server._look
        await eventually(lambda: server._look is not last)
        WaitingHandler.release.set()
        assert (await asking).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_takes_nothing_of_its_answer_is_hung_up_on_and_its_memory_given_back() -> None:
    async with impatient(stuck_s=0.2) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tracemalloc.start()
        try:
            writer.write(b"GET /fail/large/ HTTP/1.1\r\nHost: x\r\n\r\n")
            await eventually(lambda: tracemalloc.get_traced_memory()[0] > 10_000_000)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await eventually(lambda: not server._connections)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 5_000_000
        finally:
            tracemalloc.stop()
            writer.close()


async def test_a_slow_client_that_goes_on_taking_gets_all_of_its_answer() -> None:
    async with impatient(stuck_s=1.5) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=65_536)
        writer.write(b"GET /fail/large/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        taken = 0
        while data := await reader.read(1_000_000):
            taken += len(data)
        assert taken > 20_000_000
        writer.close()


async def test_a_proxy_that_is_no_address_stops_the_start() -> None:
    with pytest.raises(SetupError, match="trusted_proxies"):
        async with small_server(HttpSettings(trusted_proxies=("10.0.0.0/8", "nginx"))):
            pass


async def test_requests_in_flight_finish_while_new_ones_are_turned_away() -> None:
    async with impatient() as server:
        port = server.port
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        flying = asyncio.create_task(send_raw(port, b"GET /wait/ HTTP/1.1\r\nHost: x\r\n\r\n"))
        await eventually(lambda: WaitingHandler.waiting == 1)
        draining = asyncio.create_task(server.drain())
        assert await idle_reader.read() == b""  # nothing of it was in flight: closed at once
        idle_writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert not draining.done()
        WaitingHandler.release.set()
        await draining
        answer = await flying
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in answer


async def test_what_does_not_finish_in_time_is_cut_off() -> None:
    async with impatient(shutdown_s=0.05) as server:
        flying = asyncio.create_task(send_raw(server.port, b"GET /wait/ HTTP/1.1\r\nHost: x\r\n\r\n"))
        await eventually(lambda: WaitingHandler.waiting == 1)
        await server.drain()
        assert await flying == b""
        WaitingHandler.release.set()
        await eventually(lambda: WaitingHandler.waiting == 0)


async def test_a_client_that_leaves_before_its_answer_harms_nobody() -> None:
    async with impatient() as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /wait/ HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: WaitingHandler.waiting == 1)
        writer.transport.abort()
        await eventually(lambda: not server._connections)
        WaitingHandler.release.set()
        await eventually(lambda: WaitingHandler.waiting == 0)
        client = ApiClient(f"http://127.0.0.1:{server.port}")
        assert (await client.get("/who/")).status == 200
        client.close()


async def test_a_burst_is_taken_up_to_eight_times_what_may_be_under_way() -> None:
    async with small_server(HttpSettings(max_in_flight=1, burst_s=60)) as server:
        client = ApiClient(f"http://127.0.0.1:{server.port}")
        waiting = [asyncio.create_task(client.get("/wait/")) for _ in range(8)]
        await eventually(lambda: server.in_flight == 8)
        assert (await client.get("/who/")).code == "server.busy"
        WaitingHandler.release.set()
        assert {(await each).status for each in waiting} == {200}
        client.close()


async def test_what_comes_beyond_the_requests_under_way_is_turned_away_at_once_and_may_ask_again() -> None:
    async with small_server(HttpSettings(max_in_flight=1, burst_s=0)) as server:
        client = ApiClient(f"http://127.0.0.1:{server.port}")
        waiting = asyncio.create_task(client.get("/wait/"))
        await eventually(lambda: WaitingHandler.waiting == 1)
        away = await send_raw(
            server.port, b"POST /echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" * 2, then_close=True
        )
        assert away.count(b"HTTP/1.1 503 ") == 2  # and the connection is kept
        assert away.count(b"Retry-After: 1\r\n") == 2
        assert server.application.settings["services"].metrics.turned_away == 2
        assert json.loads(away.rpartition(b"\r\n\r\n")[2])["code"] == "server.busy"
        assert (await client.delete("/who/")).status == 405, "what ends orders is let in"
        WaitingHandler.release.set()
        assert (await waiting).status == 200
        assert (await client.get("/who/")).status == 200
        await eventually(lambda: server.in_flight == 0)
        client.close()
