"""The WebSocket ``/ws/v1/stream``: who may open it, and the connection under it. What is said is ``stream_session``.

Invariant: a token comes in a header or a message, never in the address; pages of other sites are let in only when
configured. The hub makes ready frames, and they go to the connection as they are, one at a time; what clients send is
read by ``frames``.
"""

import base64
import binascii
import socket
from asyncio import Future
from typing import Any

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from qsuite.domain.errors import Forbidden, Malformed
from qsuite.domain.roles import ANYONE, Caller
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.compression import AGREED, offered
from qsuite.handlers.frames import FrameReader
from qsuite.handlers.operations import operation
from qsuite.handlers.stream_session import StreamSession
from qsuite.services.stream import Subscriber

UPGRADE_REQUIRED = 426
KEY_BYTES = 16
# What the kernel buffers for one socket: enough for a fast line, and little for each of many stuck ones.
SEND_BUFFER_BYTES = 131_072


class StreamHandler(ApiHandler, WebSocketHandler):
    """One socket."""

    traced = False
    _who: Caller | None = None
    _compressed = False
    _subscriber: Subscriber | None = None
    _session: StreamSession | None = None

    @operation(
        "Open the stream (a WebSocket)", roles=ANYONE, returns={101: None}, raises=(UPGRADE_REQUIRED,), tag="stream"
    )
    async def get(self, *args: str, **kwargs: str) -> None:
        """Upgrade, with a bearer token in the header or to be sent in the first message."""
        headers = self.request.headers
        self._check_handshake(headers)
        origin = headers.get("Origin")
        if origin is not None and not self.check_origin(origin):
            raise Forbidden("pages of this origin may not open the stream", code="origin.forbidden")
        self.services.stream.admit()
        header = headers.get("Authorization")
        if header is not None:
            self._who = await self.services.auth.authenticate(header)
            if self._who.limits is not None:
                self._who.limits.require_address(self.request.remote_ip or "")
        if self.services.settings.stream.compression and offered(headers.get("Sec-WebSocket-Extensions", "")):
            self._compressed = True
            self.set_header("Sec-WebSocket-Extensions", AGREED)
        await super().get(*args, **kwargs)

    def _check_handshake(self, headers: HTTPHeaders) -> None:
        """Refuse what RFC 6455, 4.2.1 does not call a handshake."""
        asked = self.request.method == "GET" and self.request.version == "HTTP/1.1"
        asked = asked and headers.get("Upgrade", "").lower() == "websocket"
        asked = asked and "upgrade" in [token.strip().lower() for token in headers.get("Connection", "").split(",")]
        key = headers.get("Sec-WebSocket-Key")
        if not asked or headers.get("Sec-WebSocket-Version") != "13" or not key:
            raise HTTPError(UPGRADE_REQUIRED)
        try:
            random = base64.b64decode(key, validate=True)
        except binascii.Error:
            random = b""
        if len(random) != KEY_BYTES:
            raise Malformed("Sec-WebSocket-Key is 16 bytes in base64")

    def check_origin(self, origin: str) -> bool:
        """Say whether a page of this origin may connect: one of ours, or of a configured other site."""
        host = self.request.headers.get("Host", "").lower()
        # Compared whole: to take an origin apart invites whoever writes one that comes apart another way.
        ours = host != "" and origin.lower() in (f"http://{host}", f"https://{host}")
        return ours or origin in self.services.settings.http.cors_origins

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write a problem; one about the upgrade says what to upgrade to."""
        if status_code == UPGRADE_REQUIRED:
            self._headers["Upgrade"] = "websocket"
            self._headers["Sec-WebSocket-Version"] = "13"
        super().write_error(status_code, **kwargs)

    def get_websocket_protocol(self) -> FrameReader:
        """Read frames in our own way."""
        limit = self.services.settings.stream.max_message_bytes
        if self.forwarded is not None:  # numbers were written as text on their way
            limit *= 2
        return FrameReader(self, limit=limit, compressed=self._compressed, violated=self._violated)

    def _violated(self, code: int, reason: str) -> None:
        assert self._subscriber is not None
        self.services.stream.close(self._subscriber, code, reason, last_words=True)

    def open(self, *args: str, **kwargs: str) -> None:
        """Take the socket in."""
        connection = self.ws_connection
        assert isinstance(connection, WebSocketProtocol13)
        connection.stream.set_nodelay(True)
        connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        hub = self.services.stream
        self._subscriber = hub.attach(_Wire(self, connection), compressed=self._compressed)
        # What another process sent on is done here, or refused: never sent on again.
        forward = self.application.forward if self.forwarded is None else None
        self._session = StreamSession(self.services, self._subscriber, self.request.remote_ip or "", forward)
        if self._who is not None:
            hub.identify(self._subscriber, self._who, self.request.headers["Authorization"])

    async def on_message(self, message: str | bytes) -> None:
        """Hear a message; Tornado reads the next one when this one is done."""
        assert self._session is not None
        await self._session.hear(message)

    def on_close(self) -> None:
        """Forget the socket. Orders it sent go on, unless it asked that they be cancelled."""
        if self._session is not None:
            self._session.left()
        if self._subscriber is not None:
            self.services.stream.detach(self._subscriber)


class _Wire:
    """The connection as the hub needs it."""

    __slots__ = ("_connection", "_handler")

    def __init__(self, handler: StreamHandler, connection: WebSocketProtocol13) -> None:
        self._handler = handler
        self._connection = connection

    def write(self, frame: bytes) -> "Future[None]":
        """Hand over a frame; the future is done when the kernel took it all."""
        try:
            if self._connection.is_closing():
                raise StreamClosedError
            return self._connection.stream.write(frame)
        except StreamClosedError as error:
            gone: Future[None] = Future()
            gone.set_exception(error)
            gone.exception()  # seen: a client that left is not an error
            return gone

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; Tornado ends the connection when the client answers or five seconds have passed."""
        self._handler.close(code, reason)


routes = [(r"/ws/v1/stream/?", StreamHandler)]
