"""The WebSocket ``/ws/v1/stream``: who may open it, and the connection under it. What is said is ``stream_session``.

Invariant: a token comes in a header or a message, never in the address; pages of other sites are let in only when
configured. The hub makes ready frames, and they go to the connection as they are, one at a time.
"""

import socket
from asyncio import Future
from typing import Any
from urllib.parse import urlsplit

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from qsuite.domain.errors import Forbidden
from qsuite.domain.roles import ANYONE, Caller
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.operations import operation
from qsuite.handlers.stream_session import StreamSession
from qsuite.services.stream import Subscriber

UPGRADE_REQUIRED = 426
# Tornado cuts the line at its own limit, and its close frame is often lost with it. So it reads somewhat more than
# clients may send, for us to refuse in an orderly way.
READ_FACTOR = 16
# What the kernel buffers for one socket: enough for a fast line, and little for each of many stuck ones.
SEND_BUFFER_BYTES = 131_072


class StreamHandler(ApiHandler, WebSocketHandler):
    """One socket."""

    _who: Caller | None = None
    _subscriber: Subscriber | None = None
    _session: StreamSession | None = None

    @operation(
        "Open the stream (a WebSocket)", roles=ANYONE, returns={101: None}, raises=(UPGRADE_REQUIRED,), tag="stream"
    )
    async def get(self, *args: str, **kwargs: str) -> None:
        """Upgrade, with a bearer token in the header or to be sent in the first message."""
        headers = self.request.headers
        asked = self.request.method == "GET" and headers.get("Upgrade", "").lower() == "websocket"
        if not asked or headers.get("Sec-WebSocket-Version") != "13" or not headers.get("Sec-WebSocket-Key"):
            raise HTTPError(UPGRADE_REQUIRED)
        origin = headers.get("Origin")
        if origin is not None and not self.check_origin(origin):
            raise Forbidden("pages of this origin may not open the stream", code="origin.forbidden")
        self.services.stream.admit()
        header = headers.get("Authorization")
        if header is not None:
            self._who = await self.services.auth.authenticate(header)
        await super().get(*args, **kwargs)

    def check_origin(self, origin: str) -> bool:
        """Say whether a page of this origin may connect: one of ours, or of a configured other site."""
        ours = urlsplit(origin).netloc.lower() == self.request.headers.get("Host", "").lower()
        return ours or origin in self.services.settings.http.cors_origins

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write a problem; one about the upgrade says what to upgrade to."""
        if status_code == UPGRADE_REQUIRED:
            self._headers["Upgrade"] = "websocket"
            self._headers["Sec-WebSocket-Version"] = "13"
        super().write_error(status_code, **kwargs)

    @property
    def max_message_size(self) -> int:
        """Return what Tornado reads at most."""
        return self.services.settings.stream.max_message_bytes * READ_FACTOR

    def open(self, *args: str, **kwargs: str) -> None:
        """Take the socket in."""
        connection = self.ws_connection
        assert isinstance(connection, WebSocketProtocol13)
        connection.stream.set_nodelay(True)
        connection.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        hub = self.services.stream
        self._subscriber = hub.attach(_Wire(self, connection))
        self._session = StreamSession(self.services, self._subscriber)
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
