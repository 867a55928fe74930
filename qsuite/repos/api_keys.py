"""API keys, as SHA-256 only: 256 random bits need no slow hash. A deleted key stays, revoked, for those who look back.

{
  _id: UUID("01937d2e-…"), user: UUID("01937d2e-…"), username: "maria.lopez",
  name: "research notebook", role: "viewer", prefix: "qsk_Zx81", key_hash: "9f86d0…",
  scopes: ["market:read"], networks: ["203.0.113.0/24"],           // null, []: all of the role, from anywhere
  created_at: ISODate("2026-03-02T14:30:00.000Z"), expires_at: null, revoked_at: null,
  last_used_at: ISODate("2026-03-02T15:02:00.000Z")                // up to a minute behind
}
"""

from collections.abc import Mapping
from uuid import UUID

from pymongo import IndexModel, ReturnDocument, UpdateOne

from qsuite.domain.access import AccessChange, ApiKey
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.roles import Role
from qsuite.domain.scopes import KeyLimits, Scope, parse_network
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, Session, translated
from qsuite.repos.listing import find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, schema

SPEC = CollectionSpec(
    "api_keys",
    schema(
        "user username name role prefix key_hash created_at",
        {
            "user": {"bsonType": "binData"},
            "username": {"bsonType": "string"},
            "name": {"bsonType": "string"},
            "role": {"enum": [role.value for role in Role]},
            "prefix": {"bsonType": "string"},
            "key_hash": {"bsonType": "string", "minLength": 64, "maxLength": 64},
            "created_at": {"bsonType": "date"},
            "expires_at": {"bsonType": ["date", "null"]},
            "revoked_at": {"bsonType": ["date", "null"]},
            "last_used_at": {"bsonType": ["date", "null"]},
            "scopes": {"bsonType": ["array", "null"], "items": {"enum": [scope.value for scope in Scope]}},
            "networks": {"bsonType": "array", "items": {"bsonType": "string"}},
        },
    ),
    (
        IndexModel([("key_hash", 1)], name="key_hash", unique=True),
        IndexModel([("user", 1), ("created_at", -1), ("_id", -1)], name="user_created"),
        IndexModel([("revoked_at", 1)], name="revoked_at"),
    ),
)

FIELDS = {"user": plain("user"), "revoked_at": instant("revoked_at"), "created_at": instant("created_at")}


class ApiKeysRepo:
    """Keep API keys."""

    def __init__(self, database: Database) -> None:
        self._keys = database.collection(SPEC.name)

    async def add(self, key: ApiKey, session: Session = None) -> None:
        """Keep a new key."""
        with translated("the key"):
            await self._keys.insert_one(_to_document(key), session=session)

    async def find_by_hash(self, key_hash: str) -> ApiKey | None:
        """Return the key with that hash, revoked or not, or None."""
        with translated():
            document = await self._keys.find_one({"key_hash": key_hash})
        return None if document is None else _to_key(document)

    async def count(self, user: UUID) -> int:
        """Count a user's keys that are not revoked."""
        with translated():
            return int(await self._keys.count_documents({"user": user, "revoked_at": None}))

    async def page(self, user: UUID, listing: Listing) -> Page[ApiKey]:
        """Answer a listing of a user's keys that are not revoked."""
        mine = listing.where(Condition("user", "eq", user), Condition("revoked_at", "eq", None))
        return await find_page(self._keys, mine, to_domain=_to_key, fields=FIELDS)

    async def revoke(self, key: UUID, user: UUID, *, now: int, session: Session = None) -> AccessChange | None:
        """Revoke a user's key in one step. None when they have no such key or it was revoked before."""
        with translated():
            document = await self._keys.find_one_and_update(
                {"_id": key, "user": user, "revoked_at": None},
                {"$set": {"revoked_at": ns_to_datetime(now)}},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
        return None if document is None else _change(document)

    async def note_used(self, used: Mapping[UUID, int]) -> None:
        """Note when keys were last used; an earlier time never replaces a later one."""
        updates = [UpdateOne({"_id": key}, {"$max": {"last_used_at": ns_to_datetime(at)}}) for key, at in used.items()]
        with translated():
            await self._keys.bulk_write(updates, ordered=False)

    async def changes_since(self, since: int) -> list[AccessChange]:
        """Return the keys revoked since an instant."""
        query = {"revoked_at": {"$gte": ns_to_datetime(since)}}
        with translated():
            documents = await self._keys.find(query, {"user": 1, "revoked_at": 1}).to_list(None)
        return [_change(document) for document in documents]


def _change(document: Document) -> AccessChange:
    return AccessChange(
        user=document["user"], subject=document["_id"], mark=datetime_to_ns(document["revoked_at"]), revokes=True
    )


def _to_document(key: ApiKey) -> Document:
    return {
        "_id": key.id,
        "user": key.user,
        "username": key.username,
        "name": key.name,
        "role": key.role.value,
        "prefix": key.prefix,
        "key_hash": key.key_hash,
        "created_at": ns_to_datetime(key.created_at),
        "expires_at": None if key.expires_at is None else ns_to_datetime(key.expires_at),
        "revoked_at": None if key.revoked_at is None else ns_to_datetime(key.revoked_at),
        "last_used_at": None if key.last_used_at is None else ns_to_datetime(key.last_used_at),
        **_limits_document(key.limits or KeyLimits()),
    }


def _to_key(document: Document) -> ApiKey:
    expires_at, revoked_at = document["expires_at"], document["revoked_at"]
    last_used_at = document.get("last_used_at")
    return ApiKey(
        id=document["_id"],
        user=document["user"],
        username=document["username"],
        name=document["name"],
        role=Role(document["role"]),
        prefix=document["prefix"],
        key_hash=document["key_hash"],
        created_at=datetime_to_ns(document["created_at"]),
        expires_at=None if expires_at is None else datetime_to_ns(expires_at),
        revoked_at=None if revoked_at is None else datetime_to_ns(revoked_at),
        last_used_at=None if last_used_at is None else datetime_to_ns(last_used_at),
        limits=_to_limits(document),
    )


def _limits_document(limits: KeyLimits) -> Document:
    scopes = None if limits.scopes is None else sorted(limits.scopes)
    return {"scopes": scopes, "networks": [str(network) for network in limits.networks]}


def _to_limits(document: Document) -> KeyLimits | None:
    scopes, networks = document.get("scopes"), document.get("networks", [])
    if scopes is None and not networks:
        return None
    kept_to = None if scopes is None else frozenset(map(Scope, scopes))
    return KeyLimits(kept_to, tuple(map(parse_network, networks)))
