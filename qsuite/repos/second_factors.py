"""Second factors of logins, one document a user. The secret is sealed under a key the database does not have.

{
  _id: UUID("01937d2e-…"), username: "maria.lopez",            // the user's
  sealed: "1.9f86d081.kX3…", last_step: NumberLong(58000123),  // the newest 30 seconds whose code was used
  recovery: ["60303a…", …],                                    // SHA-256 of those not used yet
  created_at: ISODate("2026-03-02T14:30:00.000Z"), confirmed_at: ISODate("2026-03-02T14:31:00.000Z")   // null: pending
}

Using a code up is one atomic step, so that of many logins with the same code one gets in.
"""

from collections.abc import Iterable
from uuid import UUID

from qsuite.domain.errors import AlreadyExists, Conflict
from qsuite.domain.second_factor import SecondFactor
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.database import Session as Transaction
from qsuite.repos.schema import CollectionSpec, schema

SPEC = CollectionSpec(
    "second_factors",
    schema(
        "username sealed last_step recovery created_at confirmed_at",
        {
            "_id": {"bsonType": "binData"},
            "username": {"bsonType": "string"},
            "sealed": {"bsonType": "string"},
            "last_step": {"bsonType": ["int", "long"]},
            "recovery": {"bsonType": "array", "items": {"bsonType": "string", "minLength": 64, "maxLength": 64}},
            "created_at": {"bsonType": "date"},
            "confirmed_at": {"bsonType": ["date", "null"]},
        },
    ),
)

_CONFIRMED = {"confirmed_at": {"$ne": None}}


class SecondFactorsRepo:
    """Keep second factors."""

    def __init__(self, database: Database) -> None:
        self._factors = database.collection(SPEC.name)

    async def find(self, user: UUID) -> SecondFactor | None:
        """Return a user's second factor, pending or confirmed, or None."""
        with translated():
            document = await self._factors.find_one({"_id": user})
        return None if document is None else _to_factor(document)

    async def begin(self, factor: SecondFactor) -> None:
        """Keep a pending one in place of another pending one. Conflict when one is confirmed."""
        try:
            with translated():
                await self._factors.replace_one(
                    {"_id": factor.user, "confirmed_at": None}, _to_document(factor), upsert=True
                )
        except AlreadyExists:
            raise Conflict("a second factor is in use: disable it first", code="totp_enabled") from None

    async def confirm(
        self, factor: SecondFactor, step: int, recovery: Iterable[str], now: int, transaction: Transaction = None
    ) -> bool:
        """Confirm a pending one with a code of ``step``; False when it was replaced or confirmed meanwhile."""
        change = {"confirmed_at": ns_to_datetime(now), "last_step": step, "recovery": list(recovery)}
        query = {"confirmed_at": None, "sealed": factor.sealed}
        return await self._change(query, factor.user, {"$set": change}, transaction)

    async def use_step(self, factor: SecondFactor, step: int, *, sealed: str) -> bool:
        """Use up the code of a step and keep the secret as ``sealed``; False when that or a later one was used."""
        query = {**_CONFIRMED, "sealed": factor.sealed, "last_step": {"$lt": step}}
        return await self._change(query, factor.user, {"$set": {"last_step": step, "sealed": sealed}})

    async def use_recovery(self, user: UUID, code_hash: str) -> bool:
        """Use up a recovery code; False when there is no such one, or none left of it."""
        return await self._change({**_CONFIRMED, "recovery": code_hash}, user, {"$pull": {"recovery": code_hash}})

    async def replace_recovery(self, user: UUID, recovery: Iterable[str], transaction: Transaction = None) -> bool:
        """Put new recovery codes in place of all old ones; False when no second factor is confirmed."""
        return await self._change(dict(_CONFIRMED), user, {"$set": {"recovery": list(recovery)}}, transaction)

    async def remove(self, user: UUID, transaction: Transaction = None) -> bool:
        """Remove a user's second factor; False when there was none."""
        with translated():
            result = await self._factors.delete_one({"_id": user}, session=transaction)
        return bool(result.deleted_count)

    async def _change(self, query: Document, user: UUID, change: Document, transaction: Transaction = None) -> bool:
        with translated():
            result = await self._factors.update_one({"_id": user, **query}, change, session=transaction)
        return bool(result.matched_count)


def _to_document(factor: SecondFactor) -> Document:
    return {
        "_id": factor.user,
        "username": factor.username,
        "sealed": factor.sealed,
        "last_step": factor.last_step,
        "recovery": list(factor.recovery),
        "created_at": ns_to_datetime(factor.created_at),
        "confirmed_at": None if factor.confirmed_at is None else ns_to_datetime(factor.confirmed_at),
    }


def _to_factor(document: Document) -> SecondFactor:
    confirmed_at = document["confirmed_at"]
    return SecondFactor(
        user=document["_id"],
        username=document["username"],
        sealed=document["sealed"],
        last_step=document["last_step"],
        recovery=tuple(document["recovery"]),
        created_at=datetime_to_ns(document["created_at"]),
        confirmed_at=None if confirmed_at is None else datetime_to_ns(confirmed_at),
    )
