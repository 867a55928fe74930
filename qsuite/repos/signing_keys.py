"""The keys that sign tokens, without what makes them secret: who has only the database can sign nothing.

    {
      _id: "kPrK_qmxVWaYVA9w",                                     // the `kid`, of the public key
      secret: "9f2cVbY0aQ3xLr7T",                                  // which of the configured secrets it is derived from
      salt: BinData(0, "…32 bytes…"),                              // beside that secret; empty in a secret's first key
      made_at: ISODate("2026-03-02T14:30:00.000Z"), signs_from: ISODate("2026-03-02T14:31:00.000Z"),
      revoked_at: null
    }

They are never removed: what was encrypted under one is read under it years later.
"""

from qsuite.domain.signing_keys import SigningKey
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, Session, translated
from qsuite.repos.schema import CollectionSpec, schema

SPEC = CollectionSpec(
    "signing_keys",
    schema(
        "_id secret salt made_at signs_from",
        {
            "_id": {"bsonType": "string", "minLength": 16, "maxLength": 16},
            "secret": {"bsonType": "string", "minLength": 16, "maxLength": 16},
            "salt": {"bsonType": "binData"},
            "made_at": {"bsonType": "date"},
            "signs_from": {"bsonType": "date"},
            "revoked_at": {"bsonType": ["date", "null"]},
        },
    ),
)


class SigningKeysRepo:
    """Keep them."""

    def __init__(self, database: Database) -> None:
        self._keys = database.collection(SPEC.name)

    async def all(self) -> list[SigningKey]:
        """Return every key there ever was: a handful."""
        with translated():
            documents = await self._keys.find({}).to_list(None)
        return [_to_key(document) for document in documents]

    async def add(self, key: SigningKey, session: Session = None) -> None:
        """Keep a new key. AlreadyExists."""
        with translated("the signing key"):
            await self._keys.insert_one(_to_document(key), session=session)

    async def revoke(self, key: str, now: int, session: Session = None) -> bool:
        """Let a key verify nothing any more. False where it was revoked before, or is not there."""
        with translated("the signing key"):
            done = await self._keys.update_one(
                {"_id": key, "revoked_at": None}, {"$set": {"revoked_at": ns_to_datetime(now)}}, session=session
            )
        return done.modified_count == 1


def _to_document(key: SigningKey) -> Document:
    return {
        "_id": key.id,
        "secret": key.secret,
        "salt": key.salt,
        "made_at": ns_to_datetime(key.made_at),
        "signs_from": ns_to_datetime(key.signs_from),
        "revoked_at": None if key.revoked_at is None else ns_to_datetime(key.revoked_at),
    }


def _to_key(document: Document) -> SigningKey:
    revoked_at = document["revoked_at"]
    return SigningKey(
        id=document["_id"],
        secret=document["secret"],
        salt=bytes(document["salt"]),
        made_at=datetime_to_ns(document["made_at"]),
        signs_from=datetime_to_ns(document["signs_from"]),
        revoked_at=None if revoked_at is None else datetime_to_ns(revoked_at),
    )
