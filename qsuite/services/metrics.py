"""What the process did, counted as it happens and shown to Prometheus when it asks.

Invariant: counting is additions to plain numbers on the event loop (half a microsecond a request), because it stands
on every order's way; whatever costs more, such as labels and text, is done at the scrape. Requests are counted by route
template, never by path, so that clients cannot make series grow.

Other services are read, not told: a gauge is a function that is called at the scrape.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Reader = Callable[[], float]


class Histogram:
    """Counts of values by bucket; ``bounds`` are the buckets' upper ends, ascending."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BOUNDS_S) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """Return how many values were counted."""
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return Prometheus' cumulative buckets, the last one ``+Inf``."""
        running, shown = 0, []
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            running += count
            shown.append((bound, float(running)))
        return shown

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile, 0 to 1, within the bucket it falls in; None before the first value.

        Linear inside the bucket as Prometheus' ``histogram_quantile`` does it; above the last bound, that bound.
        """
        rank, below = q * self.count, 0
        for index, count in enumerate(self.counts):
            if count and below + count >= rank:
                low = self.bounds[index - 1] if index else 0.0
                high = self.bounds[min(index, len(self.bounds) - 1)]
                return low + (high - low) * max(0.0, rank - below) / count
            below += count
        return None


class Metrics:
    """Count requests; gather what other services say of themselves."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._latencies: dict[str, Histogram] = {}
        self._readers: list[tuple[type[Metric], str, str, Reader]] = []
        self._labelled: list[tuple[str, str, str, Callable[[], Mapping[str, float]]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def request(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count one answered request under its route template; None for one that lasts by its nature."""
        key = (route, method, status)
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
        self._labelled.append((name, text, label, read))

    def collect(self) -> Iterator[Metric]:
        """Give Prometheus all of it, in its client's terms."""
        requests = CounterMetricFamily(
            "qsuite_http_requests", "Answered requests", labels=["route", "method", "status"]
        )
        for (route, method, status), count in self._requests.items():
            requests.add_metric([route, method, str(status)], count)
        yield requests
        latencies = HistogramMetricFamily(
            "qsuite_http_request_seconds", "From the request's header to its answer", labels=["route"]
        )
        for route, histogram in self._latencies.items():
            latencies.add_metric([route], histogram.buckets(), histogram.total)
        yield latencies
        for family, name, text, read in self._readers:
            yield family(name, text, value=read())  # type: ignore[call-arg]
        for name, text, label, read_all in self._labelled:
            levels = GaugeMetricFamily(name, text, labels=[label])
            for value, level in read_all().items():
                levels.add_metric([value], level)
            yield levels

    def render(self) -> bytes:
        """Write all of it in Prometheus' text format."""
        return generate_latest(self.registry)
