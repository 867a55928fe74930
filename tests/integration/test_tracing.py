"""Traces of orders as a collector gets them: whose they are, what hangs on what, and what must not be in them."""

import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qsuite.composition.parts import Parts
from qsuite.domain.errors import SetupError
from qsuite.repos.database import connect
from qsuite.services.tracing import make_traces
from qsuite.settings import Settings, TracingSettings, load_settings
from tests.support.collector import Collector, collecting
from tests.support.running_app import Api, running_api
from tests.support.waiting import eventually
from tests.support.ws import WsClient

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"  # the example of W3C Trace Context, 3.2
ORDER = {"symbol": "IBM", "side": "BUY", "order_type": "LIMIT", "quantity": 10, "price": 1}
CANARY = "canary-8c2f1b"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def traced(
    mongod: str, io_loop: Any, settings: Settings, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    database = connect(mongod, f"test_traces_{uuid.uuid4().hex[:12]}", pool_size=16)
    settings = replace(settings, tracing=TracingSettings(endpoint=collector.url, every_s=0.05))
    context = running_api(settings, database, tmp_path_factory.mktemp("data"), Parts(watched=False))
    try:
        api = io_loop.run_sync(context.__aenter__)
        io_loop.run_sync(lambda: api.services.reference.ensure_ticker("IBM", {"name": "IBM"}))
        yield api
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


async def test_an_order_is_traced_from_its_caller_to_the_commit(traced: Api, collector: Collector) -> None:
    trader = await traced.new_client("trader")
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": "request-of-the-trace"}
    answer = await trader.post("/api/v1/orders/", {**ORDER, "client_order_id": CANARY}, headers=headers)
    assert answer.status in (201, 422), answer  # a control may refuse its price: it is decided and stored all the same

    def of_caller(name: str) -> list[Any]:
        return [span for span in collector.spans(name) if span.trace_id.hex() == TRACE]

    await eventually(lambda: of_caller("POST /api/v1/orders/"))
    (request,) = of_caller("POST /api/v1/orders/")
    assert request.parent_span_id.hex() == CALLER
    told = attributes(request)
    assert told["qsuite.request_id"] == "request-of-the-trace"
    assert (told["http.route"], told["http.response.status_code"]) == ("/api/v1/orders/", answer.status)
    (command,) = of_caller("engine PlaceOrder")
    assert command.parent_span_id == request.span_id

    def batches() -> list[Any]:
        return [one for one in collector.spans("engine batch") if command.span_id in {x.span_id for x in one.links}]

    await eventually(batches)
    (batch,) = batches()
    assert batch.trace_id != command.trace_id, "a batch is many callers'"
    assert attributes(batch)["qsuite.batch"] == attributes(command)["qsuite.batch"]
    (commit,) = [one for one in collector.spans("commit") if one.parent_span_id == batch.span_id]
    assert batch.start_time_unix_nano <= commit.start_time_unix_nano <= commit.end_time_unix_nano
    assert attributes(commit)["statements"] >= 3


async def test_each_order_of_a_socket_is_a_trace_of_its_own(traced: Api, collector: Collector) -> None:
    trader = await traced.new_client("trader")
    async with await WsClient.open(traced.port, token=trader.token) as socket:
        for number in (1, 2):
            await socket.ask({"action": "order", "id": number, "order": ORDER})
    await eventually(lambda: len(collector.spans("websocket order")) >= 2)
    orders = collector.spans("websocket order")
    assert len({span.trace_id for span in orders}) == len(orders)
    children = {span.parent_span_id for span in collector.spans("engine PlaceOrder")}
    assert {span.span_id for span in orders} <= children


async def test_no_body_token_or_path_is_in_a_trace(traced: Api, collector: Collector) -> None:
    trader = await traced.new_client("trader")
    await trader.post("/api/v1/orders/", {**ORDER, "client_order_id": CANARY})
    await trader.get(f"/api/v1/orders/by-client-id/{CANARY}/")
    await eventually(lambda: collector.spans("GET /api/v1/orders/by-client-id/{id}/"))
    assert CANARY not in collector.text
    assert trader.token not in collector.text
    assert trader.user["username"] not in collector.text


async def test_who_says_that_a_request_is_not_to_be_traced_is_heard(traced: Api, collector: Collector) -> None:
    untraced = "5bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{untraced}-{CALLER}-00"}
    assert (await traced.viewer.get("/api/v1/tickers/", headers=headers)).status == 200
    await traced.viewer.get("/api/v1/positions/")
    await eventually(lambda: collector.spans("GET /api/v1/positions/"))
    assert untraced not in {span.trace_id.hex() for span in collector.spans("GET /api/v1/tickers/")}


def test_without_a_collector_nothing_is_traced_and_without_the_library_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert make_traces(TracingSettings(), role="all") is None
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SetupError, match=r"pip install 'qsuite\[tracing\]'"):
        make_traces(TracingSettings(endpoint="http://127.0.0.1:1"), role="all")


def test_the_address_may_stand_where_all_programs_of_a_host_look(tmp_path: Path) -> None:
    usual = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://all:4318"}
    assert load_settings(usual, dotenv=None).tracing.endpoint == "http://all:4318"
    own = tmp_path / "endpoint"
    own.write_text("http://own:4318\n")
    own.chmod(0o600)
    settings = load_settings(usual | {"QSUITE_TRACING__ENDPOINT_FILE": str(own)}, dotenv=None)
    assert settings.tracing.endpoint == "http://own:4318"
