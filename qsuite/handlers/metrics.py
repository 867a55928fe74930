"""Figures for Prometheus, and the one log function of the server, which counts every answered request.

``/metrics`` needs no login, as scrapers expect; it names routes, counts and times, never a user, a symbol or a path. A
proxy that publishes QSuite keeps it inside.
"""

import logging
from collections.abc import Iterable

import structlog
from tornado.web import RequestHandler

from qsuite.domain.roles import ANYONE
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.operations import operation
from qsuite.handlers.routes import LogFunction, Route
from qsuite.services.metrics import CONTENT_TYPE, Metrics
from qsuite.services.order_latency import OrderLatency
from qsuite.services.tracing import Traces

log = structlog.get_logger("qsuite.access")

SLOW_S = 1.0
SWITCHING = 101  # a WebSocket's request ends when the socket does: its time says nothing about us
UNKNOWN = "unknown"


class MetricsHandler(ApiHandler):
    """``/metrics``."""

    @operation(
        "Figures in Prometheus' text format",
        roles=ANYONE,
        returns={200: "text/plain"},
        tag="operations",
        scope=ThrottleScope.FREE,
    )
    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.finish(self.services.metrics.render())


def access_log(
    metrics: Metrics,
    routes: Iterable[Route],
    *,
    lowest: int,
    latency: OrderLatency | None = None,
    traces: Traces | None = None,
) -> LogFunction:
    """Make the server's ``log_function``: count each request under its route, and write the lines worth reading.

    Orders a request had accepted are counted in ``latency``, now that its answer is written.

    A request that went well and quickly is a line at ``debug`` only: it is in the metrics already, and its line would
    cost a twentieth of the request. ``lowest`` is the least level shown, so that a line nobody sees is never built.
    """
    templates: dict[type[RequestHandler], str] = {}
    for route in routes:
        templates.setdefault(route.handler, route.template)

    def note(handler: RequestHandler) -> None:
        request, status = handler.request, handler.get_status()
        seconds = request.request_time()
        lasting = status == SWITCHING or getattr(handler, "lasting", False)
        method = request.method or ""
        route = templates.get(type(handler), UNKNOWN)
        metrics.request(route, method, status, None if lasting else seconds)
        placed: tuple[str, list[str]] | None = getattr(handler, "placed", None)
        if placed is not None and latency is not None:
            latency.acknowledged(*placed, request.received_s)  # type: ignore[attr-defined]
        span = getattr(handler, "span", None)
        if span is not None and traces is not None:
            traces.answered(span, route=route, method=method, status=status)
        level = _level(status, slow=seconds >= SLOW_S and not lasting)
        if level < lowest:
            return
        log.log(
            level,
            "request",
            request_id=getattr(request, "qsuite_id", None),
            method=method,
            path=request.path,
            status=status,
            ms=round(seconds * 1000, 3),
            client=request.remote_ip,
        )

    return note


def _level(status: int, *, slow: bool) -> int:
    if status == 503:  # a state that health tells of, as of a process that stands by, and no fault of the request's
        return logging.WARNING
    if status >= 500:
        return logging.ERROR
    return logging.INFO if status >= 400 or slow else logging.DEBUG


routes = [(r"/metrics/?", MetricsHandler)]
