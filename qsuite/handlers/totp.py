"""The second factor of a login: a code from a phone."""

from marshmallow import Schema, fields, validate

from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.auth import code_text, secret_text, uuid_of
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.operations import operation

TAG = "auth"


class TotpStateSchema(Schema):
    """Whether a login needs a code."""

    enabled = fields.Boolean(required=True)
    pending = fields.Boolean(required=True, metadata={"description": "a secret was made and waits to be confirmed"})
    confirmed_at = InstantField(required=True, allow_none=True)
    recovery_codes_left = fields.Integer(required=True)


class PasswordOnlySchema(Schema):
    """The password again: a session alone changes nothing here."""

    password = secret_text(metadata={"format": "password"})


class CodeSchema(Schema):
    """A code."""

    code = code_text(required=True)


class PasswordAndCodeSchema(PasswordOnlySchema):
    """Both factors."""

    code = code_text(required=True)


class EnrolmentSchema(Schema):
    """What a phone needs, shown this once; ``uri`` is drawn as a QR code."""

    secret = fields.String(required=True)
    uri = fields.String(required=True)


class RecoveryCodesSchema(Schema):
    """Codes for when the phone is lost, shown this once; each lets in once."""

    recovery_codes = fields.List(fields.String(validate=validate.Length(1)), required=True)


class TotpHandler(ApiHandler):
    """``/api/auth/totp/``."""

    @operation("Say whether a login needs a code", roles=EVERY_ROLE, returns={200: TotpStateSchema()}, tag=TAG)
    async def get(self) -> None:
        factor = await self.services.second_factor.find(self.caller)
        active = factor is not None and factor.active
        confirmed_at = None if factor is None else factor.confirmed_at
        self.answer(
            {
                "enabled": active,
                "pending": factor is not None and not active,
                "confirmed_at": None if confirmed_at is None else format_rfc3339(confirmed_at),
                "recovery_codes_left": 0 if factor is None else len(factor.recovery),
            }
        )

    @operation(
        "Make a secret for a phone; it is shown this once and counts when it is confirmed",
        roles=EVERY_ROLE,
        body=PasswordOnlySchema(),
        returns={201: EnrolmentSchema()},
        raises=(409,),
        shown_once=True,
        tag=TAG,
        scope=ThrottleScope.AUTH,
    )
    async def post(self) -> None:
        address = self.request.remote_ip or ""
        made = await self.services.second_factor.begin(self.caller, self.body["password"], address)
        self.answer({"secret": made.secret, "uri": made.uri}, 201)


class TotpConfirmHandler(ApiHandler):
    """``/api/auth/totp/confirm/``."""

    @operation(
        "Turn the second factor on by a code of it; recovery codes are shown this once",
        roles=EVERY_ROLE,
        body=CodeSchema(),
        returns={200: RecoveryCodesSchema()},
        raises=(409,),
        shown_once=True,
        tag=TAG,
        scope=ThrottleScope.AUTH,
    )
    async def post(self) -> None:
        codes = await self.services.second_factor.confirm(self.caller, self.body["code"])
        self.answer({"recovery_codes": codes})


class RecoveryCodesHandler(ApiHandler):
    """``/api/auth/totp/recovery-codes/``."""

    @operation(
        "Make new recovery codes; those before them are void",
        roles=EVERY_ROLE,
        body=PasswordAndCodeSchema(),
        returns={200: RecoveryCodesSchema()},
        raises=(409,),
        shown_once=True,
        tag=TAG,
        scope=ThrottleScope.AUTH,
    )
    async def post(self) -> None:
        given, address = self.body, self.request.remote_ip or ""
        codes = await self.services.second_factor.renew_recovery(self.caller, given["password"], given["code"], address)
        self.answer({"recovery_codes": codes})


class TotpDisableHandler(ApiHandler):
    """``/api/auth/totp/disable/``."""

    @operation(
        "Turn the second factor off",
        roles=EVERY_ROLE,
        body=PasswordAndCodeSchema(),
        returns={204: None},
        raises=(409,),
        tag=TAG,
        scope=ThrottleScope.AUTH,
    )
    async def post(self) -> None:
        given, address = self.body, self.request.remote_ip or ""
        await self.services.second_factor.disable(self.caller, given["password"], given["code"], address)
        self.answer_nothing()


class UserTotpHandler(ApiHandler):
    """``/api/v1/users/{id}/totp/``."""

    @operation("Take a user's second factor away", roles=ADMINS, returns={204: None}, tag="users")
    async def delete(self, user_id: str) -> None:
        await self.services.users.reset_second_factor(uuid_of(user_id, "no such user"))
        self.answer_nothing()


routes = [
    (r"/api/auth/totp/?", TotpHandler),
    (r"/api/auth/totp/confirm/?", TotpConfirmHandler),
    (r"/api/auth/totp/recovery-codes/?", RecoveryCodesHandler),
    (r"/api/auth/totp/disable/?", TotpDisableHandler),
    (r"/api/v1/users/([^/]+)/totp/?", UserTotpHandler),
]
