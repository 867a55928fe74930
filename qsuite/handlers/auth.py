"""Login, refresh, logout, who am I, password, API keys, and the public key tokens are signed with."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from qsuite.domain.access import ApiKey, TokenPair
from qsuite.domain.errors import NotFound
from qsuite.domain.passwords import MAX_LENGTH
from qsuite.domain.roles import ANYONE, EVERY_ROLE, Role
from qsuite.domain.scopes import KeyLimits, Scope
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.account import Access
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField, NetworkField
from qsuite.handlers.listing import ListingSpec
from qsuite.handlers.operations import operation

TAG = "auth"
MAX_NETWORKS = 32
MAX_CODE = 64
SCHEME = "Bearer"
JWKS_CACHED = "public, max-age=30"
"""Half the time that `qsuite keys rotate` leaves before a new key signs."""


def secret_text(**kwargs: Any) -> fields.String:
    """Describe a password or token in a body: bounded, never shown."""
    return fields.String(required=True, load_only=True, validate=validate.Length(1, MAX_LENGTH), **kwargs)


def code_text(**kwargs: Any) -> fields.String:
    """Describe a code of the second factor in a body."""
    text = {"description": "six digits from the phone, or a recovery code"}
    return fields.String(load_only=True, validate=validate.Length(1, MAX_CODE), metadata=text, **kwargs)


class LoginSchema(Schema):
    """Who, and the proof; ``code`` for those who turned a second factor on (401 ``totp_required`` asks for it)."""

    username = fields.String(required=True, validate=validate.Length(1, MAX_LENGTH))
    password = secret_text(metadata={"format": "password"})
    code = code_text(allow_none=True)


class RefreshSchema(Schema):
    """A refresh token."""

    refresh = secret_text()


class LogoutSchema(Schema):
    """The refresh token to end as well, where it is of another session."""

    refresh = fields.String(load_only=True, validate=validate.Length(1, MAX_LENGTH))


class TokensSchema(Schema):
    """A pair of tokens."""

    access = fields.String(required=True)
    refresh = fields.String(required=True)
    token_type = fields.String(required=True, metadata={"enum": [SCHEME]})
    expires_in = fields.Integer(required=True, metadata={"description": "seconds the access token is good for"})


class SharedSchema(Schema):
    """Another user's account that the caller was let to."""

    account = fields.UUID(required=True)
    access = fields.Enum(Access, required=True, by_value=fields.String)


class MeSchema(Schema):
    """The caller."""

    id = fields.UUID(required=True)
    username = fields.String(required=True)
    email = fields.String(required=True, allow_none=True)
    role = fields.Enum(Role, by_value=True, required=True)
    accounts = fields.List(fields.UUID(), required=True)
    shared = fields.List(fields.Nested(SharedSchema), required=True)
    created_at = InstantField(required=True)


class PasswordSchema(Schema):
    """The old password and the new one."""

    old_password = secret_text(metadata={"format": "password"})
    new_password = secret_text(metadata={"format": "password"})


class NewApiKeySchema(Schema):
    """What the key is for, and what it may do."""

    name = fields.String(required=True, validate=validate.Length(1, 100))
    role = fields.Enum(Role, by_value=True, metadata={"description": "the caller's role or a lesser one"})
    expires_at = InstantField(allow_none=True)
    scopes = fields.List(
        fields.Enum(Scope, by_value=True),
        allow_none=True,
        validate=validate.Length(1, len(Scope)),
        metadata={"description": "what of the role the key may do; without any, all of it"},
    )
    networks = fields.List(
        NetworkField(),
        validate=validate.Length(0, MAX_NETWORKS),
        metadata={"description": "where it may be used from, as `203.0.113.0/24`; without any, from anywhere"},
    )


