"""The HTTP server: bounds on what clients send and how long they take, and an orderly end.

Invariant: memory and time that one client can hold are bounded by the settings, whatever it sends or leaves unsent. The
length of a body is bounded by its route, and a longer one is refused before it is read.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable
from typing import Any

import structlog
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream
from tornado.web import Application

from qsuite.domain.errors import Forbidden, QSuiteError, SetupError, Unavailable
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.connection import ApiConnection, ApiServerConnection, ClientContext
from qsuite.handlers.operations import Operation
from qsuite.handlers.wire import DefaultHeaders
from qsuite.services.forwarding.forwarder import Forwarder
from qsuite.services.forwarding.proof import HEADER as PROOF
from qsuite.services.forwarding.proof import Subject
from qsuite.services.metrics import Metrics
from qsuite.services.throttle import Verdict
from qsuite.settings import HttpSettings

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5
MOST_OF_A_BURST = 8
"""Times the ordinary limit that are taken at most, however short the burst."""
READ_CHUNK_BYTES = 65_536
READ_BUFFER_BYTES = 1_048_576

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ApiServer(HTTPServer):
    """Serve an application. ``listen`` to begin, ``drain`` to end."""

    application: Application
    limits: HttpSettings

    def initialize(self, application: Application, limits: HttpSettings) -> None:  # type: ignore[override]
        """Take the place of a constructor, as Tornado's configurable classes want it."""
        super().initialize(
            application,
            chunk_size=READ_CHUNK_BYTES,
            max_header_size=limits.max_header_bytes,
            max_body_size=limits.max_body_bytes,
            max_buffer_size=READ_BUFFER_BYTES,
        )
        self.application = application
        self.limits = limits
        self._defaults: DefaultHeaders = application.settings["default_headers"]
        self._forward: Forwarder | None = getattr(application, "forward", None)
        self._proxies = [_network(proxy) for proxy in limits.trusted_proxies]
        self._look: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self.in_flight = 0
        self._crowded_since: float | None = None
        self._turned_away = 0

    @property
    def port(self) -> int:
        """Return the port that is listened on, also where any free one was asked for."""
        return int(next(iter(self._sockets.values())).getsockname()[1])

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a new connection."""
        stream.set_nodelay(True)
        context = ClientContext(stream, address, self._defaults, self._count_unread)
        connection = ApiServerConnection(stream, self.conn_params, context)
        self._connections.add(connection)
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look_around)
        connection.start_serving(self)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Begin a request on a connection."""
        assert isinstance(request_conn, ApiConnection)
        return RequestDelegate(self, server_conn, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection."""
        super().on_close(server_conn)
        if not self._connections:
            self._empty.set()

    def _look_around(self) -> None:
        """Close every connection whose time is up. One timer for all costs a request nothing."""
        self._look = None
        limits, now = self.limits, time.monotonic()
        for connection in list(self._connections):
            assert isinstance(connection, ApiServerConnection)
            connection.look(
                now,
                header_s=limits.header_timeout_s,
                body_s=limits.body_timeout_s,
                idle_s=limits.idle_timeout_s,
                stuck_s=limits.stuck_s,
            )
        if self._turned_away:
            log.warning("requests.turned_away", count=self._turned_away, in_flight=self.in_flight)
            self._turned_away = 0
        if self._connections:
            self._look = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look_around)

    async def drain(self, timeout_s: float | None = None) -> None:
        """Take no new connections, let requests in flight finish, close.

        ``timeout_s`` is ``http.shutdown_s`` unless given. WebSockets are their hub's to close.
        """
        self.stop()
        for connection in list(self._connections):
            assert isinstance(connection, ApiServerConnection)
            connection.finish_soon()
        self._empty.clear()
        if self._connections:
            try:
                await asyncio.wait_for(self._empty.wait(), self.limits.shutdown_s if timeout_s is None else timeout_s)
            except TimeoutError:
                await self.close_all_connections()
        if self._look is not None:
            self._look.cancel()
            self._look = None

    # -- how much at once ---------------------------------------------------------------------------------------------

    def has_room(self, request: RequestStartLine) -> bool:
        """Say whether a request may begin. At twice the load that can be served, all would be answered too late.

        What watches over the server and what ends orders is always let in.
        """
        if self._has_room() or _always_let_in(request):
            return True
        self._turned_away += 1
        return False

    def _has_room(self) -> bool:
        """Take bursts, which end by themselves: only what stays above the limit for a while is too much."""
        limit = self.limits.max_in_flight
        if self.in_flight < limit:
            if self.in_flight < limit // 2:
                self._crowded_since = None
            return True
        now_s = time.monotonic()
        if self._crowded_since is None:
            self._crowded_since = now_s
        return now_s - self._crowded_since < self.limits.burst_s and self.in_flight < limit * MOST_OF_A_BURST

    def begin(self, connection: ApiConnection) -> None:
        """Count a request that has arrived whole, until its answer begins to leave."""
        self.in_flight += 1
        connection.on_answer = self._answered

    def _answered(self) -> None:
        self.in_flight -= 1

    # -- who asks -----------------------------------------------------------------------------------------------------

    def identify(self, context: ClientContext, start_line: RequestStartLine, headers: HTTPHeaders) -> None:
        """Note the client's address: the peer's own, or what trusted proxies say it is, read from the right.

        Another process of ours that sent the request on proves that it is one, and says whose request it is.
        """
        context.remote_ip, context.protocol, context.forwarded = context.peer_ip, "http", None
        proof = headers.get(PROOF)
        if proof is not None and self._believe(context, proof, start_line, headers):
            return
        if not self._proxies or not self._is_proxy(context.peer_ip):
            return
        forwarded = [part.strip() for part in headers.get("X-Forwarded-For", "").split(",") if part.strip()]
        for address in reversed(forwarded):
            if _parse_ip(address) is None:
                break
            context.remote_ip = address
            if not self._is_proxy(address):
                break
        if headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip() == "https":
            context.protocol = "https"

    def _believe(self, context: ClientContext, proof: str, start_line: RequestStartLine, headers: HTTPHeaders) -> bool:
        forward = self._forward
        if forward is None:
            return False
        subject = Subject(start_line.method, start_line.path, headers.get("Authorization", ""))
        found = forward.proof.read(proof, subject)
        if found is None:
            return False
        context.remote_ip, context.protocol, context.forwarded = found.address, found.scheme, found
        return True

    async def _count_unread(self, address: str) -> str:
        """Count a request that could not be read, which is refused anyway, and say how its address stands."""
        told = self.application.settings["services"].throttle.take(ThrottleScope.DEFAULT, address)
        verdict: Verdict = told if isinstance(told, Verdict) else await told
        return verdict.fields

    def _is_proxy(self, address: str) -> bool:
        parsed = _parse_ip(address)
        return parsed is not None and any(parsed in network for network in self._proxies)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise SetupError(f"http.trusted_proxies holds {text!r}, which is no address or network") from None


def _parse_ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None


class ApiRequest(HTTPServerRequest):
    """A request whose body is left as it is."""

    qsuite_id: str | None = None
    received_s = 0.0
    """When its header was read, on the monotonic clock: a wall clock that is set makes no request long."""

    def request_time(self) -> float:
        """Return the seconds since its header was read."""
        return time.monotonic() - self.received_s

    def _parse_body(self) -> None:
        """Read no forms: no route takes them, and reading one would come before the caller is known."""


def _always_let_in(request: RequestStartLine) -> bool:
    return request.method == "DELETE" or request.path.startswith(("/health", "/metrics")) or "cancel" in request.path


class TurnedAway(HTTPMessageDelegate):
    """Answer a request that there is no room for, once it has been read."""

    def __init__(self, connection: ApiConnection, metrics: Metrics) -> None:
        self._connection = connection
        self._metrics = metrics

    def finish(self) -> None:
        """Say that there is no room."""
        self._metrics.turned_away += 1
        self._connection.send_problem(Unavailable("too many requests are under way", code="server.busy"), 503)

    def on_connection_close(self) -> None:
        """Nobody waits for the answer any more."""


class RequestDelegate(HTTPMessageDelegate):
    """Find a request's route when its header is there, bound its body by the route, and hand it on."""

    __slots__ = ("_connection", "_inner", "_server", "_server_connection")

    def __init__(self, server: ApiServer, server_connection: object, connection: ApiConnection) -> None:
        self._server = server
        self._server_connection = server_connection
        self._connection = connection
        self._inner: HTTPMessageDelegate | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Route the request."""
        assert isinstance(start_line, RequestStartLine)
        server = self._server
        if not server.has_room(start_line):
            self._inner = TurnedAway(self._connection, server.application.settings["services"].metrics)
            return None
        server.identify(self._connection.context, start_line, headers)
        request = ApiRequest(
            connection=self._connection,
            server_connection=self._server_connection,
            start_line=start_line,
            headers=headers,
        )
        request.received_s = time.monotonic()
        found = server.application.find_handler(request)
        self._inner = found
        operations = getattr(found.handler_class, "operations", {})
        declared = operations.get(start_line.method)
        if declared is not None and declared.bulk:
            return self._begin_bulk(start_line, headers, declared, found)
        return found.headers_received(start_line, headers)

    async def _begin_bulk(
        self, start_line: RequestStartLine, headers: HTTPHeaders, declared: Operation, found: HTTPMessageDelegate
    ) -> None:
        """Take a long body from those alone who may send it: it is held in memory before its handler is asked.

        Others may send as much as anywhere, and hear from the handler what is wrong.
        """
        server = self._server
        try:
            if declared.roles:
                auth = server.application.settings["services"].auth
                caller = await auth.authenticate(headers.get("Authorization", ""))
                if caller.role not in declared.roles:
                    raise Forbidden(f"the role {caller.role.value} may not do this")
            self._connection.set_max_body_size(server.limits.max_bulk_bytes)
        except QSuiteError as error:
            self._connection.why_not_longer = error
        begun = found.headers_received(start_line, headers)
        if begun is not None:
            await begun

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Pass a part of the body on."""
        assert self._inner is not None
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        """Say that the body is complete."""
        assert self._inner is not None
        self._server.begin(self._connection)
        self._inner.finish()

    def on_connection_close(self) -> None:
        """Say that the client left before the body was complete."""
        if self._inner is not None:
            self._inner.on_connection_close()
