"""Which key signs tokens, and which still verify them: decided from the times each key was given, and nothing else.

    made_at          signs_from                 the next one's signs_from        + life of a token
       |── waiting ──────|──────── signing ──────────────|────── verifying ──────────────|── retired
       └ every process learns to verify it here

Invariant: between two keys no instant is without one that signs, and whatever one signed is verified until it has
expired. Processes need not agree on anything but the documents: each applies this to what it read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from qsuite.domain.times import NS_PER_S

SLACK_NS = 60 * NS_PER_S
"""A superseded key verifies for so much longer than its last token lives: clocks differ, and so may `auth.access_s`."""


class KeyState(Enum):
    """What a key is good for at an instant."""

    WAITING = "waiting"
    SIGNING = "signing"
    VERIFYING = "verifying"
    RETIRED = "retired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key as it is stored: all but the secret that it is derived from, of which ``secret`` is the name."""

    id: str
    secret: str
    salt: bytes
    made_at: int
    signs_from: int
    revoked_at: int | None = None


def in_order(keys: Iterable[SigningKey]) -> list[SigningKey]:
    """Return keys in the order in which they sign; of two that begin at once every process picks the same."""
    return sorted(keys, key=lambda key: (key.signs_from, key.id))


def signing(keys: Sequence[SigningKey], now: int) -> SigningKey | None:
    """Return the key that signs at an instant: the last that began, of ``keys`` in order. None if that was revoked."""
    begun = [key for key in keys if key.signs_from <= now and _served(key)]
    return begun[-1] if begun and begun[-1].revoked_at is None else None


def ends_at(key: SigningKey, keys: Sequence[SigningKey], token_ns: int) -> int | None:
    """Return when a key stops verifying, None while no other follows it; tokens live ``token_ns``."""
    if key.revoked_at is not None:
        return key.revoked_at
    following = [later for later in keys[keys.index(key) + 1 :] if _served(later)]
    return following[0].signs_from + token_ns + SLACK_NS if following else None


def state_of(key: SigningKey, keys: Sequence[SigningKey], now: int, token_ns: int) -> KeyState:
    """Return what a key is good for at an instant."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    if now < key.signs_from:
        return KeyState.WAITING
    if signing(keys, now) == key:
        return KeyState.SIGNING
    end = ends_at(key, keys, token_ns)
    return KeyState.VERIFYING if end is None or now < end else KeyState.RETIRED


def _served(key: SigningKey) -> bool:
    """Say whether a key ever signs: one revoked before its time takes nothing over from the key before it."""
    return key.revoked_at is None or key.revoked_at > key.signs_from
