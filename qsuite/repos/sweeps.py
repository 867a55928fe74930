"""Sweeps: what was asked, and a column of each parameter and each figure with one place a set.

{ _id: UUID("0199…"), owner: UUID("0198…"), strategy: "sma_cross", symbols: ["IBM"], interval: "1d",
  start: ISODate("2004-08-19T00:00:00Z"), end: null, initial_cash: Decimal128("10000"),
  best_parameters: { fast: 10, slow: 30, quantity: Decimal128("50") },
  asked: { fast: [5, 10], slow: { from: 20, to: 60, step: 10 }, quantity: 50 },
  commission: { model: "percent", percent: Decimal128("0.1") }, commissions: {}, slippage_bps: Decimal128("5"),
  participation: null, seed: 0, source: "bars", adjusted: true, finish: "leave",
  rank_by: "sharpe_ratio", bars: 2148, bars_a_year: 252.0, count: 10, left_out: 0,
  sets: { fast: [5, 5, …], slow: [20, 30, …], quantity: [Decimal128("50"), …] },
  figures: { total_return: [0.42, 0.17, …], sharpe_ratio: [0.81, null, …], … }, ranking: [7, 2, …],
  deflated: { probability: 0.31, luck: 0.041, trials: 10, variance: 0.0007 }, created_at: ISODate("…") }

``_id`` is the job's, and that of the best set's backtest. Once stored it never changes. At 20,000 sets, the most there
can be, it has some 7 MB of the 16 a document may have.
"""

from typing import Any
from uuid import UUID

from pymongo import IndexModel

from qsuite.domain.backtests.deflated import Deflated
from qsuite.domain.backtests.plan import plan_from
from qsuite.domain.backtests.swept_record import Sweep
from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.money import show_all
from qsuite.domain.times import datetime_to_ns, format_rfc3339, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimals, encode_decimal, encode_decimals, encode_optional
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

NAME = "sweeps"

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id owner strategy symbols interval initial_cash best_parameters asked commission slippage_bps rank_by bars"
        " bars_a_year count left_out sets figures ranking created_at",
        {
            "_id": {"bsonType": "binData"},
            "owner": {"bsonType": "binData"},
            "strategy": {"bsonType": "string"},
            "symbols": {"bsonType": "array", "items": {"bsonType": "string"}},
            "interval": {"bsonType": "string"},
            "start": {"bsonType": ["date", "null"]},
            "end": {"bsonType": ["date", "null"]},
            "initial_cash": money(),
            "best_parameters": {"bsonType": "object"},
            "asked": {"bsonType": "object"},
            "commission": {"bsonType": "object"},
            "commissions": {"bsonType": "object"},
            "slippage_bps": money(),
            "participation": money(nullable=True),
            "seed": {"bsonType": ["int", "long"]},
            "source": {"enum": ["bars"]},
            "adjusted": {"bsonType": "bool"},
            "finish": {"bsonType": "string"},
            "rank_by": {"bsonType": "string"},
            "bars": {"bsonType": ["int", "long"]},
            "bars_a_year": {"bsonType": "double"},
            "count": {"bsonType": ["int", "long"], "minimum": 1},
            "left_out": {"bsonType": ["int", "long"]},
            "sets": {"bsonType": "object"},
            "figures": {"bsonType": "object"},
            "ranking": {"bsonType": "array", "minItems": 1},
            "deflated": {"bsonType": ["object", "null"]},
            "created_at": {"bsonType": "date"},
        },
    ),
    (
        IndexModel([("owner", 1), ("created_at", -1), ("_id", -1)], name="of_an_owner"),
        IndexModel([("created_at", -1), ("_id", -1)], name="newest"),
    ),
)

FIELDS: dict[str, FieldMap] = {
    "id": plain("_id"),
    "owner": plain("owner"),
    "strategy": plain("strategy"),
    "symbol": plain("symbols"),
    "interval": plain("interval"),
    "created_at": instant("created_at"),
}
COLUMNS = ("sets", "figures", "ranking")


