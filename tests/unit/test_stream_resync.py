"""Many readers whose channels are renumbered, again and again while messages go on: each is told of every gap first."""

import asyncio
import random
from typing import Any

from qsuite.domain.roles import Caller
from qsuite.services.stream import StreamHub
from qsuite.services.stream.messages import encode
from qsuite.services.stream.mirror import Mirror
from qsuite.services.stream.resync import INTERRUPTED_AT_ONCE
from qsuite.settings import StreamSettings
from tests.support.stream import VERA, FakeAuth
from tests.support.waiting import eventually, turns
from tests.unit.test_stream_delivery import FakeWire

READERS = 3 * INTERRUPTED_AT_ONCE
CHANNEL = "trades:A"


class World:
    """A hub, what its market shows now, and a publisher elsewhere that it may mirror."""

    def __init__(self) -> None:
        self.hub = StreamHub(settings=StreamSettings(), auth=FakeAuth())
        self.newest = 0
        self.mirror: Mirror | None = None
        self.wires: list[FakeWire] = []
        self.hub.snapshot_source("trades", self._snapshot)

    async def _snapshot(self, caller: Caller, channel: str) -> list[dict[str, Any]]:
        await turns(2)
        return [{"symbol": "A", "number": self.newest}]

    async def listen(self) -> None:
        self.wires.append(FakeWire())
        subscriber = self.hub.attach(self.wires[-1])
        self.hub.identify(subscriber, VERA, "Bearer vera")
        assert await self.hub.subscriptions.start(subscriber, [CHANNEL], {}) == []

    async def tell(self) -> None:
        """Let something happen, and be told by whoever tells now."""
        self.newest += 1
        if self.mirror is None:
            self.hub.publish(CHANNEL, {"type": "trade", "number": self.newest})
            return
        await self.hub.turned()
        key, seq = (None, CHANNEL), self.mirror.seqs[None, CHANNEL] + 1
        message = {"type": "trade", "symbol": "A", "number": self.newest, "channel": CHANNEL, "seq": seq}
        data = encode(message)
        self.hub.relay(key, seq, data)
        self.mirror.note(key, seq, data)

    def turn(self) -> None:
        """Follow the publisher elsewhere, or no longer."""
        if self.mirror is None:
            self.mirror = Mirror()
            self.mirror.join((None, CHANNEL), 1_000 + self.newest)
            self.mirror.show("trades", [{"symbol": "A", "number": self.newest}])
        else:
            self.mirror = None
        self.hub.turn(self.mirror)


def fold(messages: list[dict[str, Any]]) -> int:
    """Return what a reader ends with; nothing may have been passed over in silence."""
    seq = shown = None
    waits = True
    for message in messages:
        if message["type"] == "gap":
            seq, waits = message["seq"], True
        elif message["type"] == "snapshot":
            assert seq in (None, message["seq"])
            seq, waits = message["seq"], False
            shown = message["data"][0]["number"]
        elif message["type"] == "trade":
            assert not waits
            assert message["seq"] == seq + 1
            seq, shown = message["seq"], message["number"]
    assert shown is not None
    return int(shown)


async def test_every_reader_ends_with_the_newest_and_is_told_of_each_gap_first() -> None:
    world, chance = World(), random.Random(4)
    await world.hub.start(life=7)
    for _ in range(READERS):
        await world.listen()
    for _ in range(40):
        for _ in range(chance.randrange(4)):
            await world.tell()
            await turns(chance.randrange(3))
        world.turn()
        await turns(chance.choice((0, 1, 2, 5, 40)))
    await world.tell()
    await eventually(lambda: {fold(wire.messages) for wire in world.wires} == {world.newest})
    assert {wire.closed for wire in world.wires} == {None}
    await world.hub.stop()


async def test_who_subscribes_during_a_turn_begins_behind_it() -> None:
    world = World()
    await world.hub.start(life=7)
    for _ in range(READERS):
        await world.listen()
    world.turn()
    await world.hub.turned()
    world.turn()
    assert not world.hub.wanted(CHANNEL)
    listening = asyncio.create_task(world.listen())
    while not world.hub.wanted(CHANNEL):
        await world.tell()
        await turns()
    await listening
    await eventually(lambda: {fold(wire.messages) for wire in world.wires} == {world.newest})
    assert not [one for one in world.wires[-1].messages if one["type"] == "gap"]
    await world.hub.stop()
