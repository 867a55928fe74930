"""Codes of a second factor: which one is right now, and that each is right once (RFC 6238).

Nothing here asks for a password or counts failures: that is ``auth`` at a login and ``own_second_factor`` elsewhere.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Callable
from uuid import UUID

import pyotp
import structlog

from qsuite.domain.second_factor import (
    DIGITS,
    RECOVERY_CHARS,
    RECOVERY_CODES,
    SKEW_STEPS,
    STEP_S,
    SecondFactor,
    read_totp,
    recovery_hash,
    shown_recovery,
)
from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.repos.database import Session as Transaction
from qsuite.repos.second_factors import SecondFactorsRepo
from qsuite.services.seals import Seals

log = structlog.get_logger(__name__)


class SecondFactors:
    """Keep, check and use up."""

    def __init__(self, *, repo: SecondFactorsRepo, seals: Seals, clock: Callable[[], int] = time.time_ns) -> None:
        self._repo = repo
        self._seals = seals
        self._clock = clock

    async def find(self, user: UUID) -> SecondFactor | None:
        """Return a user's second factor, pending or confirmed, or None."""
        return await self._repo.find(user)

    async def begin(self, user: UUID, username: str) -> str:
        """Keep a new pending secret and return it in base32. Conflict when one is confirmed."""
        secret = pyotp.random_base32()
        now = floor_ms(self._clock())
        sealed = self._seals.seal(secret.encode(), user)
        await self._repo.begin(SecondFactor(user=user, username=username, sealed=sealed, created_at=now))
        return secret

    async def confirm(self, factor: SecondFactor, code: str, transaction: Transaction = None) -> tuple[str, ...] | None:
        """Confirm a pending one by a code of it; return its recovery codes, None when the code is not right."""
        step = self._matching_step(factor, code)
        if step is None:
            return None
        shown, hashes = _new_recovery()
        now = floor_ms(self._clock())
        return shown if await self._repo.confirm(factor, step, hashes, now, transaction) else None

    async def use(self, factor: SecondFactor, code: str) -> bool:
        """Say whether the code, from the phone or a recovery code, lets in; it never does again."""
        step = self._matching_step(factor, code)
        if step is not None:
            sealed = factor.sealed
            if self._seals.outdated(sealed):
                sealed = self._seals.seal(self._seals.open(sealed, factor.user), factor.user)
            return await self._repo.use_step(factor, step, sealed=sealed)
        code_hash = recovery_hash(code)
        if code_hash is None or not await self._repo.use_recovery(factor.user, code_hash):
            return False
        log.warning("totp.recovery_code_used", user=str(factor.user), left=len(factor.recovery) - 1)
        return True

    async def renew_recovery(self, user: UUID, transaction: Transaction = None) -> tuple[str, ...] | None:
        """Return new recovery codes, which take the place of all others; None without a second factor."""
        shown, hashes = _new_recovery()
        return shown if await self._repo.replace_recovery(user, hashes, transaction) else None

    async def remove(self, user: UUID, transaction: Transaction = None) -> bool:
        """Remove a second factor, pending or confirmed; False when there was none."""
        return await self._repo.remove(user, transaction)

    def _matching_step(self, factor: SecondFactor, code: str) -> int | None:
        """Return which 30 seconds' code it is, of those near now; comparing takes as long whatever differs."""
        digits = read_totp(code)
        if digits is None:
            return None
        try:
            secret = self._seals.open(factor.sealed, factor.user).decode()
        except ValueError as error:
            log.error("totp.secret_unreadable", user=str(factor.user), error=str(error))
            return None
        totp = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S)
        now = self._clock() // (STEP_S * NS_PER_S)
        near = range(max(0, now - SKEW_STEPS), now + SKEW_STEPS + 1)
        # All are compared, so that the time taken does not tell which one it was.
        found = [step for step in near if hmac.compare_digest(totp.generate_otp(step), digits)]
        return max(found, default=None)


def _new_recovery() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return recovery codes to show, and their hashes to keep."""
    plain = [base64.b32encode(secrets.token_bytes(RECOVERY_CHARS * 5 // 8)).decode() for _ in range(RECOVERY_CODES)]
    return tuple(map(shown_recovery, plain)), tuple(found for code in plain if (found := recovery_hash(code)))
