"""Traces of single orders for OpenTelemetry: off unless a collector is configured.

    POST /api/v1/orders/ ──> engine PlaceOrder          the caller's trace, taken over from ``traceparent``
                                  ^ link
                             engine batch ──> commit    a trace of its own: a batch is many callers'

Invariants: whoever is off holds None and tests that, which is all it costs; a span names routes, commands and outcomes
and never a body, a token, a path or a user; a collector that is away costs spans, never an order or a slow stop.

What is measured is sent by a thread of OpenTelemetry's own, in batches.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qsuite import __version__
from qsuite.domain.errors import SetupError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from qsuite.settings import TracingSettings

PATH = "/v1/traces"
EXPORT_TIMEOUT_S = 2.0
STOP_S = 2.0
QUEUED_MAX = 8_192
FAILED_FROM = 500


class Traces:
    """Make spans. ``make_traces`` makes one where tracing is configured."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("qsuite", __version__)
        self._trace = trace
        self._context = context
        self._propagator = TraceContextTextMapPropagator()

    def request(self, headers: Mapping[str, str], request_id: str) -> "Span":
        """Begin the span of a request, in the caller's trace if it names one, and make it this task's."""
        carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        parent = self._propagator.extract(carrier, context=self._context.Context())
        span = self._tracer.start_span("request", parent, self._trace.SpanKind.SERVER)
        span.set_attribute("qsuite.request_id", request_id)
        self._context.attach(self._trace.set_span_in_context(span))
        return span

    @contextmanager
    def message(self, action: str) -> Iterator[None]:
        """Trace what one message of a socket asks, in a trace of its own."""
        span = self._tracer.start_span(f"websocket {action}", self._context.Context(), self._trace.SpanKind.SERVER)
        with self._current(span):
            yield

    def answered(self, span: "Span", *, route: str, method: str, status: int) -> None:
        """End the span of a request."""
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        if status >= FAILED_FROM:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def command(self, command: object, future: "asyncio.Future[Any]") -> "Span":
        """Begin the span of an engine's command, in the trace of this task; it ends when its future is done."""
        span = self._tracer.start_span(f"engine {type(command).__name__}")
        future.add_done_callback(lambda done: self._end(span, None if done.cancelled() else done.exception()))
        return span

    @contextmanager
    def batch(self, number: int, commands: list["Span"]) -> Iterator[None]:
        """Trace what is done inside as a batch of these commands."""
        links = [self._trace.Link(span.get_span_context()) for span in commands]
        attributes = {"qsuite.batch": number, "qsuite.batch.size": len(commands)}
        for span in commands:
            span.set_attribute("qsuite.batch", number)
        span = self._tracer.start_span("engine batch", self._context.Context(), links=links, attributes=attributes)
        with self._current(span):
            yield

    @contextmanager
    def work(self, name: str, **attributes: str | int) -> Iterator[None]:
        """Trace what is done inside, under the span of this task if it has one."""
        with self._current(self._tracer.start_span(name, attributes=attributes)):
            yield

    @contextmanager
    def _current(self, span: "Span") -> Iterator[None]:
        """Make a span this task's until the end. Of an error only the kind is told: its text may quote anything."""
        token = self._context.attach(self._trace.set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            self._end(span, error)
            raise
        else:
            self._end(span, None)
        finally:
            self._context.detach(token)

    def trace_id(self, span: "Span") -> str:
        """Return what collectors find a span's trace by."""
        return self._trace.format_trace_id(span.get_span_context().trace_id)

    def _end(self, span: "Span", error: BaseException | None) -> None:
        if error is not None:
            span.set_status(self._trace.StatusCode.ERROR, type(error).__name__)
        span.end()

    async def stop(self) -> None:
        """Send what waits, for two seconds at most: a collector that does not answer holds up no stop."""
        thread = threading.Thread(target=self._provider.shutdown, name="qsuite-traces", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, STOP_S)


def make_traces(settings: "TracingSettings", *, role: str) -> Traces | None:
    """Make what traces, or return None where no collector is configured. SetupError without OpenTelemetry."""
    if settings.endpoint is None:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise SetupError(f"tracing.endpoint needs OpenTelemetry: pip install 'qsuite[tracing]' ({error})") from None
    share = TraceIdRatioBased(settings.ratio)
    provider = TracerProvider(
        # A caller may ask that its request is not traced, but not that it is: that would let it fill the collector.
        sampler=ParentBased(root=share, remote_parent_sampled=share, remote_parent_not_sampled=ALWAYS_OFF),
        resource=Resource.create({"service.name": "qsuite", "service.version": __version__, "qsuite.role": role}),
        shutdown_on_exit=False,
    )
    base = settings.endpoint.rstrip("/")
    exporter = OTLPSpanExporter(base if base.endswith(PATH) else base + PATH, timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUED_MAX, schedule_delay_millis=settings.every_s * 1000)
    )
    return Traces(provider)
