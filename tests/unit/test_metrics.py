"""Counting requests and showing them to Prometheus."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from qsuite.domain.histogram import Histogram
from qsuite.services.metrics import Metrics


def shown(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Read the text back with Prometheus' own parser."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_route_method_and_status() -> None:
    metrics = Metrics()
    metrics.request("/api/v1/orders/", "POST", 201, 0.004)
    metrics.request("/api/v1/orders/", "POST", 201, 0.004)
    metrics.request("/api/v1/orders/", "POST", 422, 0.004)
    samples = shown(metrics)
    labels = (("method", "POST"), ("route", "/api/v1/orders/"))
    assert samples["qsuite_http_requests_total", (*labels, ("status", "201"))] == 2
    assert samples["qsuite_http_requests_total", (*labels, ("status", "422"))] == 1


def test_latencies_fall_into_cumulative_buckets() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.001, 0.3, 60.0):
        metrics.request("/x", "GET", 200, seconds)
    samples = shown(metrics)

    def bucket(bound: str) -> float:
        return samples["qsuite_http_request_seconds_bucket", (("le", bound), ("route", "/x"))]

    assert [bucket(bound) for bound in ("0.0005", "0.001", "0.25", "0.5", "10.0", "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert samples["qsuite_http_request_seconds_count", (("route", "/x"),)] == 4
    assert samples["qsuite_http_request_seconds_sum", (("route", "/x"),)] == pytest.approx(60.3014)


def test_a_request_that_lasts_by_its_nature_is_counted_but_not_timed() -> None:
    metrics = Metrics()
    metrics.request("/ws", "GET", 101, None)
    samples = shown(metrics)
    assert samples["qsuite_http_requests_total", (("method", "GET"), ("route", "/ws"), ("status", "101"))] == 1
    assert ("qsuite_http_request_seconds_count", (("route", "/ws"),)) not in samples


def test_a_method_that_a_client_made_up_makes_no_series_of_its_own() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.request("unknown", f"X{number}", 405, 0.001)
    assert (
        shown(metrics)["qsuite_http_requests_total", (("method", "other"), ("route", "unknown"), ("status", "405"))]
        == 100
    )


def test_histograms_of_several_labels_are_shown_with_all_of_them() -> None:
    metrics, spread = Metrics(), Histogram((1.0, 2.0))
    spread.observe(1.5, times=3)
    metrics.histograms("qsuite_work_seconds", "work", ("kind", "outcome"), lambda: {("sweep", "done"): spread})
    metrics.counters("qsuite_refused", "refusals", "code", lambda: {"risk.halted": 2.0})
    samples = shown(metrics)
    labels = (("kind", "sweep"), ("outcome", "done"))
    assert samples["qsuite_work_seconds_bucket", (labels[0], ("le", "2.0"), labels[1])] == 3
    assert samples["qsuite_work_seconds_sum", labels] == 4.5
    assert samples["qsuite_refused_total", (("code", "risk.halted"),)] == 2


def test_readers_are_asked_at_each_scrape() -> None:
    metrics, level = Metrics(), [1.0]
    metrics.gauge("qsuite_queue", "waiting", lambda: level[0])
    metrics.counter("qsuite_batches", "committed", lambda: 5.0)
    metrics.gauges("qsuite_up", "by service", "service", lambda: {"engine": 1.0, "redis": 0.0})
    assert shown(metrics)["qsuite_queue", ()] == 1
    level[0] = 2.0
    samples = shown(metrics)
    assert samples["qsuite_queue", ()] == 2
    assert samples["qsuite_batches_total", ()] == 5
    assert samples["qsuite_up", (("service", "engine"),)] == 1
    assert samples["qsuite_up", (("service", "redis"),)] == 0


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    # Prometheus' rule: 10 values in (1, 2]; the median's rank 5 is half way through them.
    histogram = Histogram((1.0, 2.0, 4.0))
    assert histogram.quantile(0.5) is None
    for _ in range(10):
        histogram.observe(1.5)
    assert histogram.quantile(0.5) == 1.5
    assert histogram.quantile(1.0) == 2.0
    histogram.observe(math.inf)
    assert histogram.quantile(1.0) == 4.0
