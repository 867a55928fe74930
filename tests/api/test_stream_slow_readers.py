"""Readers that are slow or stop: what is conflated, what never is, who is closed, and that nobody else notices."""

import asyncio
import itertools
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

from qsuite.domain.roles import Caller
from qsuite.settings import Settings
from tests.support.stream import ANNA, BERT, StreamServer, stream_server
from tests.support.waiting import eventually, turns
from tests.support.ws import WsClient

ANNAS, BERTS = ANNA.accounts[0], BERT.accounts[0]
TEXT = "x" * 1_000


def publish(server: StreamServer, count: int, *names: str) -> None:
    for number in range(count):
        for name in names:
            server.hub.publish(f"trades:{name}", {"type": "trade", "number": number, "text": TEXT})


async def stuff(server: StreamServer, client: WsClient) -> None:
    """Publish until the client's kernel takes no more."""
    stuck = next(one for one in server.hub.sockets if one.caller is not None and "trades:FILL" in one.names)
    while stuck.writing_since is None:
        publish(server, 50, "FILL")
        await turns()


async def stuck_client(server: StreamServer, token: str, *channels: str) -> WsClient:
    client = await server.subscribed(token, "trades:FILL", *channels, receive_buffer=4096)
    await stuff(server, client)
    return client


async def test_a_reader_that_stops_gets_the_newest_prices_and_how_many_they_stand_for(settings: Settings) -> None:
    async with stream_server(settings, queue_bytes=8_192) as server:
        async with await stuck_client(server, "anna", "trades:A", "trades:B") as client:
            publish(server, 100, "A", "B")
            await eventually(lambda: server.hub.counters.delivered)
            seen = await client.receive_until(lambda message: message["channel"] == "trades:B")
            seen += await client.synchronise()
            for name in "AB":
                found = [message for message in seen if message["channel"] == f"trades:{name}"]
                assert found[-1]["number"] == 99, "the newest arrives"
                assert sum(1 + message.get("conflated", 0) for message in found) == 100, "and every other is counted"
                assert len(found) < 100
                assert all(later["seq"] > earlier["seq"] for earlier, later in itertools.pairwise(found))
            publish(server, 3, "A")
            assert [message["number"] for message in await client.receive_some(3)] == [0, 1, 2], "then one by one again"
        assert server.hub.counters.conflated > 0
        assert server.hub.counters.dropped == 0


async def test_a_stopped_readers_own_orders_all_arrive_in_order(settings: Settings) -> None:
    async with (
        stream_server(settings, queue_bytes=65_536) as server,
        await stuck_client(server, "anna", "orders", "executions") as client,
    ):
        for number in range(200):
            server.hub.publish_private(ANNAS, "orders", {"type": "order", "number": number})
            publish(server, 5, "FILL")
            server.hub.publish_private(ANNAS, "executions", {"type": "execution", "number": number})
            await turns()
        own = [message for message in await client.synchronise() if message["type"] != "trade"]
        assert [(message["type"], message["number"]) for message in own] == [
            (kind, number) for number in range(200) for kind in ("order", "execution")
        ]
        assert not any("conflated" in message for message in own)


async def test_a_reader_that_cannot_take_even_its_own_orders_is_closed(settings: Settings) -> None:
    async with stream_server(settings, queue_bytes=65_536) as server:
        async with await stuck_client(server, "anna", "orders") as client:
            for _ in range(100):
                server.hub.publish_private(ANNAS, "orders", {"type": "order", "text": TEXT})
            await server.round()
            assert server.hub.clients == 1, "it may only just have begun to read"
            await server.round(after_s=1.5)
            closed = await client.closed()
            assert (closed.code, closed.reason) == (1013, "overflow")
        assert server.hub.counters.closed == {"overflow": 1}


async def test_a_stopped_readers_orders_never_fill_the_memory(settings: Settings) -> None:
    async with (
        stream_server(settings, queue_bytes=65_536) as server,
        await stuck_client(server, "anna", "orders") as client,
    ):
        for _ in range(1_100):
            server.hub.publish_private(ANNAS, "orders", {"type": "order", "text": TEXT})
        await eventually(lambda: server.hub.clients == 0)
        assert (await client.closed()).code == 1013


async def test_a_burst_of_orders_is_taken_by_who_reads(settings: Settings) -> None:
    async with (
        stream_server(settings, queue_bytes=65_536) as server,
        await server.subscribed("anna", "orders") as client,
    ):
        for number in range(900):
            server.hub.publish_private(ANNAS, "orders", {"type": "order", "number": number, "text": TEXT})
        assert [message["number"] for message in await client.receive_some(900)] == list(range(900))


async def test_a_reader_that_takes_nothing_for_long_is_closed(settings: Settings) -> None:
    async with stream_server(settings) as server, await stuck_client(server, "anna") as client:
        await server.round(after_s=settings.stream.stuck_s - 1)
        assert server.hub.clients == 1
        await server.round(after_s=2)
        assert server.hub.clients == 0
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1013, "stuck")


async def test_a_reader_that_is_only_slow_is_not_closed(settings: Settings) -> None:
    async with stream_server(settings, queue_bytes=65_536) as server, await stuck_client(server, "anna") as client:
        slow = next(iter(server.hub.sockets))
        for _ in range(5):
            since = slow.writing_since
            await server.round(after_s=settings.stream.stuck_s - 1)
            publish(server, 100, "FILL")
            while slow.writing_since == since:
                await client.receive()
            await stuff(server, client)
        assert server.hub.clients == 1


