"""A second factor of a login: a secret shared with somebody's phone (TOTP, RFC 6238), and codes for when that is lost.

    begin ──> pending: the secret was shown ── a right code ──> confirmed: logins need a code ── disable, reset ──> gone

Invariants: a code lets in once (``last_step`` only rises, a recovery code is taken out when it is used); of recovery
codes only hashes are kept, of the secret only what ``services.seals`` makes of it.
"""

import hashlib
import re
from dataclasses import dataclass, field
from uuid import UUID

STEP_S = 30
DIGITS = 6
SKEW_STEPS = 1
"""Clocks of phones are off: the code before and the one after the present one are taken too."""
RECOVERY_CODES = 10
RECOVERY_CHARS = 16
"""80 random bits in base32: no slow hash is needed to keep them."""

_TOTP = re.compile(r"[0-9]{6}")
_RECOVERY = re.compile(rf"[A-Z2-7]{{{RECOVERY_CHARS}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactor:
    """A user's second factor. ``sealed`` is the secret; times in nanoseconds, whole milliseconds."""

    user: UUID
    username: str
    sealed: str = field(repr=False)
    created_at: int
    confirmed_at: int | None = None
    last_step: int = 0
    recovery: tuple[str, ...] = field(default=(), repr=False)

    @property
    def active(self) -> bool:
        """Say whether a login needs a code."""
        return self.confirmed_at is not None


def read_totp(code: str) -> str | None:
    """Return the six digits of a code, however they are spaced; None for anything else."""
    digits = code.replace(" ", "")
    return digits if _TOTP.fullmatch(digits) else None


def recovery_hash(code: str) -> str | None:
    """Return the SHA-256 of a recovery code, however it is cased and divided; None for what is none."""
    plain = code.replace(" ", "").replace("-", "").upper()
    return hashlib.sha256(plain.encode()).hexdigest() if _RECOVERY.fullmatch(plain) else None


def shown_recovery(plain: str) -> str:
    """Divide a recovery code, for people to copy."""
    return "-".join(plain[at : at + 4] for at in range(0, len(plain), 4))
