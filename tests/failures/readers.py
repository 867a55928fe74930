"""Readers of the stream that hold it to its word while something fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.support.ws import Closed, WsClient

MARKED = ("trade", "quote", "heartbeat")


class Reader:
    """One socket: every number follows the one before, or was led in by a gap with a snapshot."""

    def __init__(self, client: WsClient) -> None:
        self.client = client
        self.messages: list[dict[str, Any]] = []
        self.gaps = 0
        self.silent = 0
        """Numbers that were passed over and nothing said."""
        self._seqs: dict[str, int] = {}

    @property
    def prices(self) -> list[dict[str, Any]]:
        """Return the trades and quotes it was told."""
        return [each for each in self.messages if each["type"] in ("trade", "quote")]

    def now_stale(self) -> bool:
        """Say whether the last price, or the last heartbeat, was marked as stale."""
        told = [each for each in self.messages if each["type"] in MARKED]
        return bool(told) and bool(told[-1].get("stale", False))

    async def read(self) -> None:
        """Read until it is closed."""
        with suppress(Closed):
            while True:
                message = await self.client.receive(timeout_s=60)
                self._check(message)
                self.messages.append(message)

    def _check(self, message: dict[str, Any]) -> None:
        if "seq" not in message:
            return
        channel, seq, kind = message["channel"], message["seq"], message["type"]
        if kind in ("gap", "snapshot"):
            self.gaps += kind == "gap"
        elif seq != self._seqs.get(channel, seq - 1) + 1 + message.get("conflated", 0):
            self.silent += 1
        self._seqs[channel] = seq


@asynccontextmanager
async def reading(port: int, token: str, *channels: str) -> AsyncIterator[Reader]:
    """Subscribe at a process, and read until the end of the block."""
    async with await WsClient.open(port, token=token) as client:
        await client.send({"action": "subscribe", "channels": list(channels)})
        await client.receive_type("subscribed")
        reader = Reader(client)
        task = asyncio.create_task(reader.read())
        try:
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
