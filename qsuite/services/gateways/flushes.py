"""What goes through Redis, as bytes: flushes of the process that publishes, and what gateways ask of it.

    flush    one line of JSON, then the messages of its items, as the hub encoded them, one behind the other
             {"epoch", "life", "part", "number", "ts", "gateways", "items": [[owner, name, seq, length] | {ack}, …]}
    ask      one object of JSON

Invariants: within a life and part flushes are numbered without a gap, so that whoever misses one knows; an ack stands
among the messages where it holds: all later ones of its channels follow, none before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from qsuite.services.stream.messages import encode
from qsuite.services.stream.mirror import Key, Message


class Told(NamedTuple):
    """One message of a channel."""

    key: Key
    seq: int
    data: bytes


class Joined(NamedTuple):
    """One channel from a number on, None for a wildcard; ``missed`` are messages up to it that a reader asked for."""

    key: Key
    shown: str
    seq: int | None
    missed: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to an ask; ``states`` are the snapshots of its public channels, by name."""

    gateway: str
    number: int
    channels: Sequence[Joined]
    states: Mapping[str, Sequence[Message]]


Item = Told | Ack


class Session(NamedTuple):
    """Whose flushes belong together: of a life of the publishing process, from its last loss on."""

    epoch: int
    life: int
    part: int


@dataclass(frozen=True, slots=True)
class Flush:
    """What was published between two writes to Redis. ``ts_ns`` by the publisher's clock."""

    session: Session
    number: int
    ts_ns: int
    gateways: Sequence[str]
    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Ask:
    """Channels a gateway wants from now on, and those it wants no more. ``full``: forget what it wanted before."""

    gateway: str
    session: Session
    number: int = 0
    full: bool = False
    wanted: Sequence[tuple[Key, str, int | None]] = ()
    left: Sequence[Key] = ()
    say: tuple[str, dict[str, Any]] | None = None
    """A message for a public channel, which the publisher is to publish."""


# -- flushes --------------------------------------------------------------------------------------------------------


def encode_flush(flush: Flush) -> bytes:
    """Write a flush."""
    body: list[bytes] = []
    items = [_told(item, body) if isinstance(item, Told) else _ack(item, body) for item in flush.items]
    head = {
        **flush.session._asdict(),
        "number": flush.number,
        "ts": flush.ts_ns,
        "gateways": flush.gateways,
        "items": items,
    }
    return b"".join((encode(head), b"\n", *body))


def _told(told: Told, body: list[bytes]) -> list[Any]:
    body.append(told.data)
    return [_owner(told.key), told.key[1], told.seq, len(told.data)]


def _ack(ack: Ack, body: list[bytes]) -> dict[str, Any]:
    channels = []
    for joined in ack.channels:
        body.extend(joined.missed)
        lengths = [len(data) for data in joined.missed]
        channels.append([_owner(joined.key), joined.key[1], joined.shown, joined.seq, lengths])
    return {"gateway": ack.gateway, "number": ack.number, "channels": channels, "states": ack.states}


def decode_flush(data: bytes) -> Flush:
    """Read a flush."""
    end = data.index(b"\n")
    head = orjson.loads(data[:end])
    rest = _Rest(data, end + 1)
    items = [_read_told(item, rest) if isinstance(item, list) else _read_ack(item, rest) for item in head["items"]]
    session = Session(head["epoch"], head["life"], head["part"])
    return Flush(session, head["number"], head["ts"], head["gateways"], items)


class _Rest:
    """The messages of a flush, cut off one after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def cut(self, length: int) -> bytes:
        """Return the next message."""
        start, self._at = self._at, self._at + length
        return self._data[start : self._at]


def _read_told(item: list[Any], rest: _Rest) -> Told:
    owner, name, seq, length = item
    return Told((None if owner is None else UUID(owner), name), seq, rest.cut(length))


def _read_ack(item: dict[str, Any], rest: _Rest) -> Ack:
    channels = [
        Joined(_key(owner, name), shown, seq, [rest.cut(length) for length in lengths])
        for owner, name, shown, seq, lengths in item["channels"]
    ]
    return Ack(item["gateway"], item["number"], channels, item["states"])


# -- asks -----------------------------------------------------------------------------------------------------------


def encode_ask(ask: Ask) -> bytes:
    """Write an ask."""
    told: dict[str, Any] = {"gateway": ask.gateway, **ask.session._asdict(), "number": ask.number, "full": ask.full}
    told["wanted"] = [[_owner(key), key[1], shown, since] for key, shown, since in ask.wanted]
    told["left"] = [[_owner(key), key[1]] for key in ask.left]
    told["say"] = ask.say
    return encode(told)


def decode_ask(data: bytes) -> Ask:
    """Read an ask."""
    told = orjson.loads(data)
    return Ask(
        gateway=told["gateway"],
        session=Session(told["epoch"], told["life"], told["part"]),
        number=told["number"],
        full=told["full"],
        wanted=[(_key(owner, name), shown, since) for owner, name, shown, since in told["wanted"]],
        left=[_key(owner, name) for owner, name in told["left"]],
        say=None if told["say"] is None else (told["say"][0], told["say"][1]),
    )


def _owner(key: Key) -> str | None:
    return None if key[0] is None else key[0].hex


def _key(owner: str | None, name: str) -> Key:
    return (None if owner is None else UUID(owner)), name
