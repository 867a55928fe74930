"""One TCP connection's HTTP/1.1: read a request within its bounds, hand it on, write its answer.

Tornado's own loop answers what it cannot read with a bare status line, waits for ever where we bound, and spends a
third of a small request on what is done here once. This one keeps Tornado's stream, framing and delegates, so that
handlers and WebSockets stay Tornado's.

Invariant: every request that was begun gets an answer with a request id, and what it cannot take it says as a problem
(400, 408, 413, 431) before it closes.

    HEAD ── request line and headers ──> BODY ── body ──> WORK ── answer written ──> HEAD of the next request
"""

import asyncio
import re
import socket
import time
from asyncio import Future
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import lru_cache
from typing import Any

import structlog
from tornado import httputil
from tornado.http1connection import (
    HTTP1Connection,
    HTTP1ConnectionParameters,
    HTTP1ServerConnection,
    _QuietException,
    is_transfer_encoding_chunked,
)
from tornado.httputil import HTTPHeaders, HTTPInputError, HTTPMessageDelegate, HTTPServerConnectionDelegate
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from qsuite.domain.errors import QSuiteError
from qsuite.handlers.problems import problem_bytes, problem_headers, status_of
from qsuite.handlers.wire import DefaultHeaders, date_line, request_id_from, status_line
from qsuite.services.forwarding.proof import Forwarded

log = structlog.get_logger(__name__)

LINGER_S = 2.0
LINGER_BYTES = 4_194_304
# Read this much more than a header may hold, so that a longer one gets 431 before we hang up.
HEADER_SLACK = 4
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_EMPTY_LINES = re.compile(r"\A(?:\r?\n)+")
_HEAD_END = rb"\n\r?\n"  # begins with a plain character, which the search jumps to


class BodyTooLarge(HTTPInputError):
    """The body is over what its route takes."""

    status = 413


class HeaderTooLarge(HTTPInputError):
    """The header is over the limit."""

    status = 431


class TimedOut(HTTPInputError):
    """The request did not arrive in time."""

    status = 408


