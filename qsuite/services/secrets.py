"""The secrets a process was given: the one new keys are derived from, and those that older keys were.

A secret has an id, which says nothing about it, so that a stored key can name the secret it needs.
"""

import base64
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qsuite.domain.errors import SetupError
from qsuite.safe_start import SECRET_MIN_LENGTH
from qsuite.services.private_files import read_or_make
from qsuite.settings import Settings

SECRET_NAME = "secret.key"  # noqa: S105  a file name  # nosec B105


@dataclass(frozen=True, slots=True)
class Secrets:
    """What this process may derive keys from."""

    current: str = field(repr=False)
    retired: tuple[str, ...] = field(default=(), repr=False)

    @property
    def all(self) -> tuple[str, ...]:
        """Return them, the one for new keys first."""
        return (self.current, *self.retired)

    def find(self, identity: str) -> str | None:
        """Return the secret of an id, or None where this process was not given it."""
        return next((secret for secret in self.all if secret_id(secret) == identity), None)


def secret_id(secret: str) -> str:
    """Return the name of a secret, 16 characters."""
    return base64.urlsafe_b64encode(derive(secret, b"", b"qsuite secret id 1", 12)).decode()


def derive(secret: str, salt: bytes, purpose: bytes, length: int = 32) -> bytes:
    """Return a key for one purpose (RFC 5869, HKDF with SHA-256)."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt or None, info=purpose).derive(secret.encode())


def secrets_of(settings: Settings) -> Secrets:
    """Return the configured secrets. SetupError as for ``secret_of``."""
    return Secrets(secret_of(settings), settings.secret_keys_retired)


def secret_of(settings: Settings) -> str:
    """Return the configured secret; without one make it once and keep it in the data directory.

    Production never gets here without a secret: the settings refuse that. SetupError for a file that was damaged.
    """
    if settings.secret_key is not None:
        return settings.secret_key
    path = settings.data_dir / SECRET_NAME
    secret = read_or_make(path, lambda: secrets.token_urlsafe(48))
    if len(secret) < SECRET_MIN_LENGTH:
        raise SetupError(f"{path} is damaged; remove it to get a new one (everybody must then log in again)")
    return secret
