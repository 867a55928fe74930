"""The figures of orders as they are measured: by the way they came and where they trade, and through the engine."""

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from qsuite.domain.market import Quote
from qsuite.services import system_metrics
from tests.support.running_app import Api
from tests.support.ws import WsClient

SYMBOLS = {"paper": "LATP", "book": "LATB"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: Any) -> None:
    async def open_market() -> None:
        for venue, symbol in SYMBOLS.items():
            await api.services.reference.ensure_ticker(symbol, {"name": symbol, "execution_mode": venue})
        quotes = [Quote(symbol, time.time_ns(), Decimal(99), Decimal(101)) for symbol in SYMBOLS.values()]
        await api.services.market.publish(quotes[:1])

    io_loop.run_sync(open_market)


def order(venue: str, price: str = "100") -> dict[str, Any]:
    return {"symbol": SYMBOLS[venue], "side": "BUY", "order_type": "LIMIT", "quantity": "10", "price": price}


async def scraped(api: Api) -> Samples:
    answer = await api.anonymous.get("/metrics")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def risen(before: Samples, after: Samples, name: str) -> dict[tuple[str, ...], float]:
    """Return by how much each series of a name rose, by its labels' values; those that did not are left out."""
    changes = {
        labels: after[metric, labels] - before.get((metric, labels), 0) for metric, labels in after if metric == name
    }
    return {tuple(value for _, value in labels): change for labels, change in changes.items() if change}


async def test_orders_are_measured_by_the_way_they_came_and_where_they_trade(api: Api) -> None:
    trader = await api.new_client("trader")
    before = await scraped(api)
    for venue in ("paper", "book"):
        assert (await trader.post("/api/v1/orders/", order(venue))).status == 201
    bulk = await trader.post("/api/v1/orders/bulk/", {"orders": [order("paper"), order("book"), order("paper"), {}]})
    assert bulk.json["accepted"] == 3
    async with await WsClient.open(api.port, token=trader.token) as socket:
        for number in range(2):
            await socket.ask({"action": "order", "id": number, "order": order("book")})
    refused = await trader.post("/api/v1/orders/", order("paper") | {"quantity": "10001"})
    assert refused.status == 422
    after = await scraped(api)
    assert risen(before, after, "qsuite_order_seconds_count") == {
        ("paper", "rest"): 1,
        ("book", "rest"): 1,
        ("paper", "bulk"): 2,
        ("book", "bulk"): 1,
        ("book", "websocket"): 2,
    }
    assert risen(before, after, "qsuite_orders_refused_total") == {("risk.max_quantity",): 1}
    assert risen(before, after, "qsuite_engine_orders_total") == {(): 8}
    performance = (await trader.get("/api/v1/system-metrics/")).json["performance"]
    assert performance["orders_per_minute"] >= 8
    assert 0 < performance["p50_ms"] <= performance["p99_ms"]
    assert performance["avg_execution_latency_ms"] > 0


async def test_each_stage_of_the_engine_and_each_commit_is_measured(api: Api) -> None:
    trader = await api.new_client("trader")
    before = await scraped(api)
    assert (await trader.post("/api/v1/orders/", order("paper"))).status == 201
    after = await scraped(api)
    stages = risen(before, after, "qsuite_engine_stage_seconds_count")
    assert {("queue",), ("decide",), ("encode",), ("commit",), ("publish",)} <= stages.keys()
    batches = risen(before, after, "qsuite_engine_batches_total")[()]
    assert 1 <= risen(before, after, "qsuite_commit_seconds_count")[("committed",)] <= batches
    # The fence, the order, the account, the audit entries and the end of the transaction, at the least.
    assert risen(before, after, "qsuite_commit_statements_total")[()] >= 5
    seconds = risen(before, after, "qsuite_engine_stage_seconds_sum")
    assert risen(before, after, "qsuite_commit_seconds_sum")[("committed",)] <= seconds["commit",]


async def test_commands_to_the_database_are_measured_by_name_and_connections_are_counted(api: Api) -> None:
    trader = await api.new_client("trader")
    before = await scraped(api)
    assert (await trader.post("/api/v1/orders/", order("paper"))).status == 201
    after = await scraped(api)
    commands = risen(before, after, "qsuite_database_command_seconds_count")
    assert {("insert",), ("update",), ("commitTransaction",)} <= commands.keys()
    assert after["qsuite_database_primary", ()] == 1
    assert after["qsuite_database_members", (("kind", "primary"),)] == 1
    assert after["qsuite_database_pool_waiting", ()] == 0
    assert after["qsuite_database_pool_connections", ()] >= after["qsuite_database_pool_in_use", ()] >= 0
    failed = ("qsuite_database_command_failures_total", (("command", "find"),))
    with pytest.raises(Exception, match="unknown"):
        api.database.sync.command("find", "orders", filter={"$nonsense": 1})
    assert (await scraped(api))[failed] == after.get(failed, 0) + 1


@pytest.fixture
def profiled(api: Api) -> Iterator[Any]:
    database = api.database.sync
    database.command("profile", 0)
    database.drop_collection("system.profile")
    database.command("profile", 2)
    yield database["system.profile"]
    database.command("profile", 0)


async def test_what_is_stored_is_counted_without_looking_at_it(
    api: Api, profiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.viewer.get("/api/v1/system-metrics/")  # ticks are counted once in a process's life, then followed
    monkeypatch.setattr(system_metrics, "COUNT_EVERY_S", 0.0)
    profiled.database.command("profile", 0)
    profiled.drop()
    profiled.database.command("profile", 2)
    shown = (await api.viewer.get("/api/v1/system-metrics/")).json["database"]
    profiled.database.command("profile", 0)
    assert all(count is not None for count in shown.values())
    counted = [done for done in profiled.find() if done.get("command", {}).get("count")]
    assert {done["command"]["count"] for done in counted} >= {"orders", "market_data"}
    for done in counted:
        assert done.get("planSummary") in ("RECORD_STORE_FAST_COUNT", None), done
        assert done.get("docsExamined", 0) == 0, done
    scans = [done["ns"] for done in profiled.find({"planSummary": "COLLSCAN"})]
    assert not [name for name in scans if name.rpartition(".")[2] in ("orders", "market_data", "ticks", "tick_blocks")]
