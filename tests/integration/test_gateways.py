"""Two streams and a real Redis between them: the second sends on what the first publishes, with its numbers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from qsuite.services.gateways.flushes import Flush, Session, Told, encode_flush
from qsuite.services.gateways.link import Link
from qsuite.services.gateways.publisher import Asks, Publisher
from qsuite.services.gateways.relay import QUEUE_BYTES, SILENT_S, Relay
from qsuite.services.gateways.uplink import Uplink
from qsuite.services.supervisor import Supervisor
from qsuite.settings import Settings
from tests.support.redis_server import RedisServer, running_redis
from tests.support.stream import ANNA, StreamServer, stream_server
from tests.support.waiting import eventually
from tests.support.ws import WsClient

ACCOUNT = ANNA.accounts[0]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


class Pair:
    """A stream that publishes and one that follows it; ``market`` and ``orders`` are what their databases hold."""

    def __init__(self, source: StreamServer, gateway: StreamServer, redis: RedisServer, name: str) -> None:
        self.source, self.gateway = source, gateway
        self.market: dict[str, dict[str, Any]] = {}
        self.orders: list[dict[str, Any]] = []
        self.epoch: int | None = 1
        self.moment = 0.0
        self.url, self.name = redis.url, name
        self.relay = Relay(source.hub, monotonic=lambda: self.moment)
        asks = Asks(self.relay, self.link("asks"))
        self.publisher = Publisher(self.relay, self.link("flushes"), asks, epoch=lambda: self.epoch)
        links = self.link("flushes"), self.link("asks")
        self.refreshed = 0
        self.uplink = Uplink(gateway.hub, *links, gateway="g", refresh=self._refresh)
        self.loops = [Supervisor(), Supervisor()]
        for loop in (self.publisher, asks):
            self.loops[0].add(loop)
        self.loops[1].add(self.uplink)
        for life, hub in enumerate((source.hub, gateway.hub), 1):
            hub.registry.life = life
            for kind in ("trades", "quotes", "bars"):
                hub.snapshot_source(kind, self._prices)
            hub.snapshot_source("orders", self._orders)

    def link(self, what: str) -> Link:
        return Link(self.url, f"{self.name}:{what}", timeout_s=2.0)

    async def _refresh(self) -> None:
        self.refreshed += 1

    async def _prices(self, caller: Any, channel: str) -> list[dict[str, Any]]:
        return [each for name, each in self.market.items() if channel in (name, "trades:*")]

    async def _orders(self, caller: Any, channel: str) -> list[dict[str, Any]]:
        return list(self.orders)

    def trade(self, symbol: str, price: str) -> None:
        message = {"type": "trade", "ts": "t", "symbol": symbol, "price": price}
        self.market[f"trades:{symbol}"] = message
        self.source.hub.publish(f"trades:{symbol}", message)

    def order(self, version: int) -> None:
        message = {"type": "order", "ts": "t", "id": "o", "version": version}
        self.orders = [message]
        self.source.hub.publish_private(ACCOUNT, "orders", message)

    async def joined(self) -> None:
        await eventually(lambda: self.uplink.joined, what="the gateway following")

    async def parted(self) -> None:
        await eventually(lambda: not self.uplink.joined, what="the gateway telling by itself")


@asynccontextmanager
async def pair(settings: Settings, redis: RedisServer, name: str) -> AsyncIterator[Pair]:
    async with stream_server(settings) as source, stream_server(settings) as gateway:
        made = Pair(source, gateway, redis, name)
        for supervisor in made.loops:
            supervisor.start()
        try:
            await made.joined()
            yield made
        finally:
            for supervisor in reversed(made.loops):
                await supervisor.stop()
            await made.uplink.stop()
            await made.publisher.stop()


async def told(reader: WsClient, count: int) -> list[dict[str, Any]]:
    found = await reader.receive_some(count)
    assert {one["type"] for one in found} == {"order", "trade"}
    return found


async def test_a_number_means_the_same_message_at_both(settings: Settings, redis: RedisServer) -> None:
    async with pair(settings, redis, "same") as streams:
        channels = ("orders", "trades:*")
        readers = [await server.subscribed("anna", *channels) for server in (streams.source, streams.gateway)]
        for number in range(50):
            streams.trade(f"S{number % 3}", str(number))
            streams.order(number)
        heard = [await told(reader, 100) for reader in readers]
        for kind in ("order", "trade"):
            first, second = ([one for one in each if one["type"] == kind] for each in heard)
            assert first == second
            assert len(first) == 50
        for reader in readers:
            await reader.abort()


async def test_one_who_comes_from_the_publisher_gets_what_was_missed(settings: Settings, redis: RedisServer) -> None:
    async with pair(settings, redis, "missed") as streams:
        async with await streams.source.subscribed("anna", "orders", "trades:IBM") as reader:
            streams.trade("IBM", "1")
            streams.order(1)
            since = {one["channel"]: one["seq"] for one in await reader.receive_some(2)}
        for number in (2, 3):
            streams.order(number)
            streams.trade("IBM", str(number))
        async with await streams.gateway.client("anna") as reader:
            await reader.send({"action": "subscribe", "channels": list(since), "since": since})
            assert (await reader.receive())["type"] == "subscribed"
            missed = await reader.receive_some(4)
            assert {(one["channel"], one["seq"] - since[one["channel"]]) for one in missed} == {
                (channel, number) for channel in since for number in (1, 2)
            }
            streams.order(4)
            assert (await reader.receive())["seq"] == since["orders"] + 3


async def test_a_snapshot_of_prices_is_as_new_as_the_stream(settings: Settings, redis: RedisServer) -> None:
    async with pair(settings, redis, "prices") as streams:
        streams.trade("IBM", "1")
        async with await streams.gateway.subscribed("vera", "trades:IBM") as first:
            streams.trade("IBM", "2")
            newest = await first.receive()
            streams.market.clear()  # what this gateway's own market knows is older
            async with await streams.gateway.client("vera") as second:
                await second.send({"action": "subscribe", "channels": ["trades:IBM", "trades:*"]})
                snapshots = (await second.receive_some(3))[1:]
                assert [one["data"][0]["price"] for one in snapshots] == ["2", "2"]
                assert snapshots[0]["seq"] == snapshots[1]["seqs"]["trades:IBM"] == newest["seq"]


async def test_a_publisher_that_stops_is_announced_and_its_return_too(settings: Settings, redis: RedisServer) -> None:
    async with (
        pair(settings, redis, "stops") as streams,
        await streams.gateway.subscribed("anna", "orders") as reader,
    ):
        streams.order(1)
        seq = (await reader.receive())["seq"]
        streams.epoch = None
        await streams.parted()
        gap, snapshot = await reader.receive_some(2)
        assert (gap["type"], gap["since"], gap["seq"]) == ("gap", seq, snapshot["seq"])
        assert [one["version"] for one in snapshot["data"]] == [1]
        own = {"type": "order", "ts": "t", "id": "o", "version": 2}
        streams.gateway.hub.publish_private(ACCOUNT, "orders", own)
        assert (await reader.receive())["seq"] == snapshot["seq"] + 1
        streams.epoch = 2
        streams.source.hub.registry.life = 3
        await streams.joined()
        assert streams.refreshed == 2, "what a publisher before this one stored and told nobody is taken over"
        gap, snapshot = await reader.receive_some(2)
        assert (gap["type"], gap["seq"]) == ("gap", snapshot["seq"])
        streams.order(3)
        assert await reader.receive() == {
            **streams.orders[0], "channel": "orders", "seq": snapshot["seq"] + 1
        }  # fmt: skip
        streams.gateway.hub.publish_private(ACCOUNT, "orders", own)
        assert await reader.synchronise() == [], "what a gateway's own services say is not told twice"


@pytest.mark.parametrize("session", [Session(0, 9, 9), Session(1, 1, 0)])
async def test_what_an_earlier_publisher_wrote_late_is_passed_over(
    settings: Settings, redis: RedisServer, session: Session
) -> None:
    async with (
        pair(settings, redis, f"late{session.epoch}") as streams,
        await streams.gateway.subscribed("anna", "orders") as reader,
    ):
        late = Flush(session, 1, 0, ["g"], [Told((ACCOUNT, "orders"), 1, b'{"type":"order"}')])
        link = streams.link("flushes")
        await link.append(encode_flush(late))
        await link.stop()
        streams.order(1)
        assert (await reader.receive())["version"] == 1
        assert streams.uplink.turns == 1


async def test_a_flush_that_is_missing_is_a_gap(settings: Settings, redis: RedisServer) -> None:
    async with (
        pair(settings, redis, "missing") as streams,
        await streams.gateway.subscribed("anna", "orders") as reader,
    ):
        streams.publisher._number += 1
        assert (await reader.receive_until(lambda one: one["type"] == "snapshot"))[0]["type"] == "gap"
        await streams.joined()
        await reader.receive_type("snapshot")
        streams.order(1)
        assert (await reader.receive())["version"] == 1


async def test_a_gateway_that_was_silent_is_forgotten_and_begins_again(settings: Settings, redis: RedisServer) -> None:
    async with (
        pair(settings, redis, "silent") as streams,
        await streams.gateway.subscribed("anna", "orders") as reader,
    ):
        assert streams.source.hub.wanted_private(ACCOUNT, "orders")
        streams.moment += SILENT_S + 1
        assert (await reader.receive())["type"] == "gap"
        await streams.joined()
        await reader.receive_until(lambda one: one["type"] == "gap")
        await reader.receive_type("snapshot")
        streams.order(1)
        assert (await reader.receive())["version"] == 1


async def test_more_than_can_wait_for_redis_is_dropped_and_said(settings: Settings, redis: RedisServer) -> None:
    async with (
        pair(settings, redis, "much") as streams,
        await streams.gateway.subscribed("anna", "orders"),
    ):
        piece = {"type": "order", "id": "x" * 65_536}
        for _ in range(QUEUE_BYTES // 65_536 + 1):
            streams.source.hub.publish_private(ACCOUNT, "orders", piece)
        assert (streams.relay.open, streams.relay.waiting, streams.relay.lost) == (False, 0, 1)
        await streams.parted()
        await streams.joined()


async def test_a_signal_made_at_a_gateway_is_heard_at_both(settings: Settings, redis: RedisServer) -> None:
    async with pair(settings, redis, "signal") as streams:
        servers = (streams.source, streams.gateway)
        readers = [await server.subscribed("vera", "signals:IBM") for server in servers]
        streams.gateway.hub.publish("signals:IBM", {"type": "signal", "action": "BUY"})
        heard = [await reader.receive() for reader in readers]
        assert heard[0] == heard[1]
        assert heard[0]["action"] == "BUY"
        for reader in readers:
            await reader.abort()


async def test_channels_nobody_has_any_more_are_not_sent(settings: Settings, redis: RedisServer) -> None:
    async with pair(settings, redis, "left") as streams:
        async with await streams.gateway.subscribed("anna", "orders", "trades:*"):
            assert streams.source.hub.wanted("trades:IBM")
        registry = streams.gateway.hub.registry

        def gone() -> bool:
            registry.drop_idle(0.0)
            registry.drop_idle(1e6)
            tapped = streams.source.hub.registry
            return not tapped._tapped and not any(channel.tapped for channel in tapped._private.values())

        await eventually(gone, what="the channels left")


async def test_a_socket_whose_first_snapshots_are_being_read_is_closed_at_a_turn(
    settings: Settings, redis: RedisServer
) -> None:
    async with pair(settings, redis, "amid") as streams:
        reading, go = asyncio.Event(), asyncio.Event()

        async def slow(caller: Any, channel: str) -> list[dict[str, Any]]:
            reading.set()
            await go.wait()
            return []

        streams.gateway.hub.snapshot_source("executions", slow)
        async with await streams.gateway.client("anna") as reader:
            await reader.send({"action": "subscribe", "channels": ["executions"]})
            await reading.wait()
            streams.epoch = None
            await streams.parted()
            go.set()
            closed = await reader.closed()
            assert (closed.code, closed.reason) == (1013, "resync")
