"""Stuck readers beside healthy ones under a market that moves: what each holds, and that nobody else misses anything.

The whole minute with a hundred and two hundred of them, in processes of their own, is ``tests/soak``.
"""

import tracemalloc
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from qsuite.settings import Settings
from tests.support.stream import ANNA, BERT, StreamServer, stream_server
from tests.support.ws import WsClient

STUCK, HEALTHY, ROUNDS = 8, 16, 60
SYMBOLS = [f"S{number}" for number in range(10)]
CHANNELS = [*(f"trades:{symbol}" for symbol in SYMBOLS), "orders"]
QUEUE_BYTES = 131_072
TEXT = "x" * 2_000
# What a stuck reader may hold: prices up to the limit, all its orders, and the frame that the connection has.
STUCK_BYTES_MAX = QUEUE_BYTES + ROUNDS * 2_200 + 2 * 65_536
# What the channels keep for everybody together: each message once.
KEPT_BYTES = ROUNDS * (len(SYMBOLS) + 2) * 2_400
ANNAS, BERTS = ANNA.accounts[0], BERT.accounts[0]


def move(server: StreamServer, number: int) -> None:
    """Publish what one turn of a busy market brings."""
    for symbol in SYMBOLS:
        server.hub.publish(f"trades:{symbol}", {"type": "trade", "number": number, "text": TEXT})
    for account in (ANNAS, BERTS):
        server.hub.publish_private(account, "orders", {"type": "order", "number": number, "text": TEXT})


def of_channel(messages: Iterable[Mapping[str, Any]], channel: str) -> list[int]:
    return [message["number"] for message in messages if message.get("channel") == channel and "number" in message]


async def test_stuck_readers_hold_little_and_others_miss_nothing(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(stream_server(settings, queue_bytes=QUEUE_BYTES, stuck_s=1e9))

        async def reader(token: str, **given: Any) -> WsClient:
            return await stack.enter_async_context(await server.subscribed(token, "trades:*", "orders", **given))

        stuck = [await reader("anna", receive_buffer=4096) for _ in range(STUCK)]
        healthy = [await reader("bert") for _ in range(HEALTHY)]
        seen: list[list[dict[str, Any]]] = [[] for _ in healthy]
        grown = await move_on(server, list(zip(healthy, seen, strict=True)))
        assert grown < KEPT_BYTES + STUCK * STUCK_BYTES_MAX
        assert all(one.outbox.behind for one in server.hub.sockets if one.caller == ANNA), "every one of them is stuck"
        for messages in seen:
            assert not any("conflated" in message for message in messages)
            for channel in CHANNELS:
                assert of_channel(messages, channel) == list(range(ROUNDS))
        for client in stuck:
            check_late(await read_all(client))
        assert server.hub.counters.dropped == 0


async def move_on(server: StreamServer, healthy: Sequence[tuple[WsClient, list[dict[str, Any]]]]) -> int:
    """Let the market move, as fast as the healthy read; return by how many bytes our memory has grown."""
    stuck = [one for one in server.hub.sockets if one.caller == ANNA]
    tracemalloc.start()
    try:
        for number in range(ROUNDS):
            move(server, number)
            for client, seen in healthy:
                seen += await client.receive_some(len(CHANNELS))
            assert max(one.outbox.unsent for one in stuck) <= STUCK_BYTES_MAX
        ours = [tracemalloc.Filter(inclusive=True, filename_pattern=f"*/{name}/*") for name in ("qsuite", "tornado")]
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ours).traces)
    finally:
        tracemalloc.stop()


async def read_all(client: WsClient) -> list[dict[str, Any]]:
    """Read until the last order and the last price of every symbol have come."""
    messages: list[dict[str, Any]] = []
    left = set(CHANNELS)
    while left:
        messages.append(await client.receive())
        if messages[-1].get("number") == ROUNDS - 1:
            left.discard(messages[-1]["channel"])
    return messages


def check_late(messages: Sequence[Mapping[str, Any]]) -> None:
    """See what waited for a stuck reader: all its orders, the newest prices, and every other one counted."""
    assert of_channel(messages, "orders") == list(range(ROUNDS)), "one's own orders are never conflated"
    for symbol in SYMBOLS:
        trades = [message for message in messages if message.get("channel") == f"trades:{symbol}"]
        assert trades[-1]["number"] == ROUNDS - 1
        assert sum(1 + trade.get("conflated", 0) for trade in trades if "number" in trade) == ROUNDS
