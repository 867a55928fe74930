"""Readers of a stream that hold it to its word, wherever they read it.

Each folds what it is told, the newest message of a thing being what it is, and notes as a fault whatever was not
announced: a number that is not the next one and was not led in by a gap. All of them share one memory of what each
number of a channel meant: on every process, in every life, it must mean the same message.
"""

import asyncio
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.support.ws import Closed, Refused, WsClient

CHANNELS = {"orders": "id", "executions": "id", "positions": "symbol", "account": "id"}
LOST = (Closed, Refused, OSError, asyncio.IncompleteReadError, TimeoutError)


@dataclass
class Meanings:
    """What every number meant, and what went wrong."""

    token: str = ""
    by_number: dict[tuple[str, int], str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    shared: int = 0
    """Messages that more than one reader got."""
    seen: Counter[str] = field(default_factory=Counter)

    def note(self, reader: str, message: dict[str, Any]) -> None:
        """Compare a message with what others got under its number."""
        number = message["channel"], message["seq"]
        text = json.dumps(message, sort_keys=True)
        known = self.by_number.setdefault(number, text)
        if known is not text:
            self.shared += 1
        if known != text:
            self.faults.append(f"{reader}: {number} is {text} and was {known}")


class Fold:
    """A reader of some channels; it comes back whenever it is cut off, and says what it had."""

    def __init__(self, name: str, ports: list[int], channels: list[str], meanings: Meanings) -> None:
        self.name = name
        self.channels = channels
        self.seqs: dict[str, int] = {}
        self.things: dict[str, dict[str, dict[str, Any]]] = {}
        self.lost = ""
        self.gaps = 0
        self.resumed = 0
        """How often it came back to what it had missed, without a gap."""
        self.subscriptions = 0
        self._ports = itertools.cycle(ports)
        self._meanings = meanings
        self._awaited: set[str] = set()
        self._due: set[str] = set()
        self._socket: WsClient | None = None
        self._task = asyncio.create_task(self._keep())

    @property
    def ready(self) -> bool:
        """Say whether it got all snapshots that it waits for."""
        return self._socket is not None and not self._due and not self._awaited

    @property
    def waits(self) -> str:
        """Say what it waits for."""
        what = f"snapshots of {sorted(self._due | self._awaited)}" if self._socket is not None else "a connection"
        return f"{self.name} waits for {what}, after {self.lost}"

    async def move(self) -> None:
        """Leave the process it is at, for the next one."""
        assert self._socket is not None
        socket, self._socket = self._socket, None
        await socket.abort()

    async def end(self) -> None:
        """Stop reading."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            try:
                async with await WsClient.open(next(self._ports), token=self._meanings.token) as socket:
                    await self._read(socket)
            except LOST as lost:
                self.lost = f"{type(lost).__name__} {lost}"
            self._socket = None
            await asyncio.sleep(0.05)

    async def _read(self, socket: WsClient) -> None:
        asked = {"action": "subscribe", "channels": self.channels, "since": dict(self.seqs)}
        self._due = {name for name in self.channels if not self._known(name)}
        self._awaited.clear()
        gaps = self.gaps
        await socket.send(asked)
        await socket.receive_until(self._agreed)
        self.subscriptions += 1
        self._socket = socket
        resuming = bool(self.seqs)
        while True:
            message = await socket.receive(timeout_s=60)
            self._meanings.seen[message["type"]] += 1
            if resuming and "seq" in message and message["type"] != "gap" and self.gaps == gaps:
                self.resumed += message["type"] != "snapshot"
                resuming = False
            self._hear(message)

    def _agreed(self, message: dict[str, Any]) -> bool:
        if message["type"] == "error":
            self._meanings.faults.append(f"{self.name}: {message}")
        return bool(message["type"] == "subscribed")

    def _known(self, name: str) -> bool:
        return any(channel == name or channel.startswith(name.removesuffix("*")) for channel in self.seqs)

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "gap":
            self.gaps += 1
            self.seqs[message["channel"]] = message["seq"]
            self._awaited.add(message["channel"])
        elif message["type"] == "snapshot":
            self._take(message)
        elif "seq" in message:
            self._fold(message)
        elif message["type"] == "error":
            self._meanings.faults.append(f"{self.name}: {message}")

    def _take(self, message: dict[str, Any]) -> None:
        name = message["channel"]
        self._due.discard(name)
        seqs = message.get("seqs", {name: message["seq"]})
        for channel, seq in seqs.items():
            known = self.seqs.get(channel)
            if known is not None and known != seq:
                self._meanings.faults.append(f"{self.name}: a snapshot of {channel} at {seq} after {known}, no gap")
            self.seqs[channel] = seq
            self._awaited.discard(channel)
        key = CHANNELS.get(name)
        if key is None:
            for each in message["data"]:
                self.things.setdefault(f"{name.partition(':')[0]}", {})[each["symbol"]] = each
        else:
            self.things[name] = {each[key]: each for each in message["data"]}

    def _fold(self, message: dict[str, Any]) -> None:
        channel, seq = message["channel"], message["seq"]
        known = self.seqs.get(channel)
        if known is not None and seq != known + 1 + message.get("conflated", 0):
            self._meanings.faults.append(f"{self.name}: {channel} {seq} after {known}, nothing said")
        if channel in self._awaited:
            self._meanings.faults.append(f"{self.name}: {channel} {seq} between a gap and its snapshot")
        self.seqs[channel] = seq
        if "conflated" not in message:
            self._meanings.note(self.name, message)
        kind = channel.partition(":")[0]
        self.things.setdefault(kind, {})[message[CHANNELS.get(kind, "symbol")]] = message
