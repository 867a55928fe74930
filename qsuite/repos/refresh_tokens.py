"""Sessions: a document is one login with the hash of the one refresh token that still works.

    {
      _id: UUID("01937d2e-…"), user: UUID("01937d2e-…"), username: "maria.lopez",
      handle_hash: "9f86d0…", secret_hash: "60303a…", rotations: 3,
      created_at: ISODate("2026-03-02T14:30:00.000Z"), refreshed_at: ISODate("2026-03-02T17:30:00.000Z"),
      expires_at: ISODate("2026-03-03T17:30:00.000Z"),
      kept_until: ISODate("2026-03-03T17:30:00.000Z"),        // then MongoDB removes it
      ended_at: null, end_reason: null,                       // or when, and "logout", "reuse", "password", …
      address: "203.0.113.7", user_agent: "curl/8.5.0"        // of the login
    }

A whole family in one document makes rotating and ending one atomic step each: no token can be born into a family that
is just being ended.
"""

from uuid import UUID

from pymongo import IndexModel, ReturnDocument

from qsuite.domain.access import AccessChange, Session
from qsuite.domain.listing import Listing, Page
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.database import Session as Transaction
from qsuite.repos.listing import find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, schema

SPEC = CollectionSpec(
    "refresh_tokens",
    schema(
        "user username handle_hash secret_hash created_at expires_at kept_until",
        {
            "user": {"bsonType": "binData"},
            "username": {"bsonType": "string"},
            "handle_hash": {"bsonType": "string", "minLength": 64, "maxLength": 64},
            "secret_hash": {"bsonType": "string", "minLength": 64, "maxLength": 64},
            "rotations": {"bsonType": ["int", "long"]},
            "created_at": {"bsonType": "date"},
            "refreshed_at": {"bsonType": "date"},
            "expires_at": {"bsonType": "date"},
            "kept_until": {"bsonType": "date"},
            "ended_at": {"bsonType": ["date", "null"]},
            "end_reason": {"bsonType": ["string", "null"]},
            "address": {"bsonType": "string"},
            "user_agent": {"bsonType": "string"},
        },
    ),
    (
        IndexModel([("handle_hash", 1)], name="handle_hash", unique=True),
        IndexModel([("user", 1), ("ended_at", 1)], name="user_ended"),
        IndexModel([("ended_at", 1)], name="ended_at"),
        IndexModel([("kept_until", 1)], name="remove_when_over", expireAfterSeconds=0),
    ),
)


FIELDS = {
    "user": plain("user"),
    "ended_at": instant("ended_at"),
    "kept_until": instant("kept_until"),
    "created_at": instant("created_at"),
    "refreshed_at": instant("refreshed_at"),
}


