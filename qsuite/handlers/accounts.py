"""Accounts over HTTP, and what they were worth over time."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from qsuite.domain.account_history import EquitySample
from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.intervals import MINUTE_NS, parse_interval
from qsuite.domain.roles import ADMINS, RISK_MANAGERS, TRADING_READERS
from qsuite.domain.trading.account import Permission
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.conditional import etag
from qsuite.handlers.fields import DecimalField, FlagField, InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.market_fields import EdgeField, IntervalField
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.handlers.reference_schemas import CURRENCY
from qsuite.handlers.trading_schemas import AccountSchema, MemberSchema

MOST_MEMBERS = 100

ACCOUNTS = ListingSpec(
    filters={
        "user": (fields.UUID(), EQUALITY),
        "name": (fields.String(), EQUALITY),
        "is_active": (fields.Boolean(), ("eq",)),
        "created_at": (InstantField(), COMPARISONS),
    },
    orderings=("created_at", "name"),
    default_order=("created_at",),
)


class OwnedAccountSchema(AccountSchema):
    """An account and whose it is."""

    user = fields.UUID(required=True)
    version = fields.Integer(required=True)


class NewAccountSchema(Schema):
    """A further account of a trader; by default it is named after them, and in the configured currency.

    Only tickers of its currency are traded on it, and it never changes.
    """

    user = fields.UUID(required=True)
    name = fields.String(validate=validate.Length(1, 64))
    cash = DecimalField(required=True, least=0)
    currency = fields.String(validate=CURRENCY)


class AccountChangeSchema(Schema):
    """What of an account may change: whether it may trade, and what it may do. What is not given stays.

    Switching it off cancels its open orders. A permission that is taken away changes no open order, but counts when a
    stop of the account is reached; closing what is held needs none. ``members`` are all other traders that may look at
    the account or trade on it; an empty list leaves it to its owner.
    """

    is_active = FlagField()
    permissions = fields.List(
        fields.Enum(Permission, by_value=fields.String), validate=validate.Length(0, len(Permission))
    )
    members = fields.List(fields.Nested(MemberSchema), validate=validate.Length(0, MOST_MEMBERS))

    @validates_schema
    def each_once(self, data: Any, **kwargs: Any) -> None:
        """Refuse a member named twice, whose access would be a matter of order."""
        members = [each["user"] for each in data.get("members", ())]
        if len(set(members)) < len(members):
            raise ValidationError("each user once", "members")


class AccountResetSchema(Schema):
    """What a reset account begins with; by default what was deposited."""

    cash = DecimalField(least=0)


def _a_minute_or_more(name: str) -> None:
    width_ns = parse_interval(name).width_ns
    if width_ns is not None and width_ns < MINUTE_NS:
        raise ValidationError("a minute is the shortest")


class HistoryQuerySchema(Schema):
    """Of which account (by default the first), from when, until before when, and one sample for each interval."""

    account = fields.UUID()
    from_ = EdgeField(data_key="from")
    to = EdgeField()
    interval = IntervalField(load_default="1m", validate=_a_minute_or_more)


class EquitySampleSchema(Schema):
    """What an account was worth. ``day_pnl`` is null on a day that had not begun for it."""

    ts = InstantField(required=True)
    cash = DecimalField(required=True)
    equity = DecimalField(required=True)
    long_value = DecimalField(required=True)
    short_value = DecimalField(required=True)
    realized_pnl = DecimalField(required=True)
    unrealized_pnl = DecimalField(required=True)
    day_pnl = DecimalField(required=True, allow_none=True)


class AccountHistorySchema(Schema):
    """The last sample of each interval, oldest first: the newest 10,000 of the range."""

    account = fields.UUID(required=True)
    interval = fields.String(required=True)
    count = fields.Integer(required=True)
    results = fields.List(fields.Nested(EquitySampleSchema), required=True)


SAMPLE = EquitySampleSchema()


class AccountsHandler(ApiHandler):
    """All accounts of the caller, the default one among them; for whoever reads all, everybody's."""

    @operation("List accounts", roles=TRADING_READERS, listing=ACCOUNTS, returns={200: OwnedAccountSchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.accounts.page(self.caller, self.listing())
        self.answer_page(page, page.items)

    @operation(
        "Open a further account for a trader",
        roles=ADMINS,
        body=NewAccountSchema(),
        returns={201: OwnedAccountSchema()},
    )
    async def post(self) -> None:
        """Open one."""
        body = self.body
        account = await self.services.accounts.open(
            body["user"], body.get("name"), body["cash"], currency=body.get("currency")
        )
        self.set_header("Location", f"/api/v1/accounts/{account['id']}/")
        self.set_header("ETag", etag(account["id"], account["version"]))
        self.answer(account, 201)


class OneAccountHandler(ApiHandler):
    """One account."""

    @operation("Show an account", roles=TRADING_READERS, returns={200: OwnedAccountSchema()})
    async def get(self, account_id: str) -> None:
        """Show it."""
        account = await self.services.accounts.get(self.caller, as_id(account_id))
        # A tag to change it by, but never a 304: its worth changes with the market, which no version counts.
        self.set_header("ETag", etag(account["id"], account["version"]))
        self.answer(account)

    @operation(
        "Change what an account may do, and who may use it",
        roles=RISK_MANAGERS,
        body=AccountChangeSchema(),
        returns={200: OwnedAccountSchema()},
        raises=(412,),
    )
    async def patch(self, account_id: str) -> None:
        """Change it."""
        account, body = as_id(account_id), self.body
        self.require_match(account, await self.services.accounts.version(self.caller, account))
        permissions = frozenset(body["permissions"]) if "permissions" in body else None
        members = {each["user"]: each["access"] for each in body["members"]} if "members" in body else None
        changed = await self.services.accounts.change(
            self.caller, account, is_active=body.get("is_active"), permissions=permissions, members=members
        )
        self.answer(changed)


class AccountResetHandler(ApiHandler):
    """A new beginning."""

    @operation(
        "Let an account begin anew",
        roles=RISK_MANAGERS,
        body=AccountResetSchema(),
        returns={200: OwnedAccountSchema()},
        raises=(409, 412),
    )
    async def post(self, account_id: str) -> None:
        """Cancel its open orders, write off what it holds, set its cash."""
        account = as_id(account_id)
        self.require_match(account, await self.services.accounts.version(self.caller, account))
        self.answer(await self.services.accounts.reset(self.caller, account, self.body.get("cash")))


class AccountHistoryHandler(ApiHandler):
    """Equity over time."""

    @operation(
        "Show what an account was worth over time",
        roles=TRADING_READERS,
        query=HistoryQuerySchema(),
        returns={200: AccountHistorySchema()},
    )
    async def get(self) -> None:
        """Show it."""
        account = self._account(self.query.get("account"))
        interval, from_ns, to_ns = self.query["interval"], self.query.get("from_"), self.query.get("to")
        found = await self.services.account_history.read(account, interval, from_ns, to_ns)
        results = [_shown(sample) for sample in found]
        self.answer({"account": str(account), "interval": interval, "count": len(results), "results": results})

    def _account(self, asked: UUID | None) -> UUID:
        if asked is None and self.caller.accounts:
            return self.caller.accounts[0]
        if asked is None:
            raise Invalid("the query string has errors", errors={"account": ["required, having none of your own"]})
        if not self.caller.sees(asked):
            raise NotFound("no such account")
        return asked


def _shown(sample: EquitySample) -> dict[str, object]:
    shown: dict[str, object] = SAMPLE.dump(sample)
    return shown


routes = [
    (r"/api/v1/accounts/?", AccountsHandler),
    (r"/api/v1/accounts/([^/]+)/?", OneAccountHandler),
    (r"/api/v1/accounts/([^/]+)/reset/?", AccountResetHandler),
    (r"/api/v1/account/history/?", AccountHistoryHandler),
]
