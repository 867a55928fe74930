"""The stream as server-sent events, for ``curl -N``."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.market import Trade
from qsuite.handlers.events import event
from qsuite.services.stream.messages import fragments, text_frame
from tests.support.running_app import Api
from tests.support.waiting import eventually


class Events:
    """An event stream being read, by HTTP as it is on the wire."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.messages: list[dict[str, Any]] = []
        self.closed: dict[str, Any] | None = None

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def read(self) -> None:
        """Read one event out of its chunk; a data line holds an array of messages."""
        async with asyncio.timeout(10):
            text = ""
            while not text.endswith("\n\n"):
                size = int(await self.reader.readline(), 16)
                text += (await self.reader.readexactly(size + 2))[:-2].decode()
                if not size:
                    raise EOFError
        for block in text.removesuffix("\n\n").split("\n\n"):
            if block.startswith("event: close\n"):
                self.closed = json.loads(block.partition("data: ")[2])
            else:
                self.messages += json.loads(block.removeprefix("data: "))

    async def until(self, kind: str) -> dict[str, Any]:
        """Read on until there is a message of this type; return it and forget what came before."""
        while True:
            for index, message in enumerate(self.messages):
                if message["type"] == kind:
                    del self.messages[: index + 1]
                    return message
            await self.read()

    async def to_the_end(self) -> None:
        """Read until the server ends the answer."""
        with suppress(EOFError):
            while True:
                await self.read()


@asynccontextmanager
async def watching(api: Api, channels: str, token: str | None) -> AsyncIterator[Events]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"GET /api/v1/stream/?channels={channels} HTTP/1.1\r\nHost: x\r\n{bearer}\r\n".encode())
    try:
        yield Events(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture(scope="module")
def market(api: Api, io_loop: Any) -> Api:
    io_loop.run_sync(lambda: api.services.reference.ensure_ticker("IBM", {"name": "IBM"}))
    return api


async def test_a_watcher_gets_snapshots_then_what_happens_to_its_orders(market: Api) -> None:
    await market.services.market.publish([Trade("IBM", 1, Decimal("181.52"), Decimal(100))])
    async with watching(market, "trades:IBM,orders,executions", market.trader.token) as events:
        head = await events.head()
        assert head.startswith("HTTP/1.1 200 ")
        assert "text/event-stream" in head
        assert "x-request-id" in head.lower()
        assert (await events.until("subscribed"))["channels"] == ["trades:IBM", "orders", "executions"]
        assert (await events.until("snapshot"))["data"][0]["price"] == "181.52"
        order = {"symbol": "IBM", "side": "BUY", "order_type": "MARKET", "quantity": "10"}
        placed = await market.trader.post("/api/v1/orders/", order)
        assert placed.status == 201, placed
        execution = await events.until("execution")
        assert (execution["order"], execution["quantity"]) == (placed.json["id"], "10")


async def test_a_watcher_that_leaves_is_forgotten(market: Api) -> None:
    stream = market.services.stream
    before = stream.clients
    async with watching(market, "trades:*", market.viewer.token) as events:
        await events.until("subscribed") if await events.head() else None
        assert stream.clients == before + 1
    await eventually(lambda: stream.clients == before)


async def test_a_revoked_watcher_is_told_and_cut_off(market: Api) -> None:
    leaver = await market.new_client("viewer")
    async with watching(market, "trades:IBM", leaver.token) as events:
        await events.head()
        await events.until("subscribed")
        assert (await leaver.post("/api/auth/logout/")).status < 300
        await events.to_the_end()
        assert events.closed == {"code": 1008, "reason": "revoked"}


@pytest.mark.parametrize(
    ("channels", "token", "status", "code"),
    [
        ("trades:IBM", False, 401, "unauthenticated"),
        ("nonsense", True, 404, "channel.unknown"),
        ("", True, 422, "validation"),
    ],
)
async def test_a_watcher_that_asks_wrongly_gets_a_problem(
    market: Api, channels: str, token: bool, status: int, code: str
) -> None:
    client = market.trader if token else market.anonymous
    answer = await client.get(f"/api/v1/stream/?channels={channels}")
    assert (answer.status, answer.code) == (status, code)


async def test_a_channel_that_is_refused_is_named_while_the_others_go_on(market: Api) -> None:
    async with watching(market, "trades:IBM,orders", market.viewer.token) as events:
        await events.head()
        assert (await events.until("subscribed"))["channels"] == ["trades:IBM"]
        refusal = await events.until("error")
        assert (refusal["channel"], refusal["code"]) == ("orders", "channel.forbidden")


@pytest.mark.parametrize("length", [0, 100, 125, 126, 65_000, 65_535, 65_536, 200_000])
def test_frames_become_events_whole(length: int) -> None:
    payload = b'{"type":"x","text":"%b"}' % (b"a" * length)
    assert event(text_frame(payload)) == b"data: [%b]\n\n" % payload
    assert b"".join(map(event, fragments(payload))) == b"data: [%b]\n\n" % payload
