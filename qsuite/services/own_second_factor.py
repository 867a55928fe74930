"""A user turns their second factor on and off: never by a session alone, which may have been stolen.

    begin: password ──> secret, once      confirm: a code of it ──> recovery codes, once
    renew, disable: password and code

Invariant: wrong passwords and codes are counted as at a login, whatever they are sent to.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pyotp
import structlog

from qsuite.domain.errors import Conflict, Invalid
from qsuite.domain.roles import Caller
from qsuite.domain.second_factor import DIGITS, STEP_S, SecondFactor
from qsuite.domain.users import User
from qsuite.repos.database import Session as Transaction
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.auth import AuthService, session_of
from qsuite.services.second_factors import SecondFactors

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a phone needs; shown this once. ``uri`` is what is drawn as a QR code (otpauth)."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


class OwnSecondFactor:
    """Begin, confirm, renew and disable; each Forbidden to an API key, TooMany as at a login."""

    def __init__(self, *, factors: SecondFactors, auth: AuthService, trail: AuditTrail, issuer: str) -> None:
        self._factors = factors
        self._trail = trail
        self._auth = auth
        self._issuer = issuer

    async def find(self, caller: Caller) -> SecondFactor | None:
        """Return the caller's own second factor, pending or confirmed, or None."""
        session_of(caller)
        return await self._factors.find(caller.user)

    async def begin(self, caller: Caller, password: str, address: str) -> Enrolment:
        """Make a secret, which counts when it is confirmed. Invalid password; Conflict when one counts already."""
        user = await self._proven(caller, password, address)
        secret = await self._factors.begin(user.id, user.username)
        totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S)
        return Enrolment(secret, totp.provisioning_uri(name=user.username, issuer_name=self._issuer))

    async def confirm(self, caller: Caller, code: str) -> tuple[str, ...]:
        """Turn it on; return the recovery codes. Invalid code; Conflict when there is nothing to confirm."""
        session_of(caller)
        factor = await self._factors.find(caller.user)
        if factor is None or factor.active:
            raise Conflict("there is no second factor to confirm", code="totp_not_pending")

        async def confirmed(transaction: Transaction) -> tuple[str, ...]:
            recovery = await self._factors.confirm(factor, code, transaction)
            if recovery is None:
                raise _wrong("code")
            return recovery

        return await self._record(caller, "totp.enabled", confirmed)

    async def renew_recovery(self, caller: Caller, password: str, code: str, address: str) -> tuple[str, ...]:
        """Return new recovery codes in place of all others. Invalid password or code; Conflict when it is off."""
        user = await self._proven_twice(caller, password, code, address)

        async def renewed(transaction: Transaction) -> tuple[str, ...]:
            recovery = await self._factors.renew_recovery(user.id, transaction)
            if recovery is None:
                raise _is_off()
            return recovery

        return await self._record(caller, "totp.recovery_renewed", renewed)

    async def disable(self, caller: Caller, password: str, code: str, address: str) -> None:
        """Turn it off. Invalid password or code; Conflict when it is off."""
        user = await self._proven_twice(caller, password, code, address)
        await self._record(caller, "totp.disabled", lambda transaction: self._factors.remove(user.id, transaction))

    async def _record(self, caller: Caller, kind: str, change: Callable[[Transaction], Awaitable[T]]) -> T:
        done = await self._trail.record(
            kind, actor=caller.user, actor_name=caller.username, subject=caller.user, change=change
        )
        log.info(kind, user=str(caller.user))
        return done

    async def _proven(self, caller: Caller, password: str, address: str) -> User:
        session_of(caller)
        user = await self._auth.verify_password(caller.username, password, address)
        if user is None:
            raise _wrong("password")
        return user

    async def _proven_twice(self, caller: Caller, password: str, code: str, address: str) -> User:
        user = await self._proven(caller, password, address)
        factor = await self._factors.find(user.id)
        if factor is None or not factor.active:
            raise _is_off()
        if not await self._auth.use_code(user, factor, code, address):
            raise _wrong("code")
        return user


def _wrong(field_name: str) -> Invalid:
    return Invalid("some fields are wrong", errors={field_name: [f"is not the {field_name}"]})


def _is_off() -> Conflict:
    return Conflict("no second factor is in use", code="totp_disabled")