class ApiKeySchema(Schema):
    """A key, without its secret."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    role = fields.Enum(Role, by_value=True, required=True)
    prefix = fields.String(required=True)
    created_at = InstantField(required=True)
    expires_at = InstantField(required=True, allow_none=True)
    scopes = fields.List(fields.Enum(Scope, by_value=True), required=True, allow_none=True)
    networks = fields.List(fields.String(), required=True)
    last_used_at = InstantField(
        required=True, allow_none=True, metadata={"description": "may be up to a minute behind"}
    )


class ApiKeyMadeSchema(ApiKeySchema):
    """A key just made; ``key`` is shown this once."""

    key = fields.String(required=True)


class JwkSchema(Schema):
    """A public key (RFC 7517)."""

    kty = fields.String(required=True)
    crv = fields.String(required=True)
    x = fields.String(required=True)
    kid = fields.String(required=True)
    use = fields.String(required=True)
    alg = fields.String(required=True)


class JwksSchema(Schema):
    """A JWK Set."""

    keys = fields.List(fields.Nested(JwkSchema), required=True)


class LoginHandler(ApiHandler):
    """``/api/auth/login/``."""

    @operation(
        "Log in",
        roles=ANYONE,
        body=LoginSchema(),
        returns={200: TokensSchema()},
        raises=(401,),
        tag=TAG,
        scope=ThrottleScope.AUTH,
    )
    async def post(self) -> None:
        given = self.body
        pair = await self.services.auth.login(
            given["username"],
            given["password"],
            self.request.remote_ip or "",
            code=given.get("code"),
            user_agent=self.request.headers.get("User-Agent", ""),
        )
        self.answer(shown_pair(pair))


class RefreshHandler(ApiHandler):
    """``/api/auth/refresh/``."""

    @operation(
        "Exchange a refresh token for a new pair; it works once",
        roles=ANYONE,
        body=RefreshSchema(),
        returns={200: TokensSchema()},
        raises=(401,),
        tag=TAG,
        scope=ThrottleScope.AUTH,
    )
    async def post(self) -> None:
        self.answer(shown_pair(await self.services.auth.refresh(self.body["refresh"])))


class LogoutHandler(ApiHandler):
    """``/api/auth/logout/``."""

    @operation("End this session", roles=EVERY_ROLE, body=LogoutSchema(), returns={204: None}, tag=TAG)
    async def post(self) -> None:
        await self.services.auth.logout(self.caller, self.body.get("refresh"))
        self.answer_nothing()


class MeHandler(ApiHandler):
    """``/api/auth/me/``."""

    @operation("Show the caller", roles=EVERY_ROLE, returns={200: MeSchema()}, tag=TAG)
    async def get(self) -> None:
        user = await self.services.users.get(self.caller.user)
        self.answer(
            {
                "id": user.id,
                "username": user.username,
                "email": user.email,
                "role": self.caller.role.value,  # an API key may have less than its user
                "accounts": user.accounts,
                "shared": [{"account": one, "access": access.value} for one, access in user.shared.items()],
                "created_at": format_rfc3339(user.created_at),
            }
        )


class PasswordHandler(ApiHandler):
    """``/api/auth/password/``."""

    @operation(
        "Change one's password; all other sessions end",
        roles=EVERY_ROLE,
        body=PasswordSchema(),
        returns={204: None},
        tag=TAG,
        scope=ThrottleScope.AUTH,
    )
    async def post(self) -> None:
        given = self.body
        address = self.request.remote_ip or ""
        await self.services.users.change_password(self.caller, given["old_password"], given["new_password"], address)
        self.answer_nothing()


class ApiKeysHandler(ApiHandler):
    """``/api/auth/api-keys/``."""

    @operation(
        "List one's API keys",
        roles=EVERY_ROLE,
        listing=ListingSpec(orderings=("created_at",), default_order=("-created_at",)),
        returns={200: ApiKeySchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        page = await self.services.auth.keys.page(self.caller, self.listing())
        self.answer_page(page, [shown_key(key) for key in page.items])

    @operation(
        "Make an API key; its secret is shown this once",
        roles=EVERY_ROLE,
        body=NewApiKeySchema(),
        returns={201: ApiKeyMadeSchema()},
        raises=(409,),
        shown_once=True,
        tag=TAG,
    )
    async def post(self) -> None:
        given = self.body
        made = await self.services.auth.keys.create(
            self.caller,
            given["name"],
            role=given.get("role"),
            expires_at=given.get("expires_at"),
            scopes=given.get("scopes"),
            networks=given.get("networks", ()),
        )
        self.answer({**shown_key(made.key), "key": made.secret}, 201)


class ApiKeyHandler(ApiHandler):
    """``/api/auth/api-keys/{id}/``."""

    @operation("Delete an API key; it stops working at once", roles=EVERY_ROLE, returns={204: None}, tag=TAG)
    async def delete(self, key_id: str) -> None:
        await self.services.auth.delete_key(self.caller, uuid_of(key_id, "no such key"))
        self.answer_nothing()


class JwksHandler(ApiHandler):
    """``/api/auth/jwks/``."""

    @operation(
        "The public keys that access tokens are signed with, now and next",
        roles=ANYONE,
        returns={200: JwksSchema()},
        tag=TAG,
    )
    def get(self) -> None:
        self._headers["Cache-Control"] = JWKS_CACHED
        self.answer(self.services.auth.signer.jwks())


def shown_pair(pair: TokenPair) -> dict[str, Any]:
    """Show a pair."""
    return {"access": pair.access, "refresh": pair.refresh, "token_type": SCHEME, "expires_in": pair.expires_in}


def shown_key(key: ApiKey) -> dict[str, Any]:
    """Show a key, without its secret."""
    limits = key.limits or KeyLimits()
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "prefix": key.prefix,
        "created_at": format_rfc3339(key.created_at),
        "expires_at": None if key.expires_at is None else format_rfc3339(key.expires_at),
        "scopes": None if limits.scopes is None else sorted(limits.scopes),
        "networks": [str(network) for network in limits.networks],
        "last_used_at": None if key.last_used_at is None else format_rfc3339(key.last_used_at),
    }


def uuid_of(text: str, absent: str) -> UUID:
    """Read the id in an address. NotFound: what is no id names nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(absent) from None


routes = [
    (r"/api/auth/login/?", LoginHandler),
    (r"/api/auth/refresh/?", RefreshHandler),
    (r"/api/auth/logout/?", LogoutHandler),
    (r"/api/auth/me/?", MeHandler),
    (r"/api/auth/password/?", PasswordHandler),
    (r"/api/auth/api-keys/?", ApiKeysHandler),
    (r"/api/auth/api-keys/([^/]+)/?", ApiKeyHandler),
    (r"/api/auth/jwks/?", JwksHandler),
]
