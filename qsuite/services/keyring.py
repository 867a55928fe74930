"""The keys that sign and verify tokens, and those derived beside them: one ring for all processes of a database.

    qsuite keys rotate ──> a document ──> every process reads it within a second ──> later, all at once, sign with it

Invariants: a document alone makes no key, it takes the secret it names; so who can write to the database adds none. A
key that a process cannot derive is left out, and what does not derive to its own id is, too.

``derived_key(purpose, key_id)`` gives other uses (digests, encryption) a key of their own. They keep ``key_id`` beside
what they made, and so read it after any number of rotations.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from qsuite.domain.errors import AlreadyExists, NotFound, Unavailable
from qsuite.domain.signing_keys import KeyState, SigningKey, ends_at, in_order, signing, state_of
from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.repos.database import Session
from qsuite.repos.signing_keys import SigningKeysRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.key_forms import Jwk, header_segment, jwk
from qsuite.services.secrets import Secrets, derive, secret_id

log = structlog.get_logger(__name__)

POLL_S = 1.0
LOOK_AGAIN_NS = NS_PER_S // 2
SALT_BYTES = 32
TOKEN_PURPOSE = b"qsuite access token ed25519 1"


@dataclass(frozen=True, slots=True)
class Pair:
    """A key that this process could derive, ready for use."""

    key: SigningKey
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    jwk: Jwk
    header: str
    """The first part of every token under it."""
    ends_at: int | None


class Ring:
    """The keys at one look, in the order in which they sign."""

    def __init__(self, known: Secrets, keys: Iterable[SigningKey], token_ns: int) -> None:
        self._secrets = known
        self._token_ns = token_ns
        self.stored = in_order(keys)
        """All there are, those of other secrets too."""
        self.foreign: list[str] = []
        """The ids of those that this process cannot derive."""
        self._keys = [key for key in self.stored if self._derives(key)]
        self._pairs = {key.id: self._pair(key) for key in self._keys}
        self._by_header: Mapping[str, Pair] = {pair.header: pair for pair in self._pairs.values()}

    @property
    def revoked(self) -> set[str]:
        """Return the ids of the keys that were revoked."""
        return {key.id for key in self.stored if key.revoked_at is not None}

    def signing(self, now: int) -> Pair:
        """Return the key that signs now. Unavailable in the moment between its revocation and the next one."""
        key = signing(self._keys, now)
        if key is None:
            raise Unavailable("no key may sign tokens at the moment")
        return self._pairs[key.id]

    def signs(self, now: int) -> bool:
        """Say whether there is a key that signs now."""
        return signing(self._keys, now) is not None

    def verifying(self, header: str, now: int) -> Pair | None:
        """Return the key whose tokens begin with ``header``, None when it is not ours or has ended."""
        pair = self._by_header.get(header)
        return pair if pair is not None and (pair.ends_at is None or now < pair.ends_at) else None

    def knows(self, header: str) -> bool:
        """Say whether tokens that begin so are of a key of ours, ended or not."""
        return header in self._by_header

    def published(self, now: int) -> list[Jwk]:
        """Return the public keys a verifier needs now, and those it will need next."""
        return [pair.jwk for pair in self._pairs.values() if pair.ends_at is None or now < pair.ends_at]

    def states(self, now: int) -> list[tuple[SigningKey, KeyState | None, int | None]]:
        """Return each key, what it is good for, and when it stops verifying; state None for one not derived here."""
        rows: list[tuple[SigningKey, KeyState | None, int | None]] = []
        for key in self.stored:
            pair = self._pairs.get(key.id)
            state = None if pair is None else state_of(key, self._keys, now, self._token_ns)
            rows.append((key, state, None if pair is None else pair.ends_at))
        return rows

    def derived_key(self, purpose: bytes, key_id: str) -> bytes:
        """Return 32 secret bytes for a purpose under a key, whatever its state. NotFound without its secret."""
        pair = self._pairs.get(key_id)
        secret = None if pair is None else self._secrets.find(pair.key.secret)
        if pair is None or secret is None:
            raise NotFound(f"the secret of key {key_id} is not configured here")
        return derive(secret, pair.key.salt, b"qsuite " + purpose)

    def _derives(self, key: SigningKey) -> bool:
        secret = self._secrets.find(key.secret)
        if secret is not None and jwk(token_key(secret, key.salt).public_key())["kid"] == key.id:
            return True
        self.foreign.append(key.id)
        return False

    def _pair(self, key: SigningKey) -> Pair:
        secret = self._secrets.find(key.secret)
        assert secret is not None
        private = token_key(secret, key.salt)
        form = jwk(private.public_key())
        end = ends_at(key, self._keys, self._token_ns)
        return Pair(key, private, private.public_key(), form, header_segment(form["kid"]), end)


class Keyring:
    """Hold the ring, look for changes, make and revoke keys. ``run_once`` is a loop for the supervisor."""

    name = "signing-keys"
    interval_s = POLL_S

    def __init__(
        self,
        *,
        secrets: Secrets,
        repo: SigningKeysRepo,
        trail: AuditTrail,
        token_s: int,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._secrets = secrets
        self._repo = repo
        self._trail = trail
        self._token_ns = token_s * NS_PER_S
        self._clock = clock
        self._told: set[str] = set()
        self._on_revoked: list[Callable[[], None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = 0
        self.ring = Ring(secrets, [first_key(secrets.current)], self._token_ns)

    def on_revoked(self, callback: Callable[[], None]) -> None:
        """Call back when a key is found revoked: what was believed because of it must be checked again."""
        self._on_revoked.append(callback)

    async def start(self) -> None:
        """Read the keys; where none that this process could sign with is there, add its secret's first one."""
        await self._look()

    async def run_once(self, now: int) -> None:
        """Look once."""
        await self._look()

    async def look_again(self) -> None:
        """Look now, unless that was done a moment ago: a token named a key that is not known here.

        Whoever sends made-up ids so costs two reads a second, all together.
        """
        if self._looking is None:
            if self._clock() - self._looked_at < LOOK_AGAIN_NS:
                return
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled() and task.exception() is not None:
            log.debug("keys.not_read", error=str(task.exception()))  # whoever asked was told

    def current_id(self) -> str:
        """Return the id of the key that signs now: what new digests and ciphertexts are made under."""
        return self.ring.signing(self._clock()).key.id

    def derived_key(self, purpose: bytes, key_id: str) -> bytes:
        """Return 32 secret bytes for a purpose under a key. NotFound where its secret is not configured here."""
        return self.ring.derived_key(purpose, key_id)

    async def rotate(self, lead_s: float) -> SigningKey:
        """Make a key from the current secret that signs in ``lead_s``: time for every process to learn of it."""
        now = floor_ms(self._clock())
        key = new_key(self._secrets.current, now=now, signs_from=now + floor_ms(int(lead_s * NS_PER_S)))
        await self._trail.record(
            "signing_key.rotated",
            subject=key.id,
            facts={"signs_in_s": str(lead_s)},
            change=lambda session: self._repo.add(key, session),
        )
        await self._look()
        log.info("keys.rotated", key=key.id, signs_in_s=lead_s)
        return key

    async def revoke(self, key_id: str) -> None:
        """End a key at once, and all tokens under it; where it was the one that signs, another signs from now.

        NotFound for a key that is not there or was revoked before.
        """
        await self._look()
        now = floor_ms(self._clock())
        if self.ring.signs(now) and self.ring.signing(now).key.id == key_id:
            await self.rotate(0)

        async def end(session: Session) -> None:
            if not await self._repo.revoke(key_id, now, session):
                raise NotFound(f"there is no key {key_id} that could be revoked")

        await self._trail.record("signing_key.revoked", subject=key_id, change=end)
        await self._look()
        log.warning("keys.revoked", key=key_id)

    async def _look(self) -> None:
        keys = await self._repo.all()
        now = self._clock()
        ring = self.ring if keys == self.ring.stored else Ring(self._secrets, keys, self._token_ns)
        if not ring.signs(now):
            await self._add_first(ring)
            ring = Ring(self._secrets, await self._repo.all(), self._token_ns)
        self._looked_at = self._clock()
        revoked = ring.revoked - self.ring.revoked
        self.ring = ring
        for callback in self._on_revoked if revoked else ():
            callback()
        for key_id in set(ring.foreign) - self._told:
            log.warning("keys.foreign", key=key_id)
        self._told.update(ring.foreign)

    async def _add_first(self, ring: Ring) -> None:
        """Add the key that this secret has always meant, or another where that one was revoked."""
        key = first_key(self._secrets.current)
        if any(known.id == key.id for known in ring.stored):
            now = floor_ms(self._clock())
            key = new_key(self._secrets.current, now=now, signs_from=now)
        try:
            await self._repo.add(key)
        except AlreadyExists:
            log.debug("keys.first_made_elsewhere", key=key.id)


def first_key(secret: str) -> SigningKey:
    """Return a secret's first key, the same in every process that has the secret: it was there from the beginning."""
    kid = jwk(token_key(secret, b"").public_key())["kid"]
    return SigningKey(kid, secret_id(secret), b"", made_at=0, signs_from=0)


def new_key(secret: str, *, now: int, signs_from: int) -> SigningKey:
    """Return a key unlike any other of the secret."""
    salt = secrets.token_bytes(SALT_BYTES)
    kid = jwk(token_key(secret, salt).public_key())["kid"]
    return SigningKey(kid, secret_id(secret), salt, made_at=now, signs_from=signs_from)


def token_key(secret: str, salt: bytes) -> Ed25519PrivateKey:
    """Return the key that signs tokens."""
    return Ed25519PrivateKey.from_private_bytes(derive(secret, salt, TOKEN_PURPOSE))
