"""Who is written to, when, and with which bytes: the hub over connections made by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from qsuite.services.stream import StreamHub, Subscriber
from qsuite.services.stream.delivery import SOCKETS_PER_SLICE
from qsuite.settings import StreamSettings
from tests.support.frames import messages_of
from tests.support.stream import VERA, FakeAuth
from tests.support.waiting import eventually, turns


class FakeWire:
    """A connection that takes everything, nothing, or fails."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.fails = False
        self.pending: asyncio.Future[None] | None = None

    def write(self, frame: bytes) -> "asyncio.Future[None]":
        if self.fails:
            raise RuntimeError("the secret is swordfish")
        self.frames.append(frame)
        if self.pending is not None:
            return self.pending
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    @property
    def messages(self) -> list[dict[str, Any]]:
        return messages_of(self.frames)

    def trades(self) -> list[int]:
        return [message["number"] for message in self.messages if message["type"] == "trade"]


@asynccontextmanager
async def started_hub() -> AsyncIterator[StreamHub]:
    hub = StreamHub(settings=StreamSettings(), auth=FakeAuth())
    await hub.start()
    yield hub
    await hub.stop()


async def listener(hub: StreamHub, *channels: str) -> tuple[FakeWire, Subscriber]:
    wire = FakeWire()
    subscriber = hub.attach(wire)
    hub.identify(subscriber, VERA, "Bearer vera")
    if channels:
        assert await hub.subscriptions.start(subscriber, channels, {}) == []
    return wire, subscriber


def publish(hub: StreamHub, *numbers: int, channel: str = "trades:A") -> None:
    for number in numbers:
        hub.publish(channel, {"type": "trade", "number": number})


async def test_sockets_with_equal_subscriptions_get_the_very_same_bytes() -> None:
    async with started_hub() as hub:
        first, second, other = [
            (await listener(hub, *channels))[0]
            for channels in (["trades:A", "trades:B"], ["trades:B", "trades:A"], ["trades:A"])
        ]
        await eventually(lambda: first.frames and second.frames and other.frames)
        publish(hub, 1, 2, 3)
        await eventually(lambda: other.trades() == [1, 2, 3])
        assert first.frames[-1] is second.frames[-1]
        assert first.frames[-1] == other.frames[-1]


async def test_more_sockets_than_are_written_in_one_turn_all_get_everything_in_order() -> None:
    async with started_hub() as hub:
        wires = [(await listener(hub, "trades:A"))[0] for _ in range(2 * SOCKETS_PER_SLICE + 10)]
        for number in range(30):
            publish(hub, number)
            await turns()
        await eventually(lambda: all(wire.trades() == list(range(30)) for wire in wires))


async def test_what_is_published_while_others_are_written_to_waits_for_nothing_else_to_happen() -> None:
    async with started_hub() as hub:
        wires = [(await listener(hub, "trades:A"))[0] for _ in range(2 * SOCKETS_PER_SLICE)]
        await eventually(lambda: all(wire.frames for wire in wires))
        flushed = hub.lag.count
        publish(hub, 1)
        while wires[0].trades() != [1]:
            await turns()
        assert wires[-1].trades() == [], "between two slices of one flush"
        publish(hub, 2)
        await eventually(lambda: all(wire.trades() == [1, 2] for wire in wires))
        assert hub.lag.count > flushed
        assert 0 <= hub.lag.total < 60


async def test_who_leaves_or_moves_while_others_are_written_to_misses_nothing_of_before() -> None:
    async with started_hub() as hub:
        sockets = [await listener(hub, "trades:A") for _ in range(2 * SOCKETS_PER_SLICE)]
        (gone, leaving), (moved, moving) = sockets[-1], sockets[-2]
        publish(hub, 1)
        hub.close(leaving, 1008, "test")
        await hub.subscriptions.start(moving, ["trades:B"], {})
        publish(hub, 2)
        publish(hub, 3, channel="trades:B")
        await eventually(lambda: all(wire.trades() == [1, 2] for wire, _ in sockets[:-2]))
        assert moved.trades() == [1, 2, 3]
        assert gone.trades() == []
        assert gone.closed == (1008, "test")


async def test_one_connection_that_fails_is_closed_and_no_other_notices() -> None:
    async with started_hub() as hub:
        (bad, _), (good, _) = await listener(hub, "trades:A"), await listener(hub, "trades:A")
        await eventually(lambda: good.frames)
        bad.fails = True
        with capture_logs() as lines:
            publish(hub, 1)
            await eventually(lambda: good.trades() == [1])
        assert bad.closed == (1011, "internal")
        assert [line["event"] for line in lines if line["log_level"] == "error"] == ["stream.flush_failed"]
        assert hub.clients == 1


async def test_a_connection_has_one_frame_at_a_time() -> None:
    async with started_hub() as hub:
        wire, _ = await listener(hub, "trades:A")
        await eventually(lambda: len(wire.messages) == 4)
        wire.pending = asyncio.get_running_loop().create_future()
        publish(hub, 1)
        await eventually(lambda: wire.trades() == [1])
        publish(hub, 2)
        await turns()
        publish(hub, 3)
        other, _ = await listener(hub, "trades:A")
        publish(hub, 4)
        await eventually(lambda: other.trades() == [4])
        assert wire.trades() == [1]
        pending, wire.pending = wire.pending, None
        pending.set_result(None)
        await eventually(lambda: wire.trades() == [1, 2, 3, 4])


async def test_a_connection_that_is_gone_holds_nothing() -> None:
    async with started_hub() as hub:
        wire, subscriber = await listener(hub, "trades:A")
        await eventually(lambda: len(wire.messages) == 4)
        wire.pending = asyncio.get_running_loop().create_future()
        wire.pending.set_exception(ConnectionError("gone"))
        publish(hub, *range(100))
        await eventually(lambda: subscriber.outbox.empty and subscriber.idle)
        hub.detach(subscriber)
        hub.detach(subscriber)
        assert hub.counters.closed == {"client": 1}


async def test_what_cannot_be_encoded_takes_no_number() -> None:
    async with started_hub() as hub:
        wire, _ = await listener(hub, "trades:A")
        channel = hub.registry.public("trades:A")
        assert channel is not None
        before = channel.seq
        with pytest.raises(TypeError):
            hub.publish("trades:A", {"type": "trade", "what": object()})
        assert channel.seq == before, "no gap for what nobody could be sent"
        publish(hub, 1)
        await eventually(lambda: wire.trades() == [1])
        assert wire.messages[-1]["seq"] == before + 1
