"""What requests with an ``Idempotency-Key`` were answered, for a day.

    { _id: "0192…:open-a-shop-1", user: UUID("…"), request: "POST /api/v1/strategies/", digest: "kPrK_qmxVWaYVA9w:9f…",
      asked_at: ISODate("…"), answered_at: ISODate("…"), status: 201, headers: { Location: "…" }, body: BinData(…) }

``_id`` is the user and their key, so that two requests cannot both begin. Without ``answered_at`` the request is under
way, or was cut off. ``digest`` is keyed (by the key named in it): a body may hold a password.
"""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from pymongo import IndexModel

from qsuite.domain.errors import AlreadyExists
from qsuite.domain.times import ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.schema import CollectionSpec, schema

NAME = "idempotency_keys"
KEPT_S = 86_400

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id user request digest asked_at",
        {
            "_id": {"bsonType": "string"},
            "user": {"bsonType": "binData"},
            "request": {"bsonType": "string"},
            "digest": {"bsonType": "string"},
            "asked_at": {"bsonType": "date"},
            "answered_at": {"bsonType": "date"},
            "status": {"bsonType": "int"},
            "headers": {"bsonType": "object"},
            "body": {"bsonType": "binData"},
        },
    ),
    indexes=(IndexModel([("asked_at", 1)], name="remove_after_a_day", expireAfterSeconds=KEPT_S),),
)


class Answer(NamedTuple):
    """What was answered; ``body`` is None where it is not kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class KeyedRequest(NamedTuple):
    """A request, and what it was answered if it was."""

    id: str
    user: UUID
    request: str
    digest: str
    asked_at: int
    answer: Answer | None = None


class IdempotencyKeysRepo:
    """Keep them."""

    def __init__(self, database: Database) -> None:
        self._collection = database.collection(NAME)

    async def begin(self, asked: KeyedRequest) -> KeyedRequest | None:
        """Store a request that begins. Return the one that began before under this key instead, if one did."""
        document = {
            "_id": asked.id,
            "user": asked.user,
            "request": asked.request,
            "digest": asked.digest,
            "asked_at": ns_to_datetime(asked.asked_at),
        }
        try:
            with translated("idempotency key"):
                await self._collection.insert_one(document)
        except AlreadyExists:
            with translated("idempotency key"):
                found = await self._collection.find_one({"_id": asked.id})
            # Removed since, because nothing had been done, or because its day was over.
            return await self.begin(asked) if found is None else _to_domain(found, asked)
        return None

    async def end(self, identity: str, answer: Answer, now: int) -> None:
        """Store the answer."""
        given: Document = {
            "answered_at": ns_to_datetime(now), "status": answer.status, "headers": dict(answer.headers),
        }  # fmt: skip
        if answer.body is not None:
            given["body"] = answer.body
        with translated("idempotency key"):
            await self._collection.update_one({"_id": identity}, {"$set": given})

    async def forget(self, identity: str) -> None:
        """Remove a request that did nothing, so that it may come again."""
        with translated("idempotency key"):
            await self._collection.delete_one({"_id": identity})


def _to_domain(document: Document, asked: KeyedRequest) -> KeyedRequest:
    answer = None
    if "answered_at" in document:
        body = document.get("body")
        answer = Answer(document["status"], document["headers"], None if body is None else bytes(body))
    return asked._replace(request=document["request"], digest=document["digest"], answer=answer)
