"""Counting of requests at the door: what is over a limit is answered 429, and every answer tells how things stand.

Invariant: what an answer tells is how the caller's buckets stood when this request was counted, exactly; nothing is
awaited unless the buckets are shared between processes.
"""

from collections.abc import Awaitable
from typing import cast

from tornado.web import HTTPError

from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.answers import Answering
from qsuite.services.container import Services
from qsuite.services.throttle import Verdict
from qsuite.services.throttle.throttle import Who


class LimitedAnswers(Answering):
    """Count requests by caller or address."""

    @property
    def services(self) -> Services:
        """Return what handlers may call."""
        return cast(Services, self.settings["services"])

    def count(
        self, scope: ThrottleScope, who: Who, *, cost: int = 1, need: int | None = None
    ) -> Awaitable[None] | None:
        """Take of the buckets of a scope; an awaitable where other processes share them. Throttled over a limit."""
        told = self.services.throttle.take(scope, who, cost, need)
        if isinstance(told, Verdict):
            self._tell(told)
            return None
        return self._tell_later(told)

    async def _tell_later(self, told: Awaitable[Verdict]) -> None:
        self._tell(await told)

    def _tell(self, told: Verdict) -> None:
        self.limit_fields = told.fields
        if told.refusal is not None:
            raise told.refusal

    def likely_caller(self, scope: ThrottleScope) -> Who:
        """Return whom a request counts for that needs no login: a caller known already, else their address.

        Passwords are tried by address, whatever else is sent along.
        """
        header = self.request.headers.get("Authorization")
        caller = None if header is None or scope is ThrottleScope.AUTH else self.services.auth.remembered(header)
        return caller or self.request.remote_ip or ""


class UnknownRoute(LimitedAnswers):
    """Answer every path that no route claims, whatever the method."""

    def prepare(self) -> Awaitable[None] | None:
        """Refuse before anything else is looked at."""
        counting = self.count(ThrottleScope.DEFAULT, self.likely_caller(ThrottleScope.DEFAULT))
        if counting is not None:
            return self._refuse(counting)
        raise HTTPError(404)

    async def _refuse(self, counting: Awaitable[None]) -> None:
        await counting
        raise HTTPError(404)
