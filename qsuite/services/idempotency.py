"""The same request again, under the same ``Idempotency-Key``, gets the answer that the first one got.

    claim ──> the request is worked on ──> keep      it was done, or refused for good
                                      └──> release   nothing was done: it may come again
                                      └──> abandon   nobody knows: whoever comes again is told so

Invariant: of all requests of one user under one key at most one is worked on. It is noted before it begins, so also
one that dies with its process is not done twice; what became of it the next one is not told, but that it is not known.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable

import structlog

from qsuite.domain.errors import Conflict, NotFound, Unavailable
from qsuite.domain.roles import Caller
from qsuite.repos.idempotency_keys import Answer, IdempotencyKeysRepo, KeyedRequest
from qsuite.services.keyring import Keyring

__all__ = ["Answer", "IdempotencyKeys"]

log = structlog.get_logger(__name__)

OFF_LOOP_BYTES = 131_072
PURPOSE = b"digest of a request under an idempotency key 1"
BODY_MAX = 8_388_608
"""A longer answer is not kept: a document holds 16 MiB."""


class IdempotencyKeys:
    """Say which requests are new, and what the others were answered."""

    def __init__(self, *, repo: IdempotencyKeysRepo, keyring: Keyring, clock: Callable[[], int]) -> None:
        self._repo = repo
        self._keyring = keyring
        self._clock = clock
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def claim(self, caller: Caller, key: str, request: str, body: bytes) -> Answer | str:
        """Return the answer of the first such request, or the name of the claim where this is the first.

        One that is under way in this process is waited for. Conflict where the key was used for another request, and
        where the answer cannot be had.
        """
        name = f"{caller.user}:{key}"
        digest = await self._digest(self._keyring.current_id(), request, body)
        while (first := self._under_way.get(name)) is not None:
            await asyncio.shield(first)
        self._under_way[name] = asyncio.get_running_loop().create_future()
        found: KeyedRequest | None = None
        try:
            found = await self._repo.begin(KeyedRequest(name, caller.user, request, digest, self._clock()))
        except BaseException:
            self.abandon(name)
            raise
        if found is None:
            return name
        self.abandon(name)
        return _answer_of(found, await self._like(found.digest, digest, request, body))

    async def keep(self, name: str, answer: Answer) -> None:
        """Store the answer of a claimed request. It goes out also where it cannot be stored: the work was done."""
        if answer.body is not None and len(answer.body) > BODY_MAX:
            answer = answer._replace(body=None)
        try:
            await self._repo.end(name, answer, self._clock())
        except Unavailable as error:
            log.warning("idempotency.answer_not_kept", key=name, error=str(error))
        finally:
            self.abandon(name)

    async def release(self, name: str) -> None:
        """Let the request come again: it did nothing."""
        try:
            await self._repo.forget(name)
        except Unavailable as error:
            log.warning("idempotency.key_not_released", key=name, error=str(error))
        finally:
            self.abandon(name)

    def abandon(self, name: str) -> None:
        """Let those who wait for the request go on and see what is stored of it."""
        self._under_way.pop(name).set_result(None)

    async def _like(self, stored: str, digest: str, request: str, body: bytes) -> str:
        """Return the request's digest under the key that ``stored`` was made under, however long ago that signed."""
        key_id = stored.partition(":")[0]
        if digest.startswith(f"{key_id}:"):
            return digest
        try:
            return await self._digest(key_id, request, body)
        except NotFound:
            raise Conflict(
                "this key was used before, under a secret that is gone; look what was done, then use a new key",
                code="idempotency.answer_gone",
            ) from None

    async def _digest(self, key_id: str, request: str, body: bytes) -> str:
        key = self._keyring.derived_key(PURPOSE, key_id)

        def work() -> str:
            return hmac.new(key, request.encode() + b"\n" + body, hashlib.sha256).hexdigest()

        return f"{key_id}:{work() if len(body) < OFF_LOOP_BYTES else await asyncio.to_thread(work)}"


def _answer_of(found: KeyedRequest, digest: str) -> Answer:
    if not hmac.compare_digest(found.digest, digest):
        raise Conflict(f"this key was used for another request, {found.request}", code="idempotency.other_request")
    if found.answer is None:
        raise Conflict(
            "the first request with this key was cut off; look whether it was done, then use a new key",
            code="idempotency.unfinished",
        )
    if found.answer.body is None:
        raise Conflict(
            "the first request with this key was done; its answer is shown only once or was too long to keep",
            code="idempotency.answer_gone",
        )
    return found.answer
