"""How long a start takes with 100,000 open orders to recover, the embedded database and the whole server included."""

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from uuid_utils.compat import uuid7

from benchmarks.harness import Figure, alone
from benchmarks.server import SYMBOL, Running, running_qsuite
from qsuite.domain.trading.order import Order, OrderType, Side, Status, TimeInForce
from qsuite.repos.bson_pieces import decoded
from qsuite.repos.database import CODEC
from qsuite.repos.decimals import encode_decimal
from qsuite.repos.orders import order_document

OPEN_ORDERS = 100_000


def figures() -> list[Figure]:
    """Measure the start."""
    with tempfile.TemporaryDirectory(prefix="qsuite-bench-") as directory:
        where = Path(directory)
        with running_qsuite(where) as qsuite:
            leave_open_orders(qsuite)

        def start() -> float:
            with running_qsuite(where) as qsuite:
                return qsuite.ready_s

        name = f"ready with {OPEN_ORDERS:,} open orders"
        return [alone(name, unit="s", measure=start, first_bar="<= 10 s", aim="<= 3 s")]


def leave_open_orders(qsuite: Running) -> None:
    """Store working limit orders, as if they had been placed and the server had then been killed."""
    client: pymongo.MongoClient[Any] = pymongo.MongoClient(qsuite.mongodb_uri)
    codec: CodecOptions[Any] = CODEC
    database = client.get_database("qsuite", codec_options=codec)
    account = database.accounts.find_one({"name": "bench-trader"})
    assert account is not None
    documents = [order_document(working_order(account, arrival)) for arrival in range(1, OPEN_ORDERS + 1)]
    database.orders.insert_many(documents, ordered=False)
    reserved = sum((decoded(document)["reserved"].to_decimal() for document in documents), Decimal(0))
    database.accounts.update_one({"_id": account["_id"]}, {"$set": {"reserved": encode_decimal(reserved)}})
    client.close()


def working_order(account: dict[str, Any], arrival: int) -> Order:
    """Make a buy that rests far below the market, at its place in the queue."""
    order = Order(
        id=uuid7(),
        account=account["_id"],
        symbol=SYMBOL,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(1),
        price=Decimal("0.50"),
        time_in_force=TimeInForce.GTC,
        created_by=account["user"],
        created_at=0,
        updated_at=0,
        sent_at=1_000_000,
        arrival=arrival,
        reserved=Decimal("0.505"),
    )
    order.move(Status.PENDING, 0)
    return order
