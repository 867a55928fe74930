"""Users, for admins."""

from typing import Any

from marshmallow import Schema, fields, validate

from qsuite.domain.passwords import MAX_LENGTH
from qsuite.domain.roles import ADMINS, Role
from qsuite.domain.times import format_rfc3339
from qsuite.domain.users import User
from qsuite.handlers.auth import uuid_of
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import DecimalField, FlagField, InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation

TAG = "users"


class NewUserSchema(Schema):
    """A new user; ``cash`` is what a trader's account opens with."""

    username = fields.String(required=True, validate=validate.Length(3, 64))
    password = fields.String(
        required=True, load_only=True, validate=validate.Length(1, MAX_LENGTH), metadata={"format": "password"}
    )
    role = fields.Enum(Role, by_value=True, required=True)
    email = fields.String(allow_none=True, validate=validate.Length(3, 254))
    cash = DecimalField(least=0)


class UserChangeSchema(Schema):
    """What of a user may change. A username never does."""

    email = fields.String(allow_none=True, validate=validate.Length(3, 254))
    role = fields.Enum(Role, by_value=True)
    is_active = FlagField()
    password = fields.String(load_only=True, validate=validate.Length(1, MAX_LENGTH), metadata={"format": "password"})


class UserSchema(Schema):
    """A user, without anything secret."""

    id = fields.UUID(required=True)
    username = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    role = fields.Enum(Role, by_value=True, required=True)
    is_active = fields.Boolean(required=True)
    accounts = fields.List(fields.UUID(), required=True)
    created_at = InstantField(required=True)
    updated_at = InstantField(required=True)
    version = fields.Integer(required=True)


class UsersHandler(ApiHandler):
    """``/api/v1/users/``."""

    @operation(
        "List users",
        roles=ADMINS,
        listing=ListingSpec(
            filters={
                "username": (fields.String(), EQUALITY),
                "role": (fields.Enum(Role, by_value=True), EQUALITY),
                "is_active": (fields.Boolean(), ("eq",)),
                "created_at": (InstantField(), COMPARISONS),
            },
            search=True,
            orderings=("username", "created_at", "updated_at"),
            default_order=("username",),
        ),
        returns={200: UserSchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        page = await self.services.users.page(self.listing())
        self.answer_page(page, [shown_user(user) for user in page.items])

    @operation(
        "Make a user, and a trader's account",
        roles=ADMINS,
        body=NewUserSchema(),
        returns={201: UserSchema()},
        raises=(409,),
        tag=TAG,
    )
    async def post(self) -> None:
        given = self.body
        user = await self.services.users.create(
            given["username"], given["password"], given["role"], given.get("cash"), email=given.get("email")
        )
        self.set_header("Location", f"/api/v1/users/{user.id}/")
        self.answer_resource(shown_user(user), user.version, 201)


class UserHandler(ApiHandler):
    """``/api/v1/users/{id}/``."""

    @operation("Show a user", roles=ADMINS, returns={200: UserSchema()}, tag=TAG)
    async def get(self, user_id: str) -> None:
        user = await self.services.users.get(uuid_of(user_id, "no such user"))
        self.answer_resource(shown_user(user), user.version)

    @operation(
        "Change a user's e-mail address, role, activity or password; acts within a second",
        roles=ADMINS,
        body=UserChangeSchema(),
        returns={200: UserSchema()},
        raises=(409, 412),
        tag=TAG,
    )
    async def patch(self, user_id: str) -> None:
        found = uuid_of(user_id, "no such user")
        user = await self.services.users.update(found, self.body, version=self.expected_version(found))
        self.answer_resource(shown_user(user), user.version)


def shown_user(user: User) -> dict[str, Any]:
    """Show a user, without anything secret."""
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "role": user.role.value,
        "is_active": user.is_active,
        "accounts": user.accounts,
        "created_at": format_rfc3339(user.created_at),
        "updated_at": format_rfc3339(user.updated_at),
        "version": user.version,
    }


routes = [(r"/api/v1/users/?", UsersHandler), (r"/api/v1/users/([^/]+)/?", UserHandler)]
