"""The stream for those who cannot speak WebSocket, such as ``curl -N``: the same messages as server-sent events.

One ``data:`` line holds one frame of the stream, a JSON array. The hub below is the same, so are the channels, who may
hear them, the bounded queue, and what becomes of a slow reader.

    curl -sN 'http://127.0.0.1:8000/api/v1/stream/?channels=trades:IBM,orders' -H "Authorization: Bearer $TOKEN"
"""

import asyncio
from asyncio import Future

import orjson
from marshmallow import Schema, fields, validate
from tornado.iostream import StreamClosedError

from qsuite.domain.channels import parse_channel
from qsuite.domain.errors import NotFound
from qsuite.domain.roles import EVERY_ROLE
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.operations import operation
from qsuite.services.stream import Subscriber

MEDIA = "text/event-stream"
MAX_CHANNELS_TEXT = 8_192


class ChannelsSchema(Schema):
    """Which channels, comma separated."""

    channels = fields.String(required=True, validate=validate.Length(min=1, max=MAX_CHANNELS_TEXT))


class EventsHandler(ApiHandler):
    """``/api/v1/stream/``."""

    lasting = True
    traced = False
    _subscriber: Subscriber | None = None
    _wire: "EventWire | None" = None

    @operation(
        "Watch channels as server-sent events, each a JSON array as on the WebSocket",
        roles=EVERY_ROLE,
        query=ChannelsSchema(),
        returns={200: MEDIA},
        raises=(404,),
        tag="stream",
    )
    async def get(self) -> None:
        """Send snapshots, then what happens, until one side leaves."""
        names = [name.strip() for name in self.query["channels"].split(",")]
        _refuse_unknown(names)
        hub = self.services.stream
        hub.admit()
        self.set_header("Content-Type", MEDIA)
        self.set_header("X-Accel-Buffering", "no")  # proxies of nginx's kind would keep it back to fill a buffer
        wire = self._wire = EventWire(self)
        subscriber = self._subscriber = hub.attach(wire)
        hub.identify(subscriber, self.caller, self.request.headers["Authorization"])
        for name, error in await hub.subscriptions.start(subscriber, names, {}):
            subscriber.send({"type": "error", "channel": name, "code": error.code, "detail": error.detail})
        await wire.closed

    def on_connection_close(self) -> None:
        """Forget a reader that left."""
        super().on_connection_close()
        if self._subscriber is not None and self._wire is not None:
            self.services.stream.detach(self._subscriber)
            self._wire.end()


class EventWire:
    """The connection as the hub needs it. The hub brings WebSocket frames: their payload is unpacked from them."""

    def __init__(self, handler: EventsHandler) -> None:
        self._handler = handler
        self.closed: Future[None] = asyncio.get_running_loop().create_future()

    def write(self, frame: bytes) -> "Future[None]":
        """Write one frame, or one fragment of one, as an event; the future is done when the kernel took it."""
        if self.closed.done():
            gone: Future[None] = Future()
            gone.set_exception(StreamClosedError())
            gone.exception()  # seen: a client that left is not an error
            return gone
        self._handler.write(event(frame))
        return self._handler.flush()

    def close(self, code: int, reason: str) -> None:
        """Say why, and end the answer."""
        if not self.closed.done():
            self._handler.write(b"event: close\ndata: %b\n\n" % orjson.dumps({"code": code, "reason": reason}))
            self._handler.finish()
            self.end()

    def end(self) -> None:
        """Let the handler return."""
        if not self.closed.done():
            self.closed.set_result(None)


def event(frame: bytes) -> bytes:
    """Turn an unmasked text frame (RFC 6455 section 5.2) into a part of an event stream.

    The first fragment opens a ``data:`` line, the final one ends it; JSON as we write it has no line ends of its own.
    """
    head = {126: 4, 127: 10}.get(frame[1], 2)
    opens, ends = frame[0] & 0x0F != 0, frame[0] & 0x80
    return b"%b%b%b" % (b"data: " if opens else b"", frame[head:], b"\n\n" if ends else b"")


def _refuse_unknown(names: list[str]) -> None:
    for name in names:
        try:
            parse_channel(name)
        except ValueError:
            raise NotFound(f"there is no channel {name[:100]}", code="channel.unknown") from None


routes = [(r"/api/v1/stream/?", EventsHandler)]
