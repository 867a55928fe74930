"""How messages become bytes: encoded once, framed once, shared by every socket that gets them.

    dict ──encode──> JSON bytes ──Entry──> Batch (one flush of one group) ──frame──> the same bytes to 200 sockets

A frame is RFC 6455's: text, unmasked, as a server sends it. It is made here, and not where the socket is, because
making it once for each socket costs more than all else together. Where compression was agreed on (RFC 7692) each
message is compressed on its own, without what came before: so that too is done once, and costs a socket no memory.
"""

import zlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from qsuite.domain.money import show

if TYPE_CHECKING:
    from qsuite.services.stream.channel import Channel

TEXT, CONTINUATION, FINAL, COMPRESSED = 0x01, 0x00, 0x80, 0x40
# Large enough that headers and system calls vanish, small enough that a slow line shows progress within seconds.
FRAME_BYTES = 65_536
# Below this a message is sent as it is: there is little to gain.
COMPRESS_BYTES = 256
# The fastest level: fifty trades shrink to a seventh. The slowest saves a seventh of that, for three times the time.
COMPRESS_LEVEL = 1


class Entry(NamedTuple):
    """One published message: encoded, numbered, never changed."""

    channel: "Channel"
    seq: int
    data: bytes


class Batch:
    """Messages of one flush for sockets with the same subscriptions, at most about ``FRAME_BYTES`` of them."""

    __slots__ = ("_compressed", "_firsts", "_frame", "entries", "payload")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.payload = b",".join([entry.data for entry in entries])
        self._frame: bytes | None = None
        self._compressed: bytes | None = None
        self._firsts: dict[Channel, int] | None = None

    @property
    def frame(self) -> bytes:
        """Return the whole batch as one frame."""
        if self._frame is None:
            self._frame = text_frame(self.payload)
        return self._frame

    @property
    def compressed(self) -> bytes:
        """Return the same for sockets that take compressed messages."""
        if self._compressed is None:
            self._compressed = text_frame(self.payload, compressed=True)
        return self._compressed

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


def text_frame(payload: bytes, *, compressed: bool = False) -> bytes:
    """Frame encoded messages, joined by commas, as one array."""
    if compressed and len(payload) >= COMPRESS_BYTES:
        data = _compress(b"[%b]" % payload)
        return _header(FINAL | COMPRESSED | TEXT, len(data)) + data
    return b"".join((_header(FINAL | TEXT, len(payload) + 2), b"[", payload, b"]"))


def fragments(payload: bytes, *, compressed: bool = False) -> list[bytes]:
    """Frame one large message as an array in several fragments.

    Control frames may come between them, so that a long snapshot delays no pong and a stuck reader is told from a
    slow one.
    """
    whole = b"[%b]" % payload
    if compressed:
        whole = _compress(whole)
    pieces = [whole[start : start + FRAME_BYTES] for start in range(0, len(whole), FRAME_BYTES)]
    first, last = TEXT | (COMPRESSED if compressed else 0), len(pieces) - 1
    return [
        _header((first if at == 0 else CONTINUATION) | (FINAL if at == last else 0), len(piece)) + piece
        for at, piece in enumerate(pieces)
    ]


def _compress(text: bytes) -> bytes:
    packer = zlib.compressobj(COMPRESS_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]  # the four bytes that section 7.2.1 removes


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")
