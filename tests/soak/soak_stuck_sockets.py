"""A hundred WebSockets that read nothing, for ten minutes, under a market that moves: memory stays, others go on."""

import asyncio
import itertools
import time
from collections.abc import Callable

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.times import format_rfc3339
from qsuite.repos.database import Database
from tests.crash.clients import Connection, Victim, log_in
from tests.crash.victim import OPERATOR, SYMBOL
from tests.soak.load import MIB, SHARE, percentile_ms, resident_bytes, serving
from tests.support.ws import Closed, WsClient

STUCK = 100
STUCK_S = 600 * SHARE
ALONE_S = max(30 * SHARE, 5.0)
TICKS_AT_ONCE = 100
GROWTH_MIB_MAX = 64
SMALL_BUFFER = 4096


def test_stuck_sockets_hold_a_bounded_memory_and_hold_nobody_up(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(mongod, database.name, QSUITE_STREAM__STUCK_S="15") as victim:
        told, growth = io_loop.run_sync(lambda: stick(victim))
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  the figures to quote
    assert growth <= GROWTH_MIB_MAX


async def stick(victim: Victim) -> tuple[str, float]:
    assert victim.port is not None
    token = await log_in(victim.port)
    moving = asyncio.create_task(move_the_market(victim.port, await log_in(victim.port, OPERATOR)))
    reading = asyncio.create_task(read_on(victim.port, token))
    try:
        alone = await round_trips(victim.port, token, ALONE_S)
        before = peak = resident_bytes(victim.process.pid)
        closed = itertools.count()
        stuck = [asyncio.create_task(stay_stuck(victim.port, token, closed.__next__)) for _ in range(STUCK)]
        end = time.monotonic() + STUCK_S
        beside: list[float] = []
        while time.monotonic() < end:
            beside += await round_trips(victim.port, token, 1.0)
            peak = max(peak, resident_bytes(victim.process.pid))
            for task in (moving, reading, *stuck):
                assert not task.done(), task
    finally:
        ending = [moving, reading, *stuck]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
    growth = (peak - before) / MIB
    return (
        f"{STUCK} stuck sockets for {STUCK_S:.0f} s: memory {before / MIB:.0f} MiB and {growth:.1f} MiB more at most; "
        f"{next(closed)} were closed and came again; p99 of another's ping {percentile_ms(alone, 99):.1f} ms without "
        f"them, {percentile_ms(beside, 99):.1f} ms beside them"
    ), growth


async def move_the_market(port: int, token: str, at_once: int = TICKS_AT_ONCE) -> None:
    """Send a batch of trades every tenth of a second, each with the time it is sent."""
    async with Connection.open(port, token) as connection:
        for number in itertools.count():
            trade = {"symbol": SYMBOL, "kind": "trade", "price": f"{100 + number % 5}.00", "size": 1}
            body = [trade | {"ts": format_rfc3339(time.time_ns())} for _ in range(at_once)]
            status, answer = await connection.call("POST", "/api/v1/ticks/", body)
            assert (status, answer["accepted"]) == (200, at_once), answer
            await asyncio.sleep(0.1)


async def read_on(port: int, token: str) -> None:
    """Subscribe and read everything."""
    async with await subscribed(port, token) as client:
        while True:
            await client.receive(timeout_s=30)


async def stay_stuck(port: int, token: str, closed: Callable[[], int]) -> None:
    """Subscribe and read nothing; come again when the server closes."""
    while True:
        async with await subscribed(port, token, receive_buffer=SMALL_BUFFER) as client:
            await gone(client)
            closed()


async def gone(client: WsClient) -> None:
    """Wait until the server has cut the line, without reading what it sent."""
    while not client.writer.transport.is_closing():
        try:
            client.writer.write(b"\x8a\x80\x00\x00\x00\x00")  # an empty pong: shows whether the line is still there
            await client.writer.drain()
        except ConnectionError:
            return
        await asyncio.sleep(0.5)


async def subscribed(port: int, token: str, receive_buffer: int | None = None) -> WsClient:
    client = await WsClient.open(port, token=token, receive_buffer=receive_buffer)
    await client.send({"action": "subscribe", "channels": [f"trades:{SYMBOL}", f"bars:1m:{SYMBOL}"]})
    await client.receive_type("subscribed")
    return client


async def round_trips(port: int, token: str, seconds: float) -> list[float]:
    """Ping over a socket of one's own for a while; return how long each answer took."""
    took: list[float] = []
    end = time.monotonic() + seconds
    try:
        async with await WsClient.open(port, token=token) as client:
            while time.monotonic() < end:
                begun = time.monotonic()
                await client.ask({"action": "ping", "id": "soak"})
                took.append(time.monotonic() - begun)
                await asyncio.sleep(0.02)
    except Closed as closed:
        raise AssertionError("a socket that reads was closed") from closed
    return took
