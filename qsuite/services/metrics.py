"""What the process did, counted as it happens and shown to Prometheus when it asks.

Invariant: counting is additions to plain numbers on the event loop (half a microsecond a request), because it stands
on every order's way; whatever costs more, such as labels and text, is done at the scrape. Requests are counted by route
template, never by path, so that clients cannot make series grow.

Other services are read, not told: a gauge is a function that is called at the scrape.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from qsuite.domain.histogram import Histogram

T = TypeVar("T")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""Stands for what a client made up as a method: it must not make series."""

Reader = Callable[[], float]
Labels = tuple[str, ...]


class Metrics:
    """Count requests; gather what other services say of themselves."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._latencies: dict[str, Histogram] = {}
        self._readers: list[tuple[type[Metric], str, str, Reader]] = []
        self._labelled: list[tuple[type[Metric], str, str, Labels, Callable[[], Mapping[Labels, float]]]] = []
        self._histograms: list[tuple[str, str, Labels, Callable[[], Mapping[Labels, Histogram]]]] = []
        self.turned_away = 0
        """Requests refused before any handler saw them, because too many were under way."""
        self.registry = CollectorRegistry()
        self.registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def request(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count one answered request under its route template; None for one that lasts by its nature."""
        key = (route, method if method in METHODS else OTHER, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        if seconds is None:
            return
        latency = self._latencies.get(route)
        if latency is None:
            latency = self._latencies[route] = Histogram()
        latency.observe(seconds)

    def latency(self, route: str) -> Histogram:
        """Return the latencies of a route, empty before its first request."""
        return self._latencies.get(route) or Histogram()

    def counter(self, name: str, text: str, read: Reader) -> None:
        """Show a total that only grows; ``read`` is called at each scrape."""
        self._readers.append((CounterMetricFamily, name, text, read))

    def gauge(self, name: str, text: str, read: Reader) -> None:
        """Show a level that goes up and down."""
        self._readers.append((GaugeMetricFamily, name, text, read))

    def gauges(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Show one level for each value of a label."""
        self._labelled.append((GaugeMetricFamily, name, text, (label,), lambda: _keyed(read())))

    def counters(self, name: str, text: str, label: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Show one total that only grows for each value of a label."""
        self._labelled.append((CounterMetricFamily, name, text, (label,), lambda: _keyed(read())))

    def histogram(self, name: str, text: str, histogram: Histogram) -> None:
        """Show how values are spread."""
        self._histograms.append((name, text, (), lambda: {(): histogram}))

    def histograms(self, name: str, text: str, labels: Labels, read: Callable[[], Mapping[Labels, Histogram]]) -> None:
        """Show how values are spread, by the values of these labels; values that clients make up are none."""
        self._histograms.append((name, text, labels, read))

    def collect(self) -> Iterator[Metric]:
        """Give Prometheus all of it, in its client's terms."""
        requests = CounterMetricFamily(
            "qsuite_http_requests", "Answered requests", labels=["route", "method", "status"]
        )
        for (route, method, status), count in self._requests.items():
            requests.add_metric([route, method, str(status)], count)
        yield requests
        for family, name, text, read in self._readers:
            yield family(name, text, value=read())  # type: ignore[call-arg]
        for family, name, text, labels, read_all in self._labelled:
            levels: Any = family(name, text, labels=labels)  # type: ignore[call-arg]
            for values, level in read_all().items():
                levels.add_metric(values, level)
            yield levels
        yield self._spread(
            "qsuite_http_request_seconds",
            "From the request's header to its answer",
            ("route",),
            _keyed(self._latencies),
        )
        for name, text, labels, read_spread in self._histograms:
            yield self._spread(name, text, labels, read_spread())

    @staticmethod
    def _spread(name: str, text: str, labels: Labels, spread: Mapping[Labels, Histogram]) -> Metric:
        shown = HistogramMetricFamily(name, text, labels=labels)
        for values, histogram in spread.items():
            shown.add_metric(values, histogram.buckets(), histogram.total)
        return shown

    def render(self) -> bytes:
        """Write all of it in Prometheus' text format."""
        return generate_latest(self.registry)


def _keyed(levels: Mapping[str, T]) -> dict[Labels, T]:
    return {(value,): level for value, level in levels.items()}
