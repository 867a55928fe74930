"""Sees within a second what other processes (another server, the command line) changed about who may do what.

Each round asks for the changes since the last one that worked, less an overlap for clocks that differ and writes that
took long; what was announced before is skipped. While the database is away nobody can change anything either, so the
rounds just go on, and the first that works catches up.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from qsuite.domain.access import AccessChange
from qsuite.domain.errors import Unavailable
from qsuite.domain.times import NS_PER_S, floor_ms

log = structlog.get_logger(__name__)

OVERLAP_NS = 10 * NS_PER_S
POLL_S = 0.4


class Changing(Protocol):
    """A repo that can say what changed."""

    async def changes_since(self, since: int) -> list[AccessChange]:
        """Return the changes since an instant, in nanoseconds."""


class AccessWatch:
    """A loop for the supervisor; hands every change to ``announce`` once, wherever it was made."""

    name = "access-watch"
    interval_s = POLL_S

    def __init__(self, repos: Iterable[Changing], announce: Callable[[list[AccessChange]], None], *, now: int) -> None:
        self._repos = tuple(repos)
        self._announce = announce
        self._looked_at = now
        self._seen: dict[AccessChange, int] = {}
        self._blind = False

    def note(self, changes: Iterable[AccessChange], now: int) -> None:
        """Announce those changes that were not announced before."""
        changes = list(changes)
        fresh = [change for change in changes if change not in self._seen]
        self._seen.update(dict.fromkeys(changes, now))
        if fresh:
            self._announce(fresh)

    async def run_once(self, now: int) -> None:
        """Look once."""
        since = floor_ms(self._looked_at - OVERLAP_NS)
        try:
            found = await asyncio.gather(*(repo.changes_since(since) for repo in self._repos))
        except Unavailable as error:
            if not self._blind:
                log.warning("access-watch.blind", error=error.detail)
            self._blind = True
            return
        self._blind = False
        self._looked_at = now
        self.note((change for changes in found for change in changes), now)
        # What is still found was just stamped anew; the rest was last found longer ago than any round looks back.
        self._seen = {change: at for change, at in self._seen.items() if at > now - OVERLAP_NS}