class RefreshTokensRepo:
    """Keep sessions and the one refresh token of each."""

    def __init__(self, database: Database) -> None:
        self._sessions = database.collection(SPEC.name)

    async def add(self, session: Session, transaction: Transaction = None) -> None:
        """Keep a new session."""
        with translated("the session"):
            await self._sessions.insert_one(_to_document(session), session=transaction)

    async def find(self, session: UUID) -> Session | None:
        """Return a session, ended or not, or None."""
        return await self._find_one({"_id": session})

    async def find_by_handle(self, handle_hash: str) -> Session | None:
        """Return the session a refresh token belongs to, whether or not that token still works."""
        return await self._find_one({"handle_hash": handle_hash})

    async def rotate(
        self, handle_hash: str, secret_hash: str, new_secret_hash: str, *, now: int, expires_at: int, kept_until: int
    ) -> Session | None:
        """Replace the unused secret in one step, so that of two callers with the same token one gets None."""
        query = {
            "handle_hash": handle_hash,
            "secret_hash": secret_hash,
            "ended_at": None,
            "expires_at": {"$gt": ns_to_datetime(now)},
        }
        change = {
            "secret_hash": new_secret_hash,
            "refreshed_at": ns_to_datetime(now),
            "expires_at": ns_to_datetime(expires_at),
        }
        with translated():
            document = await self._sessions.find_one_and_update(
                query,
                {"$set": change, "$max": {"kept_until": ns_to_datetime(kept_until)}, "$inc": {"rotations": 1}},
                return_document=ReturnDocument.AFTER,
            )
        return None if document is None else _to_session(document)

    async def page(self, listing: Listing) -> Page[Session]:
        """Answer a listing."""
        return await find_page(self._sessions, listing, to_domain=_to_session, fields=FIELDS)

    async def end(
        self, session: UUID, *, now: int, reason: str, user: UUID | None = None, transaction: Transaction = None
    ) -> AccessChange | None:
        """End a session, only if it is ``user``'s where one is named. None when it had ended before or is not there."""
        query: Document = {"_id": session, "ended_at": None} | ({} if user is None else {"user": user})
        with translated():
            document = await self._sessions.find_one_and_update(
                query, _ending(now, reason), return_document=ReturnDocument.AFTER, session=transaction
            )
        return None if document is None else _change(document)

    async def end_of_user(
        self, user: UUID, *, now: int, reason: str, keep: UUID | None = None, transaction: Transaction = None
    ) -> list[AccessChange]:
        """End all sessions of a user but ``keep``; return those ended.

        A session that a login adds at this moment is not seen; a login therefore looks at its user once more.
        """
        query: Document = {"user": user, "ended_at": None, "_id": {"$ne": keep}}
        with translated():
            live = await self._sessions.find(query, {"_id": 1}, session=transaction).to_list(None)
            ids = [document["_id"] for document in live]
            ended = {"_id": {"$in": ids}, "ended_at": None}
            await self._sessions.update_many(ended, _ending(now, reason), session=transaction)
        return [AccessChange(user=user, subject=session, mark=now, revokes=True) for session in ids]

    async def changes_since(self, since: int) -> list[AccessChange]:
        """Return the sessions ended since an instant."""
        query = {"ended_at": {"$gte": ns_to_datetime(since)}}
        with translated():
            documents = await self._sessions.find(query, {"user": 1, "ended_at": 1}).to_list(None)
        return [_change(document) for document in documents]

    async def _find_one(self, query: Document) -> Session | None:
        with translated():
            document = await self._sessions.find_one(query)
        return None if document is None else _to_session(document)


def _ending(now: int, reason: str) -> Document:
    return {"$set": {"ended_at": ns_to_datetime(now), "end_reason": reason}}


def _change(document: Document) -> AccessChange:
    return AccessChange(
        user=document["user"], subject=document["_id"], mark=datetime_to_ns(document["ended_at"]), revokes=True
    )


def _to_document(session: Session) -> Document:
    return {
        "_id": session.id,
        "user": session.user,
        "username": session.username,
        "handle_hash": session.handle_hash,
        "secret_hash": session.secret_hash,
        "rotations": session.rotations,
        "created_at": ns_to_datetime(session.created_at),
        "refreshed_at": ns_to_datetime(session.refreshed_at),
        "expires_at": ns_to_datetime(session.expires_at),
        "kept_until": ns_to_datetime(session.kept_until),
        "ended_at": None if session.ended_at is None else ns_to_datetime(session.ended_at),
        "end_reason": session.end_reason,
        "address": session.address,
        "user_agent": session.user_agent,
    }


def _to_session(document: Document) -> Session:
    ended_at = document["ended_at"]
    return Session(
        id=document["_id"],
        user=document["user"],
        username=document["username"],
        handle_hash=document["handle_hash"],
        secret_hash=document["secret_hash"],
        rotations=document["rotations"],
        created_at=datetime_to_ns(document["created_at"]),
        refreshed_at=datetime_to_ns(document["refreshed_at"]),
        expires_at=datetime_to_ns(document["expires_at"]),
        kept_until=datetime_to_ns(document["kept_until"]),
        ended_at=None if ended_at is None else datetime_to_ns(ended_at),
        end_reason=document["end_reason"],
        address=document.get("address", ""),
        user_agent=document.get("user_agent", ""),
    )