async def test_no_heartbeat_is_queued_for_who_does_not_read(settings: Settings) -> None:
    async with stream_server(settings, stuck_s=1e9) as server, await stuck_client(server, "anna") as client:
        for _ in range(10):
            await server.round(after_s=100)
        assert not [message for message in await client.synchronise() if message["type"] == "heartbeat"]


async def test_others_get_everything_while_one_does_not_read(settings: Settings) -> None:
    async with (
        stream_server(settings, queue_bytes=8_192) as server,
        await server.subscribed("bert", "trades:*", "orders") as other,
        await stuck_client(server, "anna"),
    ):
        await other.synchronise()
        for number in range(50):
            publish(server, 20, "A")
            server.hub.publish_private(BERTS, "orders", {"type": "order", "number": number})
            got = await other.receive_some(21)
            assert sum(message["type"] == "trade" for message in got) == 20
            assert not any("conflated" in message for message in got)


async def test_who_asks_without_reading_the_answers_is_not_read_from(settings: Settings) -> None:
    async with stream_server(settings, queue_bytes=10_000_000) as server, await stuck_client(server, "anna") as client:
        subscriber = next(iter(server.hub.sockets))
        publish(server, 100, "FILL")
        ping = b"[" + b",".join([b'{"action":"ping","id":"' + b"x" * 100 + b'"}'] * 400) + b"]"

        async def ask() -> None:
            for _ in range(200):
                await client.send_text(ping)

        asking = asyncio.create_task(ask())
        await eventually(lambda: client.writer.transport.get_write_buffer_size() > 0)
        await turns(100)  # a server that went on reading would have answered more of it by now
        assert subscriber.outbox.unsent < 1_000_000, "not the 10 MB of all the answers"
        reading = asyncio.create_task(client.closed())
        await asking
        await client.abort()
        await reading


async def test_prices_held_back_by_a_slow_snapshot_are_conflated_too(settings: Settings) -> None:
    go = asyncio.Event()

    async def slow(caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        await go.wait()
        return []

    async with (
        stream_server(settings, queue_bytes=8_192, kept_messages=5) as server,
        await server.client("anna") as client,
    ):
        server.hub.snapshot_source("trades", slow)
        await client.send({"action": "subscribe", "channels": ["trades:A"]})
        assert (await client.receive())["type"] == "subscribed"
        for _ in range(100):
            publish(server, 1, "A")
            await turns()
        go.set()
        snapshot = await client.receive()
        seen = snapshot["seq"]
        while seen < snapshot["seq"] + 100:
            message = await client.receive()
            assert message["seq"] == seen + 1 + message.get("conflated", 0), "no gap, nothing twice"
            seen = message["seq"]


async def test_orders_held_back_without_bound_close_the_socket(settings: Settings) -> None:
    go = asyncio.Event()

    async def slow(caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        await go.wait()
        return []

    async with stream_server(settings, queue_bytes=8_192) as server, await server.client("anna") as client:
        server.hub.snapshot_source("orders", slow)
        await client.send({"action": "subscribe", "channels": ["orders"]})
        assert (await client.receive())["type"] == "subscribed"
        for _ in range(200):
            server.hub.publish_private(ANNAS, "orders", {"type": "order", "text": TEXT})
        closed = await client.closed()
        assert (closed.code, closed.reason) == (1013, "overflow")
        go.set()


async def test_a_hundred_readers_that_stop_hold_little_memory(settings: Settings) -> None:
    async with stream_server(settings) as server:
        clients = [await server.subscribed("anna", "trades:*", "orders", receive_buffer=4096) for _ in range(100)]
        tracemalloc.start()
        try:
            for number in range(500):
                publish(server, 1, *(f"S{(number * 20 + one) % 500}" for one in range(20)))
                server.hub.publish_private(ANNAS, "orders", {"type": "order", "text": TEXT})
                await turns()
            assert tracemalloc.get_traced_memory()[0] < 64 * 1_048_576
            assert all(one.outbox.behind for one in server.hub.sockets), "every one of them is stuck"
        finally:
            tracemalloc.stop()
            for client in clients:
                await client.abort()


async def test_a_reader_that_fell_behind_on_changes_gets_the_whole_instead(settings: Settings) -> None:
    go = asyncio.Event()
    level = 0

    async def slow(caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        await go.wait()
        return []

    async with (
        stream_server(settings, queue_bytes=8_192, kept_messages=5) as server,
        await server.client("anna") as client,
    ):
        server.hub.snapshot_source("depth", slow)
        server.hub.whole_source("depth", lambda channel: {"type": "depth", "full": True, "levels": level})
        await client.send({"action": "subscribe", "channels": ["depth:A"]})
        assert (await client.receive())["type"] == "subscribed"
        for _ in range(100):
            level += 1
            server.hub.publish("depth:A", {"type": "depth", "full": False, "padding": "x" * 200})
            server.hub.registry.groups.settle()  # each is a batch of its own
        go.set()
        snapshot = await client.receive()
        seen, replaced = snapshot["seq"], 0
        while seen < snapshot["seq"] + 100:
            message = await client.receive()
            replaced += message.get("conflated", 0)
            assert message["seq"] == seen + 1 + message.get("conflated", 0), "no gap, nothing twice"
            assert message["channel"] == "depth:A"
            assert message["full"] or "conflated" not in message, "what stands for others holds all"
            seen = message["seq"]
        assert replaced
        assert message["levels"] == 100
