"""A hundred readers that read nothing beside two hundred that read all, for a minute, under a market that moves.

The healthy are in a process of their own, so that what they cost is not taken for the server's; each checks the numbers
of every channel and that all of the account's orders came. The wait is from the trade's own time to its reading.
"""

import asyncio
import itertools
import multiprocessing
import time
from multiprocessing.connection import Connection as Pipe
from typing import Any

import orjson
import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.times import parse_rfc3339
from qsuite.repos.database import Database
from tests.crash.clients import Victim, log_in
from tests.crash.victim import OPERATOR, SYMBOL
from tests.soak.load import MIB, SHARE, Orders, percentile_ms, resident_bytes, serving
from tests.soak.soak_stuck_sockets import move_the_market, stay_stuck
from tests.support.ws import TEXT, Closed, WsClient

STUCK, HEALTHY = 100, 200
SECONDS = max(60 * SHARE, 5.0)
TICKS_AT_ONCE = 20
ORDERS_PER_S = 5.0
GROWTH_MIB_MAX = 64
SLOWER_MAX = 2.0
CHANNELS = [f"trades:{SYMBOL}", "orders"]


def test_stuck_readers_cost_the_others_nothing(
    mongod: str, database: Database, io_loop: IOLoop, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(mongod, database.name, QSUITE_STREAM__STUCK_S="15") as victim:
        told, growth, slower = io_loop.run_sync(lambda: beside(victim))
    with capsys.disabled():
        print(f"\n{told}")  # noqa: T201  the figures to quote
    assert growth <= GROWTH_MIB_MAX
    assert SHARE < 1 or slower <= SLOWER_MAX


async def beside(victim: Victim) -> tuple[str, float, float]:
    assert victim.port is not None
    port, token = victim.port, await log_in(victim.port)
    moving = asyncio.create_task(move_the_market(port, await log_in(port, OPERATOR), TICKS_AT_ONCE))
    orders, stuck = Orders(port, token), list[asyncio.Task[None]]()
    closed = itertools.count()
    try:
        alone = await phase(victim, orders, token)
        assert not moving.done(), moving
        before = resident_bytes(victim.process.pid)
        stuck += [asyncio.create_task(stay_stuck(port, token, closed.__next__)) for _ in range(STUCK)]
        crowded = await phase(victim, orders, token)
        for task in (moving, *stuck):
            assert not task.done(), task
    finally:
        ending = [moving, *stuck]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        orders.close()
    growth, slower = (crowded["peak"] - before) / MIB, crowded["p99"] / alone["p99"]
    told = (
        f"{STUCK} stuck readers beside {HEALTHY} healthy ones for {SECONDS:.0f} s: memory {before / MIB:.0f} MiB and "
        f"{growth:.1f} MiB more at most; {next(closed)} were closed and came again; {crowded['heard']} messages read, "
        f"none missed, none conflated, {crowded['orders']} order events each; p99 {alone['p99']:.1f} ms without them, "
        f"{crowded['p99']:.1f} ms beside them, {slower:.2f} times"
    )
    return told, growth, slower


async def phase(victim: Victim, orders: Orders, token: str) -> dict[str, Any]:
    """Let the healthy read for a while, and orders be placed; return what they saw, and our highest memory."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=read_in_a_process, args=(victim.port, token, theirs))
    process.start()
    theirs.close()  # so that we hear of it when the process ends
    try:
        assert await asyncio.to_thread(ours.recv) == "ready"
        placed, peak = len(orders.done), 0
        placing = asyncio.create_task(orders.at_rate(ORDERS_PER_S, SECONDS))
        while not placing.done():
            peak = max(peak, resident_bytes(victim.process.pid))
            await asyncio.sleep(0.2)
        await placing
        assert not orders.refused, "every order of this load has room"
        assert not orders.late
        ours.send(len(orders.done) - placed)
        found: dict[str, Any] = await asyncio.to_thread(ours.recv)
    finally:
        await asyncio.to_thread(process.join, 30)
    return found | {"peak": peak}


# -- the healthy, in their own process ------------------------------------------------------------------------------


def read_in_a_process(port: int, token: str, pipe: Pipe) -> None:
    asyncio.run(read_all(port, token, pipe))


async def read_all(port: int, token: str, pipe: Pipe) -> None:
    readers = [Reader(await WsClient.open(port, token=token)) for _ in range(HEALTHY)]
    for reader in readers:
        await reader.client.send({"action": "subscribe", "channels": CHANNELS})
    reading = [asyncio.create_task(reader.read()) for reader in readers]
    await asyncio.gather(*(reader.began.wait() for reader in readers))
    for reader in readers:
        reader.waits_s.clear()  # while all of them were still subscribing
    pipe.send("ready")
    orders = await asyncio.to_thread(pipe.recv)
    async with asyncio.timeout(30):
        while any(len(reader.ended) < orders for reader in readers):
            for task in reading:
                assert not task.done(), task.exception()
            await asyncio.sleep(0.1)
    for task in reading:
        task.cancel()
    waits = [wait for reader in readers for wait in reader.waits_s]
    pipe.send(
        {
            "p99": percentile_ms(waits, 99),
            "heard": sum(reader.heard for reader in readers),
            "orders": max(reader.order_events for reader in readers),
        }
    )
    for reader in readers:
        await reader.client.abort()


class Reader:
    """One socket that believes nothing: no number may be missing, and nothing may stand for anything else."""

    def __init__(self, client: WsClient) -> None:
        self.client = client
        self.began = asyncio.Event()
        self.waits_s: list[float] = []
        self.ended: set[str] = set()
        """Orders that were heard to be filled."""
        self.heard = self.order_events = 0
        self._seqs: dict[str, int] = {}

    async def read(self) -> None:
        while True:
            frame = await self.client.receive_frame()
            if frame.opcode != TEXT:
                raise Closed(None, "a reader that reads was closed")
            now = time.time()
            whole = frame.payload
            while not frame.final:
                frame = await self.client.receive_frame()
                whole += frame.payload
            messages = orjson.loads(whole)
            for message in messages:
                self.hear(message)
            if messages[0]["type"] == "trade":  # one of a frame: reading times costs as much as all the rest
                self.waits_s.append(now - parse_rfc3339(messages[0]["ts"]) / 1e9)

    def hear(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "snapshot":
            self._seqs[message["channel"]] = message["seq"]
            if len(self._seqs) == len(CHANNELS):
                self.began.set()
        elif kind in ("trade", "order"):
            channel = message["channel"]
            assert "conflated" not in message
            assert message["seq"] == self._seqs[channel] + 1, "a message is missing"
            self._seqs[channel] += 1
            self.heard += 1
            self.order_events += kind == "order"
            if kind == "order" and message["status"] in ("FILLED", "REJECTED", "CANCELLED"):
                self.ended.add(message["id"])
