"""How every answer leaves, whatever kind of handler made it: default headers, request id, problems.

Invariants: no answer leaves without ``X-Request-ID`` and the security headers, and no error in any other shape than
problem+json, Tornado's own 404, 405 and 500 included. HTTP and WebSocket handlers alike build on this.
"""

from asyncio import Future
from collections.abc import Mapping
from typing import Any, ClassVar

import structlog
from tornado.httputil import HTTPHeaders
from tornado.web import RequestHandler

from qsuite.handlers.connection import ApiConnection
from qsuite.handlers.payloads import encode
from qsuite.handlers.problems import problem, problem_headers, status_of
from qsuite.handlers.wire import DefaultHeaders, date_line, request_id_from, status_line

log = structlog.get_logger(__name__)

JSON_TYPE = "application/json; charset=utf-8"
NO_BODY = (101, 204, 304)


class Answering(RequestHandler):
    """Answer with the headers every answer has. ``operations`` names the methods the route takes."""

    operations: ClassVar[Mapping[str, Any]] = {}
    limit_fields = ""
    """What the head says of limits, line by line: how the caller's buckets stand after this request."""

    @property
    def request_id(self) -> str:
        """Return the caller's request id if it is sane, else one made here; the same for the whole request."""
        known: str | None = getattr(self.request, "qsuite_id", None)
        if known is None:
            known = request_id_from(self.request.headers.get("X-Request-ID"))
            self.request.qsuite_id = known  # type: ignore[attr-defined]
        return known

    def answer(self, value: Any, status: int = 200) -> None:
        """Write JSON. Decimals become strings."""
        self.answer_bytes(JSON_TYPE, encode(value), status)

    def answer_bytes(self, content_type: str, body: bytes, status: int = 200) -> None:
        """Write a finished body of any type."""
        self._status_code = status
        self._headers["Content-Type"] = content_type
        self.finish(body)

    def answer_nothing(self) -> None:
        """Say 204: done, and there is nothing to show."""
        self._status_code = 204
        self.finish()

    # -- head and body on the wire --------------------------------------------------------------------------------

    def clear(self) -> None:
        """Start the answer anew. Headers here are the handler's own; the defaults join them on the wire."""
        self._headers = HTTPHeaders()
        self._write_buffer: list[bytes] = []
        self._status_code = 200
        self._reason = "OK"
        self.set_default_headers()

    def set_default_headers(self) -> None:
        """Let configured other sites read the answer."""
        origin = self.request.headers.get("Origin")
        if origin is not None:
            self._headers.update(self._defaults.cross_origin(origin))

    @property
    def _defaults(self) -> DefaultHeaders:
        found: DefaultHeaders = self.settings["default_headers"]
        return found

    def compute_etag(self) -> str | None:
        """Return None: tags are made of versions (``answer_resource``), not by hashing what was written."""
        return None

    def finish(self, chunk: Any = None) -> "Future[None]":
        """End the answer: in one write, from parts rendered beforehand (60 µs less than Tornado's way)."""
        connection = self.request.connection
        if self._headers_written or self._finished or not isinstance(connection, ApiConnection):
            return super().finish(chunk)
        if chunk is not None:
            self.write(chunk)
        body = b"".join(self._write_buffer)
        self._headers_written = self._finished = True
        connection.set_close_callback(None)
        sent = connection.send(self._head(len(body)), b"" if self.request.method == "HEAD" else body)
        self._log()
        self.on_finish()
        self._break_cycles()
        return sent

    def _head(self, length: int) -> bytes:
        own: dict[str, list[str]] = self._headers._as_list
        parts = [status_line(self._status_code), date_line(), self._defaults.render_beside(own)]
        if self._status_code not in NO_BODY:
            if "Content-Length" not in own:
                parts.append(b"Content-Length: %d\r\n" % length)
            if length and "Content-Type" not in own:
                parts.append(b"Content-Type: text/plain; charset=utf-8\r\n")
        own_lines = [f"{name}: {value}\r\n" for name, values in own.items() for value in values]
        own_lines.append(f"{self.limit_fields}X-Request-ID: {self.request_id}\r\n")
        parts.append("".join(own_lines).encode("latin-1"))
        return b"".join(parts)

    def flush(self, include_footers: bool = False) -> "Future[None]":
        """Send what was written so far; a streamed answer's head gets the defaults here."""
        if not self._headers_written:
            for name, value in self._defaults.pairs.items():
                self._headers.setdefault(name, value)
            for line in self.limit_fields.splitlines():
                self._headers.parse_line(line)
            self._headers["X-Request-ID"] = self.request_id
            self._headers["Date"] = date_line()[6:-2].decode()
        return super().flush(include_footers)

    # -- problems -------------------------------------------------------------------------------------------------

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write the problem of an exception (Tornado says 500 of all it does not know), or of a bare status."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        self.send_problem(error, status_code if error is None else status_of(error))

    def send_problem(self, error: BaseException | None, status: int) -> None:
        """Finish the request with a problem."""
        self._status_code = status
        if status == 405:
            self._headers["Allow"] = self.allowed
        self._headers.update(problem_headers(error, status))
        self.finish(encode(problem(error, status, instance=self.request.path, request_id=self.request_id)))

    @property
    def allowed(self) -> str:
        """Return the methods this route takes, as Allow lists them."""
        return ", ".join(sorted({*self.operations, "OPTIONS"} | ({"HEAD"} if "GET" in self.operations else set())))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log only what is ours: an unexpected error with its trace; a refused request is in the access log."""
        if value is not None and status_of(value) == 500:
            log.error("request.failed", path=self.request.path, exc_info=(typ, value, tb))