class SweepsRepo:
    """Keep sweeps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sweeps = database.collection(NAME)

    async def put(self, sweep: Sweep) -> None:
        """Store one; the same again changes nothing."""
        document = to_document(sweep)
        with translated("sweep"):
            await self._sweeps.replace_one({"_id": sweep.id}, document, upsert=True)

    async def find(self, identity: UUID) -> Sweep | None:
        """Return one with its columns, or None. Megabytes: read and decoded in a thread."""
        return await self._database.in_reader(self._find, identity)

    async def get(self, identity: UUID) -> Sweep:
        """Return one with its columns. NotFound."""
        found = await self.find(identity)
        if found is None:
            raise NotFound(f"no sweep {identity}")
        return found

    async def page(self, listing: Listing, owner: UUID | None) -> Page[Sweep]:
        """Return a page of an owner's sweeps, or everybody's for None; without their columns."""
        if owner is not None:
            listing = listing.where(Condition("owner", "eq", owner))
        without = dict.fromkeys(COLUMNS, 0)
        return await find_page(self._sweeps, listing, to_domain=to_domain, fields=FIELDS, projection=without)

    def _find(self, identity: UUID) -> Sweep | None:
        with translated("sweep"):
            found = self._database.sync[NAME].find_one({"_id": identity})
        return None if found is None else to_domain(found)


def to_document(sweep: Sweep) -> Document:
    """Write a sweep as it is stored."""
    plan = sweep.plan
    document = plan.plain() | {
        "_id": sweep.id,
        "owner": sweep.owner,
        "start": None if plan.start is None else ns_to_datetime(plan.start),
        "end": None if plan.end is None else ns_to_datetime(plan.end),
        "initial_cash": encode_decimal(plan.initial_cash),
        "best_parameters": encode_decimals(plan.parameters),
        "asked": encode_decimals(sweep.asked),
        "commission": encode_decimals(plan.commission),
        "commissions": encode_decimals(plan.commissions),
        "slippage_bps": encode_decimal(plan.slippage_bps),
        "participation": encode_optional(plan.participation),
        "rank_by": sweep.rank_by,
        "bars": sweep.bars,
        "bars_a_year": sweep.bars_a_year,
        "count": sweep.count,
        "left_out": sweep.left_out,
        "sets": encode_decimals(sweep.sets),
        "figures": dict(sweep.figures),
        "ranking": list(sweep.ranking),
        "deflated": None if sweep.deflated is None else sweep.deflated._asdict(),
        "created_at": ns_to_datetime(sweep.created_at),
    }
    del document["parameters"]
    return document


def to_domain(document: Document) -> Sweep:
    """Read a stored sweep, or what is listed of one."""
    deflated = document["deflated"]
    return Sweep(
        id=document["_id"],
        owner=document["owner"],
        plan=plan_from(_plain_plan(document)),
        asked=decode_decimals(document["asked"]),
        rank_by=document["rank_by"],
        bars=document["bars"],
        bars_a_year=document["bars_a_year"],
        count=document["count"],
        left_out=document["left_out"],
        sets=decode_decimals(document.get("sets", {})),
        figures=document.get("figures", {}),
        ranking=tuple(document.get("ranking", ())),
        deflated=None if deflated is None else Deflated(**deflated),
        created_at=datetime_to_ns(document["created_at"]),
    )


def _plain_plan(document: Document) -> dict[str, Any]:
    kept = {name: value for name, value in document.items() if name not in (*COLUMNS, "asked")}
    plain_values: dict[str, Any] = show_all(decode_decimals(kept))
    plain_values["parameters"] = plain_values["best_parameters"]
    for name in ("start", "end"):
        moment = document[name]
        plain_values[name] = None if moment is None else format_rfc3339(datetime_to_ns(moment))
    return plain_values
