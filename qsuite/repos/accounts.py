"""Accounts as documents. Opening one inserts it; from then on only the engine's commit changes its money.

{
  "_id": UUID("…"), "user": UUID("…"), "name": "demo", "currency": "USD", "cash": Decimal128("981849.500"),
  "deposited": Decimal128("1000000"), "reserved": Decimal128("0"), "realized_pnl": Decimal128("0"),
  "commission": Decimal128("0.500"), "is_active": true, "day": 19000, "day_open_equity": Decimal128("1000000"),
  "permissions": ["market_orders", "open", "short", "strategies"],
  "members": [{"user": UUID("…"), "access": "view"}],
  "created_at": ISODate("…"), "updated_at": ISODate("…"), "version": 2
}

``day`` counts days since 1970-01-01; ``day_open_equity`` is what the account was worth when that day began.
Who was never reset lacks ``reset_at`` and ``reset_mark`` (see ``domain.trading.reset``); documents of the first
versions also lack ``permissions``, which gives all, and ``members``.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from pymongo import ASCENDING, IndexModel

from qsuite.domain.errors import NotFound
from qsuite.domain.listing import Listing, Page
from qsuite.domain.money import ZERO
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.account import EVERY_PERMISSION, Access, Account, Permission
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, encode_decimal
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, money, schema

SPEC = CollectionSpec(
    "accounts",
    schema(
        "user name currency cash deposited reserved realized_pnl commission is_active created_at updated_at version",
        {
            "_id": {"bsonType": "binData"},
            "user": {"bsonType": "binData"},
            "name": {"bsonType": "string"},
            "currency": {"bsonType": "string"},
            "cash": money(),
            "deposited": money(),
            "reserved": money(),
            "realized_pnl": money(),
            "commission": money(),
            "day_open_equity": money(),
            "is_active": {"bsonType": "bool"},
            "permissions": {"bsonType": "array", "items": {"enum": [each.value for each in Permission]}},
            "members": {
                "bsonType": "array",
                "items": {
                    "bsonType": "object",
                    "required": ["user", "access"],
                    "properties": {
                        "user": {"bsonType": "binData"},
                        "access": {"enum": [each.value for each in Access]},
                    },
                },
            },
            "reset_at": {"bsonType": "date"},
            "reset_mark": {"bsonType": "binData"},
        },
    ),
    (
        IndexModel([("user", ASCENDING)], name="of_a_user"),
        IndexModel(
            [("reset_mark", ASCENDING)], name="reset", partialFilterExpression={"reset_mark": {"$exists": True}}
        ),
    ),
)

FIELDS: dict[str, FieldMap] = {
    "id": plain("_id"),
    "user": plain("user"),
    "name": plain("name"),
    "is_active": plain("is_active"),
    "created_at": instant("created_at"),
}


def account_document(account: Account) -> Document:
    """Write an account as a whole document."""
    return {
        "_id": account.id,
        "user": account.user,
        "name": account.name,
        "currency": account.currency,
        "created_at": ns_to_datetime(account.created_at),
        **account_terms(account),
        **account_changes(account),
    }


def account_terms(account: Account) -> Document:
    """Write the fields that risk managers change."""
    terms: Document = {
        "deposited": encode_decimal(account.deposited),
        "permissions": sorted(account.permissions),
        "members": [{"user": user, "access": access.value} for user, access in sorted(account.members.items())],
    }
    if account.reset_mark is not None:
        terms |= {"reset_at": ns_to_datetime(account.reset_at), "reset_mark": account.reset_mark}
    return terms


def account_changes(account: Account) -> Document:
    """Write the fields that trading changes."""
    return {
        "cash": encode_decimal(account.cash),
        "reserved": encode_decimal(account.reserved),
        "realized_pnl": encode_decimal(account.realized_pnl),
        "commission": encode_decimal(account.commission),
        "is_active": account.is_active,
        "day": account.day,
        "day_open_equity": encode_decimal(account.day_open_equity),
        "updated_at": ns_to_datetime(account.updated_at),
        "version": account.version,
    }


def account_from(document: Document) -> Account:
    """Read an account back."""
    return Account(
        id=document["_id"],
        user=document["user"],
        name=document["name"],
        currency=document["currency"],
        cash=decode_decimal(document["cash"]),
        deposited=decode_decimal(document["deposited"]),
        reserved=decode_decimal(document["reserved"]),
        realized_pnl=decode_decimal(document["realized_pnl"]),
        commission=decode_decimal(document["commission"]),
        is_active=document["is_active"],
        permissions=_permissions_from(document.get("permissions")),
        members={each["user"]: Access(each["access"]) for each in document.get("members", ())},
        reset_at=datetime_to_ns(document["reset_at"]) if "reset_at" in document else 0,
        reset_mark=document.get("reset_mark"),
        day=document.get("day", 0),
        day_open_equity=decode_decimal(document["day_open_equity"]) if "day_open_equity" in document else ZERO,
        created_at=datetime_to_ns(document["created_at"]),
        updated_at=datetime_to_ns(document["updated_at"]),
        version=document["version"],
    )


def _permissions_from(names: Sequence[str] | None) -> frozenset[Permission]:
    """Read permissions; an account of a version without them has all. The same set each time compares at once."""
    found = EVERY_PERMISSION if names is None else frozenset(map(Permission, names))
    return EVERY_PERMISSION if found == EVERY_PERMISSION else found


class AccountsRepo:
    """Open and read accounts."""

    def __init__(self, database: Database) -> None:
        self._accounts = database.collection(SPEC.name)

    async def add(self, account: Account) -> None:
        """Open an account."""
        with translated("account"):
            await self._accounts.insert_one(account_document(account))

    async def get(self, account_id: UUID) -> Account:
        """Return an account, NotFound if there is none."""
        with translated("account"):
            document = await self._accounts.find_one({"_id": account_id})
        if document is None:
            raise NotFound("no such account")
        return account_from(document)

    async def of_ids(self, accounts: Iterable[UUID]) -> list[Account]:
        """Return these accounts, as many as there are."""
        with translated("accounts"):
            documents = await self._accounts.find({"_id": {"$in": list(accounts)}}).to_list(None)
        return [account_from(document) for document in documents]

    async def batch_after(self, account: UUID | None, limit: int) -> list[Account]:
        """Return the next accounts by id, from the first one on for None."""
        condition = {} if account is None else {"_id": {"$gt": account}}
        with translated("accounts"):
            documents = await self._accounts.find(condition).sort("_id", ASCENDING).limit(limit).to_list(None)
        return [account_from(document) for document in documents]

    async def page(self, listing: Listing) -> Page[Account]:
        """Return a page of accounts."""
        return await find_page(self._accounts, listing, to_domain=account_from, fields=FIELDS)