class Phase(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    WORK = auto()


class ClientContext:
    """Who is at the other end. ``remote_ip`` and ``protocol`` are read by Tornado for each request."""

    def __init__(
        self, stream: IOStream, address: Any, defaults: DefaultHeaders, count: Callable[[str], Awaitable[str]]
    ) -> None:
        is_internet = stream.socket.family in (socket.AF_INET, socket.AF_INET6)
        self.peer_ip: str = address[0] if is_internet and address else "0.0.0.0"  # noqa: S104  a name, not a bind  # nosec B104
        self.remote_ip = self.peer_ip
        self.protocol = "http"
        self.forwarded: Forwarded | None = None
        """Said by the process that sent the present request on."""
        self.defaults = defaults
        self.count = count
        """Count a request of an address that no handler sees, and return what the answer's head says of its limits."""

    def __str__(self) -> str:
        return self.remote_ip


class ApiConnection(HTTP1Connection):
    """One request on a connection, and its answer."""

    context: ClientContext
    phase = Phase.HEAD
    head_begun = False
    on_answer: Callable[[], None] | None = None
    """Called once: when the answer begins to leave in pieces, left whole, or nobody waits for it any more."""

    why_not_longer: QSuiteError | None = None
    """What is said of a body over the limit, where another caller might have sent it."""

    def __init__(self, stream: IOStream, params: HTTP1ConnectionParameters, context: ClientContext) -> None:
        super().__init__(stream, False, params, context)
        self.since = time.monotonic()

    async def serve(self, delegate: HTTPMessageDelegate) -> bool:
        """Read one request and see it answered; False when the connection is over."""
        owed = False  # the delegate has begun a request and not been told of its end
        try:
            start_line, headers = await self._read_head()
            owed = True
            begun = delegate.headers_received(start_line, headers)
            if begun is not None:
                await begun
            body = self._begin_body(headers, delegate)
            if body is not None:
                self._enter(Phase.BODY)
                await body
            self._enter(Phase.WORK)
            self._read_finished = True
            owed = False
            if not self._write_finished:
                delegate.finish()
            await self._answered()
            return self.stream is not None
        except HTTPInputError as error:
            await self._refuse(error)
            return False
        except _QuietException:  # the delegate failed on the body, which is logged
            self.close()
            return False
        finally:
            if owed:
                delegate.on_connection_close()
            self._over()
            self._clear_callbacks()

    def _over(self) -> None:
        if self.on_answer is not None:
            told, self.on_answer = self.on_answer, None
            told()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since = time.monotonic()

    async def _answered(self) -> None:
        if not self._finish_future.done() and self.stream is not None and not self.stream.closed():
            self.stream.set_close_callback(self._on_connection_close)
            await self._finish_future

    # -- reading ----------------------------------------------------------------------------------------------------

    async def _read_head(self) -> tuple[httputil.RequestStartLine, HTTPHeaders]:
        limit = self.params.max_header_size
        data = await self.stream.read_until_regex(_HEAD_END, max_bytes=limit * HEADER_SLACK)
        if len(data) > limit:
            raise HeaderTooLarge("header too large")
        text = data.decode("latin-1")
        if text[0] in "\r\n":
            text = _EMPTY_LINES.sub("", text, count=1)
        first, _, rest = text.partition("\n")
        # One line end and no more: a bare carriage return is part of no request line (RFC 9112, 2.2).
        start_line = httputil.parse_request_start_line(first.removesuffix("\r"))
        self._request_start_line = start_line
        self._request_headers = headers = parse_headers(rest)
        self._disconnect_on_finish = not self._can_keep_alive(start_line, headers)
        return start_line, headers

    def _begin_body(self, headers: HTTPHeaders, delegate: HTTPMessageDelegate) -> Awaitable[None] | None:
        """Refuse a body that is said to be too long before any of it is read, else begin to read it."""
        length = headers.get("Content-Length")
        if "Transfer-Encoding" in headers:
            if self._is_old:  # whoever passed it on may not know chunks, and see another end (RFC 9112, 6.1)
                raise HTTPInputError("chunks in HTTP/1.0")
        elif length is None:
            return None
        if length is not None and length.isascii() and length.isdecimal():
            if len(length) > 18 or int(length) > self._max_body_size:
                raise BodyTooLarge("body too large")
            if is_transfer_encoding_chunked(headers) is False and int(length) <= self.params.chunk_size:
                self._say_continue(headers)
                return self._read_short_body(int(length), delegate)
        self._say_continue(headers)
        return self._read_body(0, headers, delegate)

    def _say_continue(self, headers: HTTPHeaders) -> None:
        waits = headers.get("Expect", "").lower() == "100-continue" and not self._is_old  # RFC 9110, 10.1.1
        if waits and not self._write_finished:
            self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    @property
    def _is_old(self) -> bool:
        return self._request_start_line is not None and self._request_start_line.version == "HTTP/1.0"

    async def _read_short_body(self, length: int, delegate: HTTPMessageDelegate) -> None:
        """Read what fits one read, which has mostly arrived with the head: nothing is waited for then."""
        if length:
            await self._deliver_body(delegate, await self.stream.read_bytes(length))

    async def _read_chunked_body(self, delegate: HTTPMessageDelegate) -> None:
        try:
            await super()._read_chunked_body(delegate)
        except HTTPInputError as error:
            if "too large" in str(error):
                raise BodyTooLarge(str(error)) from None
            raise

    # -- writing ----------------------------------------------------------------------------------------------------

    def write_headers(self, *args: Any, **kwargs: Any) -> "Future[None]":
        """Begin an answer that leaves in pieces, for as long as it likes."""
        self._over()
        return super().write_headers(*args, **kwargs)

    def send(self, head: bytes, body: bytes) -> "Future[None]":
        """Write a whole answer; ``head`` lacks only the empty line that ends it."""
        if not self._read_finished:
            self._disconnect_on_finish = True
        if self._disconnect_on_finish:
            head += b"Connection: close\r\n"
        elif self._is_old:
            head += b"Connection: keep-alive\r\n"
        self._write_finished = True
        try:
            written = self.stream.write(b"%b\r\n%b" % (head, body))
        except StreamClosedError as error:  # the client has gone: nobody to tell
            written = Future()
            written.set_exception(error)
            written.exception()
        if written.done():
            self._finish_request(None)
        else:
            written.add_done_callback(self._finish_request)
        return written

    def _finish_request(self, future: "Future[None] | None") -> None:
        """End the request. Unlike Tornado's, Nagle's algorithm stays off: that saves two system calls each time."""
        if future is not None and not future.cancelled():
            future.exception()  # seen: a client that left is not an error
        self._clear_callbacks()
        if self._disconnect_on_finish:
            self.close()
        elif not self._finish_future.done():
            self._finish_future.set_result(None)

    async def _refuse(self, error: HTTPInputError) -> None:
        """Answer what could not be read, then close without cutting the answer off."""
        if self._write_finished or self.stream is None or self.stream.closed():
            self.close()
            return
        limits = await self.context.count(self.context.remote_ip)
        if self.stream.closed():
            return
        await self.stream.write(self.refusal(error, limits))
        await self._linger()
        self.close()

    def refusal(self, error: HTTPInputError, limits: str = "") -> bytes:
        """Return the whole last answer of a connection, to a request that no handler saw."""
        told: BaseException = error
        status = getattr(error, "status", 400)
        if isinstance(error, BodyTooLarge) and self.why_not_longer is not None:
            told, status = self.why_not_longer, status_of(self.why_not_longer)
        head, body, request_id = self._problem(told, status, limits)
        log.info("request.refused", status=status, reason=str(error), request_id=request_id, client=str(self.context))
        return b"%bConnection: close\r\n\r\n%b" % (head, body)

    def send_problem(self, error: QSuiteError, status: int) -> None:
        """Answer a request that no handler sees, and keep the connection."""
        head, body, _ = self._problem(error, status)
        self.send(head, body)

    def _problem(self, error: BaseException, status: int, limits: str = "") -> tuple[bytes, bytes, str]:
        """Return head, body and request id of an answer."""
        headers, line = self._request_headers, self._request_start_line
        request_id = request_id_from(headers.get("X-Request-ID") if headers is not None else None)
        instance = line.path.partition("?")[0] if line is not None else ""
        body = problem_bytes(error, status, instance=instance, request_id=request_id)
        own = {**problem_headers(error, status), "X-Request-ID": request_id, "Content-Length": str(len(body))}
        lines = limits + "".join(f"{name}: {value}\r\n" for name, value in own.items())
        defaults = self.context.defaults.render_beside({})
        head = b"".join([status_line(status), date_line(), defaults, lines.encode("latin-1")])
        return head, body, request_id

    async def _linger(self) -> None:
        """Take what the client is still sending for a while: closing on it would make its kernel drop our answer."""
        taken = 0
        try:
            self.stream.socket.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(LINGER_S):
                while taken < LINGER_BYTES:
                    taken += len(await self.stream.read_bytes(65_536, partial=True))
        except (StreamClosedError, TimeoutError, OSError):
            return


class RequestHeaders(HTTPHeaders):
    """A request's headers. Names as we write them are found at once, others as Tornado finds them."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value, several joined by commas, or the default."""
        values = self._as_list.get(name)
        if values is not None:
            return values[0] if len(values) == 1 else ",".join(values)
        # A name in its canonical spelling that is not there is nowhere else either.
        return default if _canonical(name) == name else super().get(name, default)


def parse_headers(block: str) -> HTTPHeaders:
    """Read header lines as strictly as Tornado does, in a fifth of its time. HTTPInputError if malformed."""
    if _CONTROL.search(block) is not None:
        raise HTTPInputError("control character in a header")
    headers = RequestHeaders()
    found = headers._as_list
    for line in block.split("\n"):
        if line in ("", "\r"):
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise HTTPInputError("no colon in a header line")
        canonical = _canonical(name)
        value = value.strip(" \t\r")
        if canonical in found:
            found[canonical].append(value)
        else:
            found[canonical] = [value]
    return headers


@lru_cache(1024)
def _canonical(name: str) -> str:
    if _TOKEN.fullmatch(name) is None:
        raise HTTPInputError(f"invalid header name {name[:100]!r}")
    return "-".join(part.capitalize() for part in name.split("-"))


class ApiServerConnection(HTTP1ServerConnection):
    """The requests of one connection, one after the other."""

    context: ClientContext
    requests = 0
    _progress = -1

    def __init__(self, stream: IOStream, params: HTTP1ConnectionParameters, context: ClientContext) -> None:
        super().__init__(stream, params, context)
        self.current = ApiConnection(stream, params, context)

    async def _server_request_loop(self, delegate: HTTPServerConnectionDelegate) -> None:
        try:
            while await self.current.serve(delegate.start_request(self, self.current)):
                self.requests += 1
                self.current = ApiConnection(self.stream, self.params, self.context)
        except (StreamClosedError, UnsatisfiableReadError, asyncio.CancelledError):
            self.stream.close()
        except Exception:
            log.exception("connection.failed", client=str(self.context))
            self.stream.close()
        finally:
            delegate.on_close(self)

    @property
    def idle(self) -> bool:
        """Say whether it waits for a request of which nothing has arrived."""
        return self.current.phase is Phase.HEAD and not self.stream._read_buffer_size

    def finish_soon(self) -> None:
        """Close now if idle, else with the answer in the making."""
        if self.idle:
            self.stream.close()
        else:
            self.current._disconnect_on_finish = True

    def look(self, now: float, *, header_s: float, body_s: float, idle_s: float, stuck_s: float) -> None:
        """Close the connection if what it waits for did not come in time."""
        current = self.current
        if current.stream is None or self.stream.closed():
            return
        waited = now - current.since
        if self.stream.writing():
            self._look_at_reader(now, stuck_s)
        elif current.phase is Phase.BODY and waited > body_s:
            self._expire()
        elif current.phase is Phase.HEAD:
            if not current.head_begun and self.stream._read_buffer_size:
                current.head_begun, current.since = True, now
            elif waited > (header_s if current.head_begun or not self.requests else idle_s):
                self._expire()

    def _look_at_reader(self, now: float, stuck_s: float) -> None:
        progress = self.stream._total_write_done_index
        if progress != self._progress:
            self._progress, self.current.since = progress, now
        elif now - self.current.since > stuck_s:
            self.stream.close()

    def _expire(self) -> None:
        if not self.idle:
            self.stream.write(self.current.refusal(TimedOut("timed out")))
        self.stream.close()
