"""How messages become bytes: encoded once, framed once, shared by every socket that gets them.

    dict ──encode──> JSON bytes ──Entry──> Batch (one flush of one group) ──frame──> the same bytes to 200 sockets

A frame is RFC 6455's: text, unmasked, as a server sends it. It is made here, and not where the socket is, because
making it once for each socket costs more than all else together.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from qsuite.domain.money import show

if TYPE_CHECKING:
    from qsuite.services.stream.channel import Channel

TEXT, CONTINUATION, FINAL = 0x01, 0x00, 0x80
# Large enough that headers and system calls vanish, small enough that a slow line shows progress within seconds.
FRAME_BYTES = 65_536


class Entry(NamedTuple):
    """One published message: encoded, numbered, never changed."""

    channel: "Channel"
    seq: int
    data: bytes


class Batch:
    """Messages of one flush for sockets with the same subscriptions, at most about ``FRAME_BYTES`` of them."""

    __slots__ = ("_firsts", "_frame", "entries", "payload")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.payload = b",".join([entry.data for entry in entries])
        self._frame: bytes | None = None
        self._firsts: dict[Channel, int] | None = None

    @property
    def frame(self) -> bytes:
        """Return the whole batch as one frame."""
        if self._frame is None:
            self._frame = text_frame(self.payload)
        return self._frame

    @property
    def firsts(self) -> "dict[Channel, int]":
        """Return the first number it holds of each channel; asked for only when a reader falls behind."""
        if self._firsts is None:
            self._firsts = {entry.channel: entry.seq for entry in reversed(self.entries)}
        return self._firsts


def encode(message: Mapping[str, Any]) -> bytes:
    """Write one message as JSON; decimals become strings."""
    return orjson.dumps(message, default=_encode_other)


def _encode_other(value: Any) -> str:
    if isinstance(value, Decimal):
        return show(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def conflated(data: bytes, replaced: int) -> bytes:
    """Return an encoded message that says how many earlier ones of its channel it stands for."""
    return b'%b,"conflated":%d}' % (data[:-1], replaced) if replaced else data


def text_frame(payload: bytes) -> bytes:
    """Frame encoded messages, joined by commas, as one array."""
    return b"".join((_header(FINAL | TEXT, len(payload) + 2), b"[", payload, b"]"))


def fragments(payload: bytes) -> list[bytes]:
    """Frame one large message as an array in several fragments.

    Control frames may come between them, so that a long snapshot delays no pong and a stuck reader is told from a
    slow one.
    """
    whole = b"[%b]" % payload
    pieces = [whole[start : start + FRAME_BYTES] for start in range(0, len(whole), FRAME_BYTES)]
    last = len(pieces) - 1
    return [
        _header((TEXT if at == 0 else CONTINUATION) | (FINAL if at == last else 0), len(piece)) + piece
        for at, piece in enumerate(pieces)
    ]


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")
