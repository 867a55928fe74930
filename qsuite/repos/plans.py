"""What backtests and sweeps are stored by alike: the plan they were played by, and how a run is kept and found.

Invariant: a plan read back equals the one written. A run's ``_id`` is its job's, so a job that runs twice stores one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from qsuite.domain.backtests.plan import Plan, plan_from
from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.money import show_all
from qsuite.domain.times import datetime_to_ns, format_rfc3339, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimals, encode_decimal, encode_decimals, encode_optional
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import money

PLAN_SHAPE: Document = {
    "_id": {"bsonType": "binData"},
    "owner": {"bsonType": "binData"},
    "strategy": {"bsonType": "string"},
    "symbols": {"bsonType": "array", "items": {"bsonType": "string"}},
    "interval": {"bsonType": "string"},
    "start": {"bsonType": ["date", "null"]},
    "end": {"bsonType": ["date", "null"]},
    "initial_cash": money(),
    "commission": {"bsonType": "object"},
    "commissions": {"bsonType": "object"},
    "slippage_bps": money(),
    "participation": money(nullable=True),
    "seed": {"bsonType": ["int", "long"]},
    "adjusted": {"bsonType": "bool"},
    "finish": {"bsonType": "string"},
    "created_at": {"bsonType": "date"},
}
"""The validator's part for the plan and whose it is."""

PLAN_FIELDS: dict[str, FieldMap] = {
    "id": plain("_id"),
    "owner": plain("owner"),
    "strategy": plain("strategy"),
    "symbol": plain("symbols"),
    "interval": plain("interval"),
    "created_at": instant("created_at"),
}

_PLAIN = tuple(field.name for field in fields(Plan) if field.name not in ("start", "end"))


class Run(Protocol):
    """What is kept under its job's id."""

    @property
    def id(self) -> UUID:
        """Return the job's id."""


R = TypeVar("R", bound=Run)


@dataclass(frozen=True, slots=True)
class Kind(Generic[R]):
    """How one kind of run is stored; ``bulk`` are the fields that a list goes without."""

    name: str
    word: str
    to_document: Callable[[R], Document]
    to_domain: Callable[[Document], R]
    fields: dict[str, FieldMap]
    bulk: Sequence[str]


class RunsRepo(Generic[R]):
    """Keep runs of one kind."""

    def __init__(self, database: Database, kind: Kind[R]) -> None:
        self._database = database
        self._kind = kind
        self._runs = database.collection(kind.name)

    async def put(self, run: R) -> None:
        """Store one; the same again changes nothing."""
        document = self._kind.to_document(run)
        with translated(self._kind.word):
            await self._runs.replace_one({"_id": run.id}, document, upsert=True)

    async def find(self, identity: UUID) -> R | None:
        """Return a whole one, or None. Up to megabytes: read and decoded in a thread."""
        return await self._database.in_reader(self._find, identity)

    async def get(self, identity: UUID) -> R:
        """Return a whole one. NotFound."""
        found = await self.find(identity)
        if found is None:
            raise NotFound(f"no {self._kind.word} {identity}")
        return found

    async def page(self, listing: Listing, owner: UUID | None) -> Page[R]:
        """Return a page of an owner's, or everybody's for None; without their bulk."""
        if owner is not None:
            listing = listing.where(Condition("owner", "eq", owner))
        kind, without = self._kind, dict.fromkeys(self._kind.bulk, 0)
        return await find_page(self._runs, listing, to_domain=kind.to_domain, fields=kind.fields, projection=without)

    def _find(self, identity: UUID) -> R | None:
        with translated(self._kind.word):
            found = self._database.sync[self._kind.name].find_one({"_id": identity})
        return None if found is None else self._kind.to_domain(found)


def plan_document(plan: Plan) -> Document:
    """Write a plan's fields as they are stored."""
    return plan.plain() | {
        "start": None if plan.start is None else ns_to_datetime(plan.start),
        "end": None if plan.end is None else ns_to_datetime(plan.end),
        "initial_cash": encode_decimal(plan.initial_cash),
        "parameters": encode_decimals(plan.parameters),
        "commission": encode_decimals(plan.commission),
        "commissions": encode_decimals(plan.commissions),
        "slippage_bps": encode_decimal(plan.slippage_bps),
        "participation": encode_optional(plan.participation),
    }


def plan_of(document: Document) -> Plan:
    """Read the plan in a document back."""
    values: dict[str, Any] = show_all(decode_decimals({name: document[name] for name in _PLAIN}))
    for name in ("start", "end"):
        moment = document[name]
        values[name] = None if moment is None else format_rfc3339(datetime_to_ns(moment))
    return plan_from(values)
