"""Records who came in, who was refused, and who changed or took what; each with the change it tells of.

    record(…, change=…)   one transaction: the change and its entry, or neither
    record(…)             stored when this returns
    note(…)               refusals: stored within ``FLUSH_S``, many together, so that a flood of them costs little

A refusal that repeats (same kind, actor, subject, address) is stored at once the first time and then counted: one entry
each ``REPEAT_S`` with the ``times``. What finds no room is counted in ``dropped`` and in the next entry that does.

Who asks, and from where, comes from the request under way (``asked_by``) unless it is given.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from qsuite.domain.audit_trail import Draft, TrailHead, draft
from qsuite.domain.times import NS_PER_S
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Session

T = TypeVar("T")

FLUSH_S = 0.2
REPEAT_S = 10
KEYS_MAX = 1_000
"""Different refusals known at a time; more are dropped, and counted."""
GROUP = 200
"""Entries of one transaction at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asks, and from where."""

    actor: UUID | None = None
    actor_name: str = ""
    request_id: str = ""
    address: str = ""


NOBODY = Origin()
asked_by: ContextVar[Callable[[], Origin] | None] = ContextVar("asked_by", default=None)
"""Tells of the request under way; a function, so that a request that records nothing pays next to nothing."""


@contextmanager
def on_behalf(origin: Origin) -> Iterator[None]:
    """Name who asks inside the block, where no request does: a command."""
    token = asked_by.set(lambda: origin)
    try:
        yield
    finally:
        asked_by.reset(token)


class Listener(Protocol):
    """Who is told of each entry as well: the log of security events."""

    def tell(self, said: Draft) -> None:
        """Take one entry, once it is stored or, of grouped ones, sure to be."""


@dataclass(slots=True)
class _Seen:
    """A refusal that repeats: when it was last stored, and what came since."""

    stored_at: int
    last: Draft
    times: int = 0


async def _nothing(_session: Session) -> None:
    return None


class AuditTrail:
    """Record; a loop of the supervisor, which stores what was only noted."""

    name = "audit trail"
    interval_s = FLUSH_S

    def __init__(
        self,
        repo: AuditAccessRepo,
        *,
        clock: Callable[[], int] = time.time_ns,
        listener: Listener | None = None,
    ) -> None:
        self._repo = repo
        self._clock = clock
        self._listener = listener
        self._waiting: list[Draft] = []
        self._seen: dict[tuple[str, ...], _Seen] = {}
        self._untold = 0
        self.dropped = 0
        """Refusals that found no room, since the start."""

    async def record(
        self,
        kind: str,
        *,
        actor: UUID | None = None,
        actor_name: str = "",
        subject: object = "",
        facts: Mapping[str, object] | None = None,
        request_id: str = "",
        address: str = "",
        change: Callable[[Session], Awaitable[T]] = _nothing,  # type: ignore[assignment]
    ) -> T:
        """Store an entry in the transaction of ``change``, which gets the session and may be called again.

        Whatever the change raises is raised, and then nothing was stored. Unavailable or OutcomeUnknown when the
        database says so. Names not given are those of the request under way.
        """
        said = self._draft(kind, actor, actor_name, subject, facts, request_id, address)
        done = await self._repo.append([said], change)
        self._tell(said)
        return done

    def note(
        self,
        kind: str,
        *,
        actor: UUID | None = None,
        actor_name: str = "",
        subject: object = "",
        facts: Mapping[str, object] | None = None,
        request_id: str = "",
        address: str = "",
    ) -> None:
        """Have a refusal stored soon, with others."""
        said = self._draft(kind, actor, actor_name, subject, facts, request_id, address)
        key = (said.kind, said.actor, said.subject, said.address)
        seen = self._seen.get(key)
        if seen is not None:
            seen.times += 1
            seen.last = said
        elif len(self._seen) < KEYS_MAX:
            self._seen[key] = _Seen(said.ts_ns, said)
            self._take(said)
        else:
            self.dropped += 1
            self._untold += 1

    def mention(self, kind: str, *, actor: UUID, actor_name: str, subject: object, facts: Mapping[str, object]) -> None:
        """Tell the listener of what the engine records in its own chain."""
        self._tell(self._draft(kind, actor, actor_name, subject, facts, "", ""))

    async def run_once(self, now: int) -> None:
        """Store what was noted; what cannot be stored waits for the next round."""
        if len(self._waiting) <= KEYS_MAX:  # while the database is away what is refused is counted, not piled up
            self._count_up(now)
        while self._waiting:
            group = self._waiting[:GROUP]
            await self._repo.append(group, _nothing)
            del self._waiting[: len(group)]

    async def stop(self) -> None:
        """Store what is still waiting, repeats not yet due included."""
        await self.run_once(self._clock() + REPEAT_S * NS_PER_S)

    async def head(self) -> TrailHead:
        """Return where the chain ends."""
        return await self._repo.head()

    def _draft(
        self,
        kind: str,
        actor: UUID | None,
        actor_name: str,
        subject: object,
        facts: Mapping[str, object] | None,
        request_id: str,
        address: str,
    ) -> Draft:
        asking = asked_by.get()
        origin = NOBODY if asking is None else asking()
        return draft(
            self._clock(),
            kind,
            actor=origin.actor if actor is None else actor,
            actor_name=actor_name or ("" if actor is not None else origin.actor_name),
            subject=subject,
            facts=facts or {},
            request_id=request_id or origin.request_id,
            address=address or origin.address,
        )

    def _count_up(self, now: int) -> None:
        """Store the repeats that are due, forget what has ended, and say what found no room."""
        due = now - REPEAT_S * NS_PER_S
        for key, seen in list(self._seen.items()):
            if seen.stored_at > due:
                continue
            if seen.times:
                self._take(seen.last._replace(facts={**seen.last.facts, "times": seen.times}))
                seen.stored_at, seen.times = now, 0
            else:
                del self._seen[key]
        if self._untold:
            self._take(self._draft("audit.dropped", None, "", "", {"times": self._untold}, "", ""))
            self._untold = 0

    def _take(self, said: Draft) -> None:
        self._waiting.append(said)
        self._tell(said)

    def _tell(self, said: Draft) -> None:
        if self._listener is not None:
            self._listener.tell(said)
