"""Health, metrics and system metrics, as those who ask see them."""

import asyncio
import time
from decimal import Decimal

from prometheus_client.parser import text_string_to_metric_families

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Quote
from qsuite.services.engine_jobs import EngineState
from tests.support.running_app import Api
from tests.support.waiting import eventually


async def samples(api: Api) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await api.anonymous.get("/metrics")
    assert answer.status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_a_running_system_is_healthy_and_ready_for_anybody_who_asks(api: Api) -> None:
    answer = await api.anonymous.get("/health")
    assert answer.status == 200
    services = answer.json["services"]
    assert set(services) == {"database", "redis", "engine", "workers", "feed", "disk", "clock"}
    assert (services["database"], services["engine"], services["workers"]) == ("up", "up", "up")
    assert services["redis"] == "disabled"
    assert (await api.anonymous.get("/health/live")).json == {"status": "live"}
    assert (await api.anonymous.get("/health/ready/")).json == {"status": "ready"}


async def test_a_broken_audit_record_is_told_by_name_and_takes_orders_all_the_same(api: Api, monkeypatch) -> None:
    assert (await api.anonymous.get("/health")).json["audit"] == "ok"
    monkeypatch.setattr(api.app._audit.heads, "broken", {"access"})
    answer = await api.anonymous.get("/health")
    assert (answer.status, answer.json["audit"], answer.json["status"]) == (200, "broken", "degraded")
    assert (await api.anonymous.get("/health/ready")).status == 200
    assert (await samples(api))["qsuite_audit_broken", ()] == 1


async def test_without_the_database_it_is_neither_healthy_nor_ready_but_alive(api: Api, monkeypatch) -> None:
    async def away() -> None:
        raise Unavailable("the database is away")

    health = api.services.health
    monkeypatch.setattr(health, "_ping", away)
    await eventually(lambda: health.now.status == "down")
    answer = await api.anonymous.get("/health")
    assert (answer.status, answer.json["services"]["database"]) == (503, "down")
    assert (await api.anonymous.get("/health/ready")).status == 503
    assert (await api.anonymous.get("/health/live")).status == 200
    monkeypatch.undo()
    await eventually(lambda: health.now.services["database"] == "up")
    assert (await api.anonymous.get("/health/ready")).status == 200


async def test_an_engine_that_stands_by_is_not_ready_and_says_who_it_is(api: Api, monkeypatch) -> None:
    monkeypatch.setattr(api.app.engine, "state", EngineState.STANDBY)
    answer = await api.anonymous.get("/health")
    assert (answer.status, answer.json["status"], answer.json["services"]["engine"]) == (200, "degraded", "standby")
    assert (await api.anonymous.get("/health/ready")).status == 503


async def test_requests_are_counted_by_route_and_never_by_path(api: Api) -> None:
    before = await samples(api)
    for symbol in ("AAA", "BBB", "CCC"):
        await api.trader.get(f"/api/v1/tickers/{symbol}/")
    await api.anonymous.get("/no/such/path/anywhere")
    after = await samples(api)
    changed = {key for key in after if after[key] != before.get(key) and key[0] == "qsuite_http_requests_total"}
    routes = {dict(labels)["route"] for _, labels in changed}
    assert routes == {"/api/v1/tickers/{id}/", "unknown", "/metrics/"}
    key = ("qsuite_http_requests_total", (("method", "GET"), ("route", "/api/v1/tickers/{id}/"), ("status", "404")))
    assert after[key] - before.get(key, 0) == 3


async def test_the_metrics_show_what_operators_alarm_on(api: Api) -> None:
    names = {name for name, _ in await samples(api)}
    assert names >= {
        "qsuite_up",
        "qsuite_ready",
        "qsuite_engine_batches_total",
        "qsuite_engine_batch_size",
        "qsuite_engine_queue",
        "qsuite_ticks_published_total",
        "qsuite_stream_clients",
        "qsuite_loop_failures",
        "qsuite_http_request_seconds_bucket",
        "process_resident_memory_bytes",
    }


async def test_system_metrics_count_what_is_stored_and_need_a_login(api: Api) -> None:
    assert (await api.anonymous.get("/api/v1/system-metrics/")).status == 401
    shown = (await api.viewer.get("/api/v1/system-metrics/")).json
    assert set(shown) == {"database", "performance", "engine", "streams", "timestamp"}
    assert set(shown["database"]) == {"market_data_records", "total_orders", "ticks"}
    assert set(shown["performance"]) == {"orders_per_minute", "avg_execution_latency_ms", "p50_ms", "p99_ms"}
    assert set(shown["engine"]) == {"batches", "batch_size", "queue"}
    assert set(shown["streams"]) == {"clients", "messages_per_second"}
    assert shown["database"]["total_orders"] == 0


async def test_many_askers_are_answered_from_memory(api: Api, monkeypatch) -> None:
    asked = []
    ping = api.services.health._ping

    async def counted() -> None:
        asked.append(1)
        await ping()

    monkeypatch.setattr(api.services.health, "_ping", counted)
    answers = await asyncio.gather(*(api.anonymous.get("/health") for _ in range(200)))
    assert {answer.status for answer in answers} == {200}
    assert len(asked) < 20


async def test_with_next_to_no_room_no_order_is_taken_and_one_can_be_cancelled(api: Api, monkeypatch) -> None:
    await api.services.reference.ensure_ticker("ROOM", {"name": "for full disks"})
    await api.services.market.publish([Quote("ROOM", time.time_ns(), Decimal("99.99"), Decimal("100.01"))])
    terms = {"symbol": "ROOM", "side": "BUY", "order_type": "LIMIT", "price": "60", "quantity": 1}
    placed, held = [(await api.trader.post("/api/v1/orders/", terms | {"hold": hold})).json for hold in (False, True)]
    monkeypatch.setattr(api.app.engine, "disk_full", lambda: True)
    for path, body in (("", terms), (f"{held['id']}/execute/", None), ("bulk/", [terms])):
        answer = await api.trader.post(f"/api/v1/orders/{path}", body)
        assert (answer.status, answer.code) == (503, "disk.full"), path
    changed = await api.trader.patch(f"/api/v1/orders/{placed['id']}/", {"quantity": 2})
    assert (changed.status, changed.code) == (503, "disk.full")
    checked = await api.trader.post("/api/v1/risk/check/", terms)
    assert checked.status == 200
    for order in (placed, held):
        cancelled = await api.trader.post(f"/api/v1/orders/{order['id']}/cancel/")
        assert (cancelled.status, cancelled.json["status"]) == (200, "CANCELLED")
