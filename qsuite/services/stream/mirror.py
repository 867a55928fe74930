"""What a gateway knows of the streams of the process that publishes: how far each is, and what its market shows.

    ack ──> seqs, states ──┐
    entry ─────────────────┴──> snapshot of a public channel, exactly as of its number

A reader that subscribes here gets a snapshot and then what follows it. This process's own market lags behind by what
storing a tick takes, so for prices the snapshot is made of the messages themselves. Orders and the like are read from
the database, which had them before they were published. Invariant: a state holds all up to the channel's number.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from qsuite.domain.channels import ChannelName, parse_channel
from qsuite.services.stream.names import wildcard_of

Key = tuple[UUID | None, str]
"""Names a channel: its owner, or None for a public one, and its name without an account."""
Message = dict[str, Any]
NEWEST = ("trades", "quotes", "bars")
DEPTH = "depth"
FINAL = b'"final":true'
SIDES = ("bids", "asks")


class Mirror:
    """Numbers and states by channel. ``joined`` are the channels and wildcards that the publisher sends."""

    def __init__(self) -> None:
        self.seqs: dict[Key, int] = {}
        self.joined: set[Key] = set()
        self._newest: dict[str, bytes | Message] = {}
        self._depths: dict[str, Depth] = {}

    def join(self, key: Key, seq: int | None) -> None:
        """Note that a channel is sent from a number on; a wildcard has none."""
        self.joined.add(key)
        if seq is not None:
            self.seqs[key] = seq

    def leave(self, key: Key) -> None:
        """Forget a channel, or a wildcard and all it alone stood for."""
        self.joined.discard(key)
        for alone in [each for each in self.seqs if not self.follows(each)]:
            self._drop(alone)

    def _drop(self, key: Key) -> None:
        self.seqs.pop(key, None)
        if key[0] is None:
            self._newest.pop(key[1], None)
            self._depths.pop(key[1], None)

    def follows(self, key: Key) -> bool:
        """Say whether a channel's messages are of interest: it is joined, or a wildcard that stands for it is."""
        return key in self.joined or (key[0] is None and (None, wildcard_of(key[1])) in self.joined)

    # -- states ---------------------------------------------------------------------------------------------------

    def show(self, kind: str, messages: Sequence[Message]) -> None:
        """Take the publisher's snapshot of a channel or wildcard."""
        for message in messages:
            channel = f"{kind}:{message['symbol']}"
            if kind == DEPTH:
                self._depths[channel] = Depth(message)
            else:
                self._newest[channel] = message

    def note(self, key: Key, seq: int, data: bytes) -> None:
        """Take the next message of a channel."""
        self.seqs[key] = seq
        if key[0] is not None:
            return
        kind = key[1].partition(":")[0]
        if kind == DEPTH:
            depth = self._depths.get(key[1])
            message = orjson.loads(data)
            if depth is None or message["full"]:
                self._depths[key[1]] = Depth(message)
            else:
                depth.change(message)
        elif kind in NEWEST:
            self._newest[key[1]] = data

    def shows(self, name: ChannelName) -> bool:
        """Say whether snapshots of a kind come from here."""
        return not name.private and name.kind.partition(":")[0] in (*NEWEST, DEPTH)

    def snapshot(self, name: ChannelName) -> list[Message]:
        """Return what a channel, or all that a wildcard stands for, show now."""
        found = self._depths if name.kind == DEPTH else self._newest
        names = [name.name]
        if name.is_wildcard:
            names = sorted(each for each in found if wildcard_of(each) == name.name)
        shown = (self._shown(each) for each in names)
        return [message for message in shown if message is not None]

    def depth(self, channel: str) -> Message:
        """Return all levels of a depth channel."""
        depth = self._depths.get(channel)
        return Depth.empty(parse_channel(channel).symbol) if depth is None else depth.message()

    def _shown(self, channel: str) -> Message | None:
        if channel in self._depths:
            return self._depths[channel].message()
        newest = self._newest.get(channel)
        if isinstance(newest, bytes):
            if FINAL in newest:  # a bar that is over: the next one has not begun
                return None
            newest = {name: value for name, value in orjson.loads(newest).items() if name not in ("channel", "seq")}
        return newest


class Depth:
    """The levels of one symbol, folded from messages that tell of changes."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._symbol = whole["symbol"]
        self._ts = whole["ts"]
        self._levels: dict[str, dict[str, Any]] = {}
        for side in SIDES:
            self._levels[side] = {level[0]: level for level in whole[side] if level[1] != "0"}

    def change(self, message: Mapping[str, Any]) -> None:
        """Take changed levels; a quantity of 0 takes one away."""
        self._ts = message["ts"]
        for side in SIDES:
            levels = self._levels[side]
            for level in message[side]:
                if level[1] == "0":
                    levels.pop(level[0], None)
                else:
                    levels[level[0]] = level

    def message(self) -> Message:
        """Show all levels, best first."""
        bids, asks = (sorted(self._levels[side].values(), key=lambda level: Decimal(level[0])) for side in SIDES)
        shown = {"bids": bids[::-1], "asks": asks}
        return {"type": "depth", "ts": self._ts, "symbol": self._symbol, "full": True, **shown}

    @staticmethod
    def empty(symbol: str) -> Message:
        """Show a market without levels; it has no time."""
        return {"type": "depth", "ts": None, "symbol": symbol, "full": True, "bids": [], "asks": []}
