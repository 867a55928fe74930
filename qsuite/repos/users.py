"""Users. Passwords are here as argon2id hashes only.

{
  _id: UUID("01937d2e-…"), username: "Maria.Lopez", username_key: "maria.lopez", email: "maria@example.com",
  role: "trader", is_active: true, accounts: [UUID("01937d2e-…")],
  shared: [{account: UUID("01937d31-…"), access: "view"}],
  password_hash: "$argon2id$v=19$m=19456,t=2,p=1$…",
  access_changed_at: ISODate("2026-03-02T14:30:00.000Z"),
  created_at: ISODate("2026-03-02T14:30:00.000Z"), updated_at: ISODate("2026-03-02T14:30:00.000Z"), version: 1
}
"""

from uuid import UUID

from pymongo import IndexModel

from qsuite.domain.access import AccessChange
from qsuite.domain.errors import NotFound, PreconditionFailed
from qsuite.domain.listing import Listing, Page
from qsuite.domain.roles import Role
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.account import Access
from qsuite.domain.users import User, username_key
from qsuite.repos.database import Database, Document, Session, translated
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, schema

SPEC = CollectionSpec(
    "users",
    schema(
        "username username_key role is_active accounts password_hash created_at version",
        {
            "username": {"bsonType": "string", "minLength": 3, "maxLength": 64},
            "username_key": {"bsonType": "string"},
            "email": {"bsonType": ["string", "null"]},
            "role": {"enum": [role.value for role in Role]},
            "is_active": {"bsonType": "bool"},
            "accounts": {"bsonType": "array", "items": {"bsonType": "binData"}},
            "shared": {
                "bsonType": "array",
                "items": {
                    "bsonType": "object",
                    "required": ["account", "access"],
                    "properties": {
                        "account": {"bsonType": "binData"},
                        "access": {"enum": [each.value for each in Access]},
                    },
                },
            },
            "password_hash": {"bsonType": "string", "pattern": r"^\$argon2id\$"},
            "access_changed_at": {"bsonType": "date"},
            "created_at": {"bsonType": "date"},
            "updated_at": {"bsonType": "date"},
            "version": {"bsonType": ["int", "long"]},
        },
    ),
    (
        IndexModel([("username_key", 1)], name="username_key", unique=True),
        IndexModel([("updated_at", 1)], name="updated_at"),
        IndexModel([("role", 1), ("is_active", 1)], name="role_active"),
    ),
)

FIELDS = {
    "username": FieldMap("username_key", encode=username_key),
    "role": FieldMap("role", encode=str),
    "is_active": plain("is_active"),
    "created_at": instant("created_at"),
    "updated_at": instant("updated_at"),
}


class UsersRepo:
    """Keep users."""

    def __init__(self, database: Database) -> None:
        self._users = database.collection(SPEC.name)

    async def get(self, user: UUID) -> User:
        """Return a user. NotFound."""
        found = await self.find(user)
        if found is None:
            raise NotFound("no such user")
        return found

    async def find(self, user: UUID) -> User | None:
        """Return a user, or None."""
        return await self._find_one({"_id": user})

    async def find_by_username(self, username: str) -> User | None:
        """Return the user of that name in any case, or None."""
        return await self._find_one({"username_key": username_key(username)})

    async def add(self, user: User, session: Session = None) -> None:
        """Keep a new user. AlreadyExists when the username is taken."""
        with translated("a user of that name"):
            await self._users.insert_one(_to_document(user), session=session)

    async def save(self, user: User, session: Session = None) -> None:
        """Replace the version before ``user.version``. PreconditionFailed when somebody else already did."""
        with translated("a user of that name"):
            result = await self._users.replace_one(
                {"_id": user.id, "version": user.version - 1}, _to_document(user), session=session
            )
        if result.matched_count == 0:
            raise PreconditionFailed("the user was changed by somebody else meanwhile")

    async def remove(self, user: UUID, session: Session = None) -> None:
        """Forget a user who never came to be whole."""
        with translated():
            await self._users.delete_one({"_id": user}, session=session)

    async def count_active(self, role: Role) -> int:
        """Count the active users of a role."""
        with translated():
            return int(await self._users.count_documents({"role": role.value, "is_active": True}))

    async def page(self, listing: Listing) -> Page[User]:
        """Answer a listing; a search looks into username and e-mail address."""
        return await find_page(
            self._users, listing, to_domain=_to_user, fields=FIELDS, search_fields=("username", "email")
        )

    async def changes_since(self, since: int) -> list[AccessChange]:
        """Return what changed since an instant: everything, and apart from it what ends what was granted."""
        query = {"updated_at": {"$gte": ns_to_datetime(since)}}
        with translated():
            documents = await self._users.find(query).to_list(None)
        changes = [change for document in documents for change in _to_user(document).changes()]
        return [change for change in changes if not change.revokes or change.mark >= since]

    async def _find_one(self, query: Document) -> User | None:
        with translated():
            document = await self._users.find_one(query)
        return None if document is None else _to_user(document)


def _to_document(user: User) -> Document:
    return {
        "_id": user.id,
        "username": user.username,
        "username_key": username_key(user.username),
        "email": user.email,
        "role": user.role.value,
        "is_active": user.is_active,
        "accounts": list(user.accounts),
        "shared": [{"account": account, "access": access.value} for account, access in sorted(user.shared.items())],
        "password_hash": user.password_hash,
        "access_changed_at": ns_to_datetime(user.access_changed_at),
        "created_at": ns_to_datetime(user.created_at),
        "updated_at": ns_to_datetime(user.updated_at),
        "version": user.version,
    }


def _to_user(document: Document) -> User:
    return User(
        id=document["_id"],
        username=document["username"],
        role=Role(document["role"]),
        password_hash=document["password_hash"],
        email=document.get("email"),
        is_active=document["is_active"],
        accounts=tuple(document["accounts"]),
        shared={each["account"]: Access(each["access"]) for each in document.get("shared", ())},
        access_changed_at=datetime_to_ns(document["access_changed_at"]),
        created_at=datetime_to_ns(document["created_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
    )
