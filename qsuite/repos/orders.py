"""Orders as documents. The engine's commit writes them; everybody else only reads.

    {
      "_id": UUID("0199…"), "account": UUID("…"), "symbol": "IBM", "side": "BUY", "order_type": "LIMIT",
      "quantity": Decimal128("100"), "price": Decimal128("181.50"), "time_in_force": "DAY",
      "client_order_id": "mine-17", "status": "FILLED", "filled_quantity": Decimal128("100"),
      "filled_value": Decimal128("18150.00"), "avg_fill_price": Decimal128("181.50"),
      "commission": Decimal128("0.500"), "reserved": Decimal128("0"), "created_by": UUID("…"),
      "arrival_price": Decimal128("181.495"), "created_at": ISODate("…"), "updated_at": ISODate("…"),
      "expires_at": ISODate("…"), "version": 2, "request_hash": "9f86…"
    }

``arrival_price`` is the middle of the quote, or the last trade, when the order was placed: what its fills are held
against.

Absent: ``price`` of a market order, ``arrival_price`` where the market showed nothing, ``client_order_id`` and
``strategy`` where none was given, ``reject`` unless refused, ``original`` unless a later event changed what the first
answer said, and all that only stops, brackets and their legs have (``stop_price``, ``trail_percent``, ``trail_price``,
``triggered``, ``take_profit``, ``stop_loss``, ``parent``, ``oco``). Only open orders keep ``arrival``, their place in
the queue at their price, ``sent_at``, and ``taken``, the quote or print they last took from.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, DESCENDING, IndexModel

from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.order import (
    OPEN,
    WITH_STOP,
    Order,
    OrderType,
    Side,
    Status,
    StopLoss,
    TakeProfit,
    TimeInForce,
)
from qsuite.repos.bson_pieces import (
    date_writer,
    fields_of,
    known_text_piece,
    money_piece,
    number_piece,
    raw_document,
    text_piece,
    uuid_writer,
)
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, decode_optional, encode_decimal
from qsuite.repos.listing import FieldMap, decimal, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

OPEN_STATUSES = sorted(status.value for status in OPEN)

CLIENT_ID_INDEX = "one_order_per_client_id"

SPEC = CollectionSpec(
    "orders",
    schema(
        "account symbol side order_type quantity time_in_force status filled_quantity filled_value commission reserved"
        " created_by created_at updated_at version",
        {
            "_id": {"bsonType": "binData"},
            "account": {"bsonType": "binData"},
            "symbol": {"bsonType": "string"},
            "side": {"enum": [side.value for side in Side]},
            "order_type": {"enum": [kind.value for kind in OrderType]},
            "quantity": money(),
            "price": money(),
            "stop_price": money(),
            "trail_percent": money(),
            "trail_price": money(),
            "triggered": {"bsonType": "bool"},
            "reduce_only": {"bsonType": "bool"},
            "parent": {"bsonType": "binData"},
            "oco": {"bsonType": "binData"},
            "time_in_force": {"enum": [force.value for force in TimeInForce]},
            "client_order_id": {"bsonType": "string"},
            "status": {"enum": [status.value for status in Status]},
            "filled_quantity": money(),
            "filled_value": money(),
            "avg_fill_price": money(),
            "commission": money(),
            "reserved": money(),
            "arrival_price": money(),
            "created_at": {"bsonType": "date"},
            "updated_at": {"bsonType": "date"},
            "version": {"bsonType": ["int", "long"], "minimum": 1},
        },
    ),
    (
        IndexModel(
            [("account", ASCENDING), ("client_order_id", ASCENDING)],
            name=CLIENT_ID_INDEX,
            unique=True,
            # Not {"$type": "string"}: MongoDB then scans the collection for a query that does not repeat it.
            partialFilterExpression={"client_order_id": {"$exists": True}},
        ),
        IndexModel([("account", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)], name="of_an_account"),
        IndexModel(
            [("strategy", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)],
            name="of_a_strategy",
            partialFilterExpression={"strategy": {"$exists": True}},
        ),
        IndexModel(
            [("status", ASCENDING)], name="open_orders", partialFilterExpression={"status": {"$in": OPEN_STATUSES}}
        ),
    ),
)

FIELDS: dict[str, FieldMap] = {
    "account": plain("account"),
    "symbol": plain("symbol"),
    "side": plain("side"),
    "order_type": plain("order_type"),
    "time_in_force": plain("time_in_force"),
    "status": plain("status"),
    "strategy": plain("strategy"),
    "client_order_id": plain("client_order_id"),
    "quantity": decimal("quantity"),
    "price": decimal("price", nullable=True),
    "created_at": instant("created_at"),
    "updated_at": instant("updated_at"),
}

# What an original may keep as money; which of them it has depends on what changed since.
_ORIGINAL_MONEY = ("quantity", "price", "stop_price", "filled_quantity", "filled_value", "commission")


_ID, _ACCOUNT, _STRATEGY, _CREATED_BY = map(uuid_writer, ("_id", "account", "strategy", "created_by"))
_CREATED_AT, _UPDATED_AT, _EXPIRES_AT, _SENT_AT = map(
    date_writer, ("created_at", "updated_at", "expires_at", "sent_at")
)


def order_document(order: Order) -> RawBSONDocument:
    """Write an order as a whole document."""
    pieces = [
        _ID(order.id),
        _ACCOUNT(order.account),
        known_text_piece("symbol", order.symbol),
        known_text_piece("side", order.side),
        known_text_piece("order_type", order.order_type),
        money_piece("quantity", order.quantity),
        known_text_piece("time_in_force", order.time_in_force),
        known_text_piece("status", order.status),
        money_piece("filled_quantity", order.filled_quantity),
        money_piece("filled_value", order.filled_value),
        money_piece("commission", order.commission),
        money_piece("reserved", order.reserved),
        _CREATED_BY(order.created_by),
        _CREATED_AT(order.created_at),
        _UPDATED_AT(order.updated_at),
        number_piece("version", order.version),
        text_piece("request_hash", order.request_hash),
    ]
    average = order.avg_fill_price
    if average is not None:
        pieces.append(money_piece("avg_fill_price", average))
    if order.price is not None:
        pieces.append(money_piece("price", order.price))
    if order.arrival_price is not None:
        pieces.append(money_piece("arrival_price", order.arrival_price))
    if order.expires_at is not None:
        pieces.append(_EXPIRES_AT(order.expires_at))
    if order.client_order_id is not None:
        pieces.append(text_piece("client_order_id", order.client_order_id))
    if order.strategy is not None:
        pieces.append(_STRATEGY(order.strategy))
    if order.status in OPEN:
        pieces += [number_piece("arrival", order.arrival), _SENT_AT(order.sent_at)]
        if order.taken is not None:
            pieces.append(text_piece("taken", order.taken))
    rarer = _rarer_fields(order)
    if rarer:
        pieces.append(fields_of(rarer))
    return raw_document(pieces)


def _rarer_fields(order: Order) -> Document:
    """Return what most orders do not have."""
    document: Document = {}
    if order.original is not None:
        document["original"] = _original_document(order.original)
    if order.reject is not None:
        document["reject"] = order.reject
    if order.order_type in WITH_STOP or order.parent is not None or order.is_bracket or order.reduce_only:
        document.update(_fields_of_stops_and_legs(order))
    return document


def _fields_of_stops_and_legs(order: Order) -> Document:
    document: Document = {}
    for name in ("stop_price", "trail_percent", "trail_price"):
        value = getattr(order, name)
        if value is not None:
            document[name] = encode_decimal(value)
    for name in ("parent", "oco"):
        if getattr(order, name) is not None:
            document[name] = getattr(order, name)
    for name in ("triggered", "reduce_only"):
        if getattr(order, name):
            document[name] = True
    if order.take_profit is not None:
        document["take_profit"] = {"price": encode_decimal(order.take_profit.price)}
    if order.stop_loss is not None:
        legs = {"stop_price": encode_decimal(order.stop_loss.stop_price)}
        if order.stop_loss.price is not None:
            legs["price"] = encode_decimal(order.stop_loss.price)
        document["stop_loss"] = legs
    return document


def order_from(document: Document) -> Order:
    """Read an order back, equal to what was written."""
    expires_at, sent_at = document.get("expires_at"), document.get("sent_at")
    take_profit, stop_loss = document.get("take_profit"), document.get("stop_loss")
    return Order(
        id=document["_id"],
        account=document["account"],
        symbol=document["symbol"],
        side=Side(document["side"]),
        order_type=OrderType(document["order_type"]),
        quantity=decode_decimal(document["quantity"]),
        price=decode_optional(document.get("price")),
        stop_price=decode_optional(document.get("stop_price")),
        trail_percent=decode_optional(document.get("trail_percent")),
        trail_price=decode_optional(document.get("trail_price")),
        reduce_only=document.get("reduce_only", False),
        take_profit=None if take_profit is None else TakeProfit(decode_decimal(take_profit["price"])),
        stop_loss=None
        if stop_loss is None
        else StopLoss(decode_decimal(stop_loss["stop_price"]), decode_optional(stop_loss.get("price"))),
        parent=document.get("parent"),
        oco=document.get("oco"),
        triggered=document.get("triggered", False),
        sent_at=0 if sent_at is None else datetime_to_ns(sent_at),
        arrival=document.get("arrival", 0),
        taken=document.get("taken"),
        arrival_price=decode_optional(document.get("arrival_price")),
        time_in_force=TimeInForce(document["time_in_force"]),
        client_order_id=document.get("client_order_id"),
        strategy=document.get("strategy"),
        request_hash=document.get("request_hash", ""),
        status=Status(document["status"]),
        filled_quantity=decode_decimal(document["filled_quantity"]),
        filled_value=decode_decimal(document["filled_value"]),
        commission=decode_decimal(document["commission"]),
        reserved=decode_decimal(document["reserved"]),
        reject=document.get("reject"),
        created_by=document["created_by"],
        created_at=datetime_to_ns(document["created_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        expires_at=None if expires_at is None else datetime_to_ns(expires_at),
        version=document["version"],
        original=_original_from(document.get("original")),
    )


def _original_document(original: dict[str, Any]) -> Document:
    document = dict(original, status=original["status"].value, updated_at=ns_to_datetime(original["updated_at"]))
    document.update(
        {name: encode_decimal(original[name]) for name in _ORIGINAL_MONEY if original.get(name) is not None}
    )
    return document


def _original_from(document: Document | None) -> dict[str, Any] | None:
    if document is None:
        return None
    original = dict(document, status=Status(document["status"]), updated_at=datetime_to_ns(document["updated_at"]))
    original.update({name: decode_decimal(document[name]) for name in _ORIGINAL_MONEY if name in document})
    return original


class OrdersRepo:
    """Read orders. Every query names the accounts it may see; None sees all."""

    def __init__(self, database: Database) -> None:
        self._orders = database.collection(SPEC.name)

    async def get(self, order_id: UUID, accounts: Iterable[UUID] | None) -> Order:
        """Return an order, NotFound if it is not there or not theirs."""
        return await self._one({"_id": order_id}, accounts)

    async def get_by_client_id(self, client_order_id: str, accounts: Iterable[UUID] | None) -> Order:
        """Return the order placed under this client id, NotFound if there is none."""
        return await self._one({"client_order_id": client_order_id}, accounts)

    async def page(self, listing: Listing, accounts: Iterable[UUID] | None) -> Page[Order]:
        """Return a page of orders."""
        if accounts is not None:
            listing = listing.where(Condition("account", "in", tuple(accounts)))
        return await find_page(self._orders, listing, to_domain=order_from, fields=FIELDS, search_fields=("symbol",))

    async def count(self) -> int:
        """Return about how many orders are stored."""
        with translated("orders"):
            return int(await self._orders.estimated_document_count())

    async def _one(self, query: Document, accounts: Iterable[UUID] | None) -> Order:
        if accounts is not None:
            query = query | {"account": {"$in": list(accounts)}}
        with translated("order"):
            document = await self._orders.find_one(query)
        if document is None:
            raise NotFound("no such order")
        return order_from(document)
