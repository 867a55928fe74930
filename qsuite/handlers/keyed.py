"""A POST with an ``Idempotency-Key``: done once, answered as often as it is asked.

The answer is stored before it leaves, so that whoever has seen it gets the same one again. Invariant: a handler knows
nothing of keys; what it answers is held back here until it is kept.
"""

import asyncio
from asyncio import Future
from typing import Any

import structlog

from qsuite.domain.errors import Invalid, OutcomeUnknown, Unavailable
from qsuite.domain.roles import Caller
from qsuite.handlers.limits import LimitedAnswers
from qsuite.services.idempotency import Answer

log = structlog.get_logger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEY_MAX = 255


class KeyedAnswers(LimitedAnswers):
    """Answer requests under a key."""

    keeps_answer = True

    _claim: str | None = None
    _leaving: "Future[None] | None" = None
    _failure: BaseException | None = None

    async def claim_key(self, caller: Caller, given: str, *, keeps_answer: bool) -> None:
        """Begin a request under its key, or answer as it was answered before."""
        request = f"{self.request.method} {self.request.uri}"
        found = await self.services.idempotency.claim(caller, _read_key(given), request, self.request.body)
        self.keeps_answer = keeps_answer
        if isinstance(found, str):
            self._claim = found
            return
        assert found.body is not None
        self._status_code = found.status
        self._headers.update({**found.headers, REPLAYED: "true"})
        self.finish(found.body)

    def send_problem(self, error: BaseException | None, status: int) -> None:
        """Finish the request with a problem."""
        self._failure = error
        super().send_problem(error, status)

    def finish(self, chunk: Any = None) -> "Future[None]":
        """End the answer, once it is kept where it is to be."""
        if self._leaving is not None:
            return self._leaving
        if self._claim is None:
            return super().finish(chunk)
        if chunk is not None:
            self.write(chunk)
        self._auto_finish = False
        self._leaving = asyncio.ensure_future(self._keep_and_leave(self._claim))
        return self._leaving

    async def _keep_and_leave(self, claim: str) -> None:
        try:
            await self._settle(claim)
        except Exception:  # the work was done, and whoever asked for it is told so
            log.exception("idempotency.failed", key=claim)
        self._claim = self._leaving = None
        await super().finish()

    async def _settle(self, claim: str) -> None:
        keys = self.services.idempotency
        if _nobody_knows(self._failure, self._status_code):
            keys.abandon(claim)
        elif self._status_code in (429, 503):
            await keys.release(claim)
        else:
            body = b"".join(self._write_buffer) if self.keeps_answer else None
            await keys.keep(claim, Answer(self._status_code, dict(self._headers.get_all()), body))


def _nobody_knows(failure: BaseException | None, status: int) -> bool:
    """Say whether a failed request may or may not have been done."""
    return isinstance(failure, OutcomeUnknown) or (status >= 500 and not isinstance(failure, Unavailable))


def _read_key(given: str) -> str:
    """Return the key, with or without the quotes of a structured field."""
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not 0 < len(key) <= KEY_MAX or not all("!" <= letter <= "~" for letter in key):
        raise Invalid(f"{HEADER} takes 1 to {KEY_MAX} visible ASCII characters", errors={HEADER: ["malformed"]})
    return key
