"""Read a WebSocket's frames as RFC 6455 has them, and say why one cannot be read before hanging up.

Tornado takes unmasked frames, any close code and any length encoding, and cuts the line without a word on what it does
refuse; its close frame for a long message is often lost with the line. This reader keeps Tornado's connection, its
writing and its closing, and reads in its place.

    frame ──> header ──> payload ──┬──> control: ping, pong, close
      └── breaks a rule            └──> data, put together from its fragments ──> handler
             └──> close frame with 1002, 1007 or 1009, then what still comes is read and thrown away

Invariant: nothing of a message is acted upon before all its frames were found in order, and no more than ``limit``
bytes of it are ever held.
"""

import socket
import zlib
from asyncio import Future
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from tornado.util import _websocket_mask
from tornado.websocket import WebSocketHandler, WebSocketProtocol13, _WebSocketParams

from qsuite.handlers.compression import inflate

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
PROTOCOL_ERROR, BAD_DATA, TOO_BIG = 1002, 1007, 1009
# Section 7.4 and the registry it set up: the codes that a close frame may carry.
CLOSE_CODES = frozenset((*range(1000, 1004), *range(1007, 1015)))
PRIVATE_CODES = range(3000, 5000)
CONTROL_MAX = 125
DISCARD_BYTES = 65_536


class Violation(Exception):
    """A frame that ends the connection: the code to close with, and a word for the client and the metrics."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Header(NamedTuple):
    """What comes before a payload."""

    final: bool
    opcode: int
    length: int
    compressed: bool

    @property
    def control(self) -> bool:
        """Say whether it is of a ping, a pong or a close."""
        return self.opcode >= CLOSE


class FrameReader(WebSocketProtocol13):
    """Tornado's server side of a connection, with a strict reader. ``violated`` must close with what it is given."""

    def __init__(
        self, handler: WebSocketHandler, *, limit: int, compressed: bool, violated: Callable[[int, str], None]
    ) -> None:
        super().__init__(handler, False, _WebSocketParams(max_message_size=limit))
        self._limit = limit
        self._may_compress = compressed
        self._violated = violated
        self._failed = False
        self._opcode = CONTINUATION
        self._compressed = False
        """Both of the message whose fragments are being read."""
        self._message: bytearray | None = None

    async def _receive_frame(self) -> None:
        if self._failed:
            self._wire_bytes_in += len(await self.stream.read_bytes(DISCARD_BYTES, partial=True))
            return
        try:
            header = await self._read_header()
            payload = _websocket_mask(await self._read_bytes(4), await self._read_bytes(header.length))
            handled = self._take(header, payload)
        except Violation as violation:
            self._fail(violation)
            return
        if handled is not None:
            await handled

    # -- one frame --------------------------------------------------------------------------------------------------

    async def _read_header(self) -> Header:
        first, second = await self._read_bytes(2)
        header = Header(
            bool(first & self.FIN),
            first & self.OPCODE_MASK,
            second & 0x7F,
            self._may_compress and bool(first & self.RSV1),
        )
        if header.opcode not in OPCODES:
            raise Violation(PROTOCOL_ERROR, "unknown_opcode")
        compressible = self._may_compress and header.opcode in (TEXT, BINARY)  # said once, by the first of its frames
        if first & self.RSV_MASK & ~(self.RSV1 if compressible else 0):
            raise Violation(PROTOCOL_ERROR, "reserved_bits")
        if not second & 0x80:
            raise Violation(PROTOCOL_ERROR, "unmasked")
        if header.control:
            if not header.final or header.length > CONTROL_MAX:
                raise Violation(PROTOCOL_ERROR, "bad_control_frame")
            return header
        if (header.opcode == CONTINUATION) is (self._message is None):
            raise Violation(PROTOCOL_ERROR, "bad_fragment")
        header = header._replace(length=await self._read_length(header.length))
        if header.length + len(self._message or b"") > self._limit:
            raise Violation(TOO_BIG, "too_large")
        return header

    async def _read_length(self, short: int) -> int:
        if short <= CONTROL_MAX:
            return short
        wide = short == 127
        length = int.from_bytes(await self._read_bytes(8 if wide else 2), "big")
        if length <= (0xFFFF if wide else CONTROL_MAX) or length >> 63:
            raise Violation(PROTOCOL_ERROR, "bad_length")
        return length

    def _take(self, header: Header, payload: bytes) -> "Future[None] | None":
        if header.opcode == CLOSE:
            _check_close(payload)
        elif self.server_terminated:  # we closed: all that is waited for is the other side's close
            return None
        if header.control:
            return self._handle_message(header.opcode, payload)
        return self._take_data(header, payload)

    def _take_data(self, header: Header, payload: bytes) -> "Future[None] | None":
        if self._message is not None:
            self._message += payload
            payload = bytes(self._message) if header.final else b""
        else:
            self._opcode, self._compressed = header.opcode, header.compressed
            if not header.final:
                self._message = bytearray(payload)
        if not header.final:
            return None
        self._message = None
        if self._compressed:
            payload = self._inflate(payload)
        text = _decode(payload) if self._opcode == TEXT else payload
        return self._run_callback(self.handler.on_message, text)

    def _inflate(self, payload: bytes) -> bytes:
        try:
            inflated = inflate(payload, self._limit)
        except zlib.error:
            raise Violation(BAD_DATA, "bad_compression") from None
        if inflated is None:
            raise Violation(TOO_BIG, "too_large")
        return inflated

    # -- failing ----------------------------------------------------------------------------------------------------

    def _fail(self, violation: Violation) -> None:
        """Say what is wrong and that nothing follows; Tornado cuts the line when the client has not in five seconds.

        To cut it at once would make the kernel throw away what the client has not read yet, the reason above all.
        """
        if self.server_terminated:
            self._abort()
            return
        self._failed = True
        self._message = None
        self._violated(violation.code, violation.reason)
        if not self.stream.closed():
            self.stream.write(b"").add_done_callback(self._end_writing)

    def _end_writing(self, written: "Future[None]") -> None:
        if not written.cancelled() and written.exception() is None and not self.stream.closed():
            with suppress(OSError):  # the other side is gone already
                self.stream.socket.shutdown(socket.SHUT_WR)


def _check_close(payload: bytes) -> None:
    """Check the code and the reason of a close frame; both may be missing."""
    code = int.from_bytes(payload[:2], "big")
    if payload and (len(payload) == 1 or (code not in CLOSE_CODES and code not in PRIVATE_CODES)):
        raise Violation(PROTOCOL_ERROR, "bad_close_code")
    _decode(payload[2:])


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Violation(BAD_DATA, "bad_utf8") from None
