"""Orders many at a time, in bulk and over the WebSocket, beside single ones; and what a million stored ones cost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from uuid_utils.compat import uuid7

from benchmarks.harness import Figure, in_pairs
from benchmarks.orders import CLIENTS, load, order_request, throughput
from benchmarks.server import ROOT, SYMBOL, Running, running_qsuite
from qsuite.domain.trading.order import Order, OrderType, Side, Status, TimeInForce
from qsuite.repos.database import CODEC
from qsuite.repos.orders import order_document

IN_A_BODY = 250
BODIES = 48
BULK_CLIENTS = 4
SOCKETS = 8
OVER_SOCKETS = 12_000
STORED = 1_000_000
AT_ONCE = 10_000


def figures() -> list[Figure]:
    """Measure the rows."""
    return [*many_at_a_time(), a_million_stored()]


def many_at_a_time() -> list[Figure]:
    """Measure bulk and WebSocket order entry on the server that single orders are sent to."""
    with running_qsuite() as qsuite:
        single = order_request(qsuite.trader)

        def one_by_one() -> float:
            return throughput(qsuite.port, single)

        def in_bulk() -> float:
            return load(qsuite.port, BODIES, BULK_CLIENTS, bulk_request(qsuite.trader))["per_s"] * IN_A_BODY

        def over_sockets() -> float:
            return stream_orders(qsuite, OVER_SOCKETS)

        for warm_up in (one_by_one, in_bulk, over_sockets):
            warm_up()
        peer = {"peer": f"single REST, {CLIENTS} clients", "measure_peer": one_by_one}
        bars = {"first_bar": ">= 3", "aim": ">= 6"}
        return [
            in_pairs(f"durable orders in bulk, {IN_A_BODY} a body", unit="1/s", measure=in_bulk, **peer, **bars),
            in_pairs(f"durable orders over {SOCKETS} sockets", unit="1/s", measure=over_sockets, **peer, **bars),
        ]


def bulk_request(token: str) -> dict[str, Any]:
    """Describe a body of many market orders, each with a client id."""
    orders = [
        {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": "1", "client_order_id": f"%ID%-{number}"}
        for number in range(IN_A_BODY)
    ]
    return order_request(token) | {"path": "/api/v1/orders/bulk/", "body": json.dumps({"orders": orders})}


def stream_orders(qsuite: Running, orders: int) -> float:
    """Send orders over WebSockets from a process of its own; return how many a second were answered."""
    command = [sys.executable, "-m", "benchmarks.stream_orders", str(qsuite.port), str(SOCKETS), str(orders), SYMBOL]
    done = subprocess.run(command, input=qsuite.trader, text=True, capture_output=True, check=True, cwd=ROOT)
    return float(done.stdout)


def a_million_stored() -> Figure:
    """Measure what an order costs a server with a million in its database, beside one that began empty."""
    with running_qsuite() as full, running_qsuite() as empty:
        store_orders(full)
        requests = {full.port: order_request(full.trader), empty.port: order_request(empty.trader)}
        for port, request in requests.items():
            throughput(port, request)
        return in_pairs(
            f"cost of an order, {STORED:,} stored",
            unit="us",
            measure=lambda: 1e6 / throughput(full.port, requests[full.port]),
            peer="the same with none",
            measure_peer=lambda: 1e6 / throughput(empty.port, requests[empty.port]),
            first_bar="<= 1.15",
            aim="<= 1.02",
        )


def store_orders(qsuite: Running) -> None:
    """Store filled orders of the trader's, each with a client id, as years of trading would leave them."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(qsuite.mongodb_uri)
    codec: CodecOptions[Any] = CODEC
    database = client.get_database("qsuite", codec_options=codec)
    account = database.accounts.find_one({"name": "bench-trader"})
    assert account is not None
    for start in range(0, STORED, AT_ONCE):
        database.orders.insert_many(list(filled_orders(account, start)), ordered=False)
    client.close()


def filled_orders(account: dict[str, Any], start: int) -> Iterator[dict[str, Any]]:
    """Make some of the orders, one a second."""
    for number in range(start, start + AT_ONCE):
        order = Order(
            id=uuid7(),
            account=account["_id"],
            symbol=SYMBOL,
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=Decimal(1),
            time_in_force=TimeInForce.DAY,
            client_order_id=f"stored-{number}",
            created_by=account["user"],
            created_at=number * 1_000_000_000,
            updated_at=number * 1_000_000_000,
            filled_quantity=Decimal(1),
            filled_value=Decimal("1.01"),
            commission=Decimal("0.005"),
        )
        order.move(Status.PENDING, order.created_at)
        order.move(Status.FILLED, order.created_at)
        yield order_document(order)
