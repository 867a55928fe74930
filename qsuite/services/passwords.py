"""Hashes and judges passwords, in threads: argon2id is meant to be slow, and the event loop must not be.

Invariants: never more hashes at once than ``workers``, each of which takes the memory of one; never more than
``MAX_WAITING`` waiting for one; an unknown user costs the caller the same time as a known one.
"""

import asyncio
import os
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from qsuite.domain.errors import Invalid, Unavailable
from qsuite.domain.passwords import normalized, objections
from qsuite.settings import AuthSettings

T = TypeVar("T")

MAX_WAITING = 256
GOOD_ENOUGH = 3  # zxcvbn: above 10^8 guesses, out of reach even offline against argon2id
ASSESSED = 72  # zxcvbn's own bound, its time grows with the cube
# zxcvbn tries every combination of what these may stand for: with 16 of them one password takes it two seconds.
LOOKALIKES = str.maketrans("4@8({[<3691!|0$5+7%2", "aabcccceggiiiossttxz")
MAX_LOOKALIKES = 6


class Passwords:
    """Hash, verify and judge."""

    def __init__(self, settings: AuthSettings, *, workers: int | None = None) -> None:
        self._min_length = settings.password_min_length
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        # Half of the cores: logins must not starve the trading that shares the machine.
        workers = workers or max(1, (os.cpu_count() or 1) // 2)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="qsuite-password")
        self._free = asyncio.Semaphore(workers)
        self._waiting = 0
        self._judging = threading.Lock()

    async def hash(self, password: str) -> str:
        """Return the argon2id hash with its parameters and salt."""
        async with self._turn():
            return await self._in_thread(lambda: self._hasher.hash(_bytes(password)))

    async def verify(
        self, password_hash: str | None, password: str, *, before: Callable[[], None] | None = None
    ) -> bool:
        """Say whether the password is the one hashed; without a hash take as long and say no.

        ``before`` runs when the turn has come: what it raises keeps the password from being tried.
        """
        async with self._turn():
            if before is not None:
                before()
            return await self._in_thread(lambda: self._verify(password_hash, password))

    def outdated(self, password_hash: str) -> bool:
        """Say whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    async def refuse_weak(self, password: str, about: tuple[str, ...], *, field: str = "password") -> None:
        """Refuse a short, numeric, common, guessable password or one like ``about``. Invalid says what to do better."""
        found = objections(normalized(password), about, min_length=self._min_length)
        if not found:
            async with self._turn():
                found = await self._in_thread(lambda: self._guessable(normalized(password), about))
        if found:
            raise Invalid("the password is too weak", errors={field: found})

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash(secrets.token_bytes(16))

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            matches = self._hasher.verify(password_hash or self._nobody, _bytes(password))
        except (VerifyMismatchError, InvalidHashError):
            return False
        return matches and password_hash is not None

    def _guessable(self, password: str, about: tuple[str, ...]) -> list[str]:
        from zxcvbn import zxcvbn  # takes a tenth of a second to import, and few processes judge a password

        password = password[:ASSESSED]
        if sum(char in password for char in map(chr, LOOKALIKES)) > MAX_LOOKALIKES:
            password = password.translate(LOOKALIKES)
        with self._judging:  # it keeps `user_inputs` in a global
            estimate = zxcvbn(password, user_inputs=[*about, "qsuite"])
        if estimate["score"] >= GOOD_ENOUGH:
            return []
        feedback = estimate["feedback"]
        hints = [feedback["warning"].rstrip("."), *(hint.rstrip(".") for hint in feedback["suggestions"])]
        return ["too easy to guess", *(hint for hint in hints if hint)]

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many logins at once", retry_after_s=2.0)
        self._waiting += 1
        try:
            async with self._free:
                yield
        finally:
            self._waiting -= 1

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _bytes(password: str) -> bytes:
    return normalized(password).encode("utf-8", "surrogatepass")
