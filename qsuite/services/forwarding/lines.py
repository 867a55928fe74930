"""Kept-alive HTTP/1.1 connections to one process, so many at most: whole requests out, whole answers in.

Both sides are QSuite's, so answers have a length and are held in memory; anything else breaks the connection.

Invariant: whoever asks gets the answer to their own request, or learns whether it can have been read: ``NotSent`` or
``Broken``.
"""

import asyncio
import ssl
import time
from typing import NamedTuple
from urllib.parse import urlsplit

HEAD_MAX = 65_536
ANSWER_MAX = 67_108_864
IDLE_S = 30.0
"""Less than the other side keeps an idle connection (``http.idle_timeout_s``), so that it is not used as it closes."""
BODILESS = (204, 304)
RESERVED = 4
"""Connections beyond the limit for what must not wait behind orders: cancels and halts."""


class NotSent(Exception):
    """Nothing of the request has left."""


class Broken(Exception):
    """The request left, or may have, and no answer came."""


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Line(asyncio.Protocol):
    """One connection, and the one request under way on it."""

    def __init__(self) -> None:
        self.open = False
        self.idle_since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[Reply] | None = None
        self._head: Reply | None = None
        self._length = 0
        self._bodiless = False
        self._last = False

    def ask(self, head: bytes, body: bytes, *, bodiless: bool) -> asyncio.Future[Reply]:
        """Send a request; ``bodiless`` for HEAD, whose answer has a length and nothing of it."""
        assert self._transport is not None
        assert self._answer is None
        self._answer = asyncio.get_running_loop().create_future()
        self._bodiless = bodiless
        self._transport.writelines((head, body))
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        """Take a part of the answer."""
        if self._answer is None:  # the other side speaks unasked: it refuses, or is none of ours
            self.close()
            return
        self._buffer += data
        try:
            reply = self._read()
        except ValueError as error:
            self._fail(f"an answer that cannot be read: {error}")
            return
        if reply is not None:
            answer, self._answer, self._head = self._answer, None, None
            if self._last or self._buffer:
                self.close()
            if not answer.done():
                answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.open = False
        self._fail(str(exc or "closed"))

    def close(self) -> None:
        """Hang up at once; who waits hears ``Broken``."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None and not answer.done():
            answer.set_exception(Broken(reason))

    def _read(self) -> Reply | None:
        """Return the answer once it is there. ValueError for what is none."""
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > HEAD_MAX:
                    raise ValueError("no end of its head")
                return None
            self._head = self._begin(self._buffer[:end].decode("latin-1"))
            del self._buffer[: end + 4]
        if len(self._buffer) < self._length:
            return None
        body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        return self._head._replace(body=body)

    def _begin(self, head: str) -> Reply:
        first, *lines = head.split("\r\n")
        version, status, *_ = first.split(" ", 2)
        if not version.startswith("HTTP/1.") or not (status.isdecimal() and len(status) == 3):
            raise ValueError("no status")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        found = {name.lower(): value for name, value in headers}
        self._last = found.get("connection", "").lower() == "close"
        self._length = self._length_of(int(status), found)
        return Reply(int(status), headers, b"")

    def _length_of(self, status: int, found: dict[str, str]) -> int:
        if self._bodiless or status in BODILESS:
            return 0
        said = found.get("content-length", "")
        if not said.isdecimal() or int(said) > ANSWER_MAX:
            raise ValueError("no length, or too much")
        return int(said)


class Lines:
    """The connections to ``address``. ``most`` at once; who comes then waits for one of them."""

    def __init__(self, address: str, *, most: int, connect_timeout_s: float, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(address)
        self._host = parts.hostname or ""
        self._context = context if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._context is not None else 80)
        self._connect_timeout_s = connect_timeout_s
        self._gate = asyncio.Semaphore(most)
        self._reserve = asyncio.Semaphore(RESERVED)
        self._idle: list[Line] = []
        self._all: set[Line] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    async def ask(self, head: bytes, body: bytes, *, bodiless: bool, timeout_s: float, urgent: bool = False) -> Reply:
        """Send a request and return its answer; an ``urgent`` one waits behind no others. NotSent or Broken."""
        async with self._reserve if urgent and self._gate.locked() else self._gate:
            line = self._take_idle() or await self._connect()
            try:
                async with asyncio.timeout(timeout_s):
                    return await line.ask(head, body, bodiless=bodiless)
            except TimeoutError:
                line.close()
                raise Broken(f"no answer within {timeout_s:g} s") from None
            except asyncio.CancelledError:
                line.close()
                raise
            finally:
                self._give_back(line)

    def close(self) -> None:
        """Hang up, also where an answer is waited for."""
        self._closed = True
        for line in list(self._all):
            line.close()

    def _take_idle(self) -> Line | None:
        """Return the connection used last: those that are not needed grow old and are closed."""
        now_s = time.monotonic()
        while self._idle:
            line = self._idle.pop()
            if line.open and now_s - line.idle_since_s < IDLE_S:
                return line
            line.close()
            self._all.discard(line)
        return None

    def _give_back(self, line: Line) -> None:
        if line.open and not self._closed:
            line.idle_since_s = time.monotonic()
            self._idle.append(line)
        else:
            line.close()
            self._all.discard(line)

    def _refuse_late(self) -> None:
        if self._closed:
            self.close()
            raise NotSent("another process has the engine by now")

    async def _connect(self) -> Line:
        self._refuse_late()
        name = self._host if self._context is not None else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, line = await loop.create_connection(
                    Line, self._host, self._port, ssl=self._context, server_hostname=name
                )
        except (OSError, TimeoutError) as error:  # TLS' errors are OSErrors
            raise NotSent(str(error) or "no connection in time") from None
        self._all.add(line)
        self._refuse_late()
        return line
