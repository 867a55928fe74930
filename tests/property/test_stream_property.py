"""For every interleaving of publishing, subscribing, leaving and coming back: each channel without gap or repetition.

One real server, real sockets; what is published and when clients act is drawn by hypothesis.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.ioloop import IOLoop

from qsuite.domain.roles import Caller
from qsuite.settings import Settings
from tests.support.stream import ANNA, StreamServer, stream_server
from tests.support.waiting import turns
from tests.support.ws import WsClient

SYMBOLS = ("A", "B", "C")
NAMES = ("trades:A", "trades:B", "trades:*", "orders")
STEPS = st.one_of(
    st.tuples(st.just("publish"), st.lists(st.sampled_from((*SYMBOLS, "orders")), min_size=1, max_size=8)),
    st.tuples(st.just("subscribe"), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("unsubscribe"), st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)),
    st.tuples(st.just("reconnect"), st.just([])),
    st.tuples(st.just("turn"), st.just([])),
)


class Reader:
    """A client that believes what the contract says, and complains where the server does not keep to it."""

    def __init__(self, client: WsClient) -> None:
        self.client = client
        self.names: set[str] = set()
        self.seqs: dict[str, int] = {}

    async def read(self) -> None:
        for message in await self.client.synchronise():
            self.hear(message)

    def hear(self, message: Mapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "subscribed":
            self.names.update(message["channels"])
        elif kind == "unsubscribed":
            for name in message["channels"]:
                self.names.discard(name)
            self.seqs = {channel: seq for channel, seq in self.seqs.items() if self.listens(channel)}
        elif kind == "snapshot":
            seqs = message["seqs"] if "seqs" in message else {message["channel"]: message["seq"]}
            for channel, seq in seqs.items():
                assert self.seqs.get(channel, seq) <= seq
                self.seqs[channel] = seq
        elif kind in ("trade", "order"):
            channel = message["channel"]
            assert self.listens(channel)
            if channel in self.seqs:
                assert message["seq"] == self.seqs[channel] + 1 + message.get("conflated", 0)
            self.seqs[channel] = message["seq"]
        else:
            assert kind in ("gap", "welcome", "authenticated"), message

    def listens(self, channel: str) -> bool:
        return channel in self.names or (channel.startswith("trades:") and "trades:*" in self.names)


async def tell(server: StreamServer, story: Sequence[tuple[str, list[str]]]) -> None:
    chatting = asyncio.create_task(chatter(server))
    reader = Reader(await server.client("anna"))
    for step, names in story:
        if step == "publish":
            for name in names:
                publish(server, name)
        elif step == "turn":
            await turns()
        elif step == "reconnect":
            await reader.read()
            since, listened = reader.seqs, sorted(reader.names)
            await reader.client.abort()
            reader = Reader(await server.client("anna"))
            reader.seqs = dict(since)
            if listened:
                await reader.client.send({"action": "subscribe", "channels": listened, "since": since})
        else:
            await reader.client.send({"action": step, "channels": names})
    await chatting
    await reader.read()
    for channel in reader.seqs:
        publish(server, channel.removeprefix("trades:"))
    await reader.read()
    registry = server.hub.registry
    for channel, seq in reader.seqs.items():
        stream = registry.public(channel) if ":" in channel else registry.private(ANNA.accounts[0], channel)
        assert stream is not None
        assert seq == stream.seq, "the last message arrived"
    await reader.client.abort()


def publish(server: StreamServer, name: str) -> None:
    if name == "orders":
        server.hub.publish_private(ANNA.accounts[0], "orders", {"type": "order"})
    else:
        server.hub.publish(f"trades:{name}", {"type": "trade"})


@given(story=st.lists(STEPS, min_size=1, max_size=25))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_channel_is_heard_without_gap_or_repetition(
    io_loop: IOLoop, settings: Settings, story: list[tuple[str, list[str]]]
) -> None:
    async def slow(caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        await turns(3)  # other tasks publish meanwhile
        return []

    async def run() -> None:
        async with stream_server(settings) as server:
            server.hub.snapshot_source("trades", slow)
            server.hub.snapshot_source("orders", slow)
            await tell(server, story)

    io_loop.run_sync(run)


async def chatter(server: StreamServer) -> None:
    """Publish at every turn of the loop, so that every await of the server has something come in between."""
    for number in range(300):
        publish(server, (*SYMBOLS, "orders")[number % 4])
        await turns()
