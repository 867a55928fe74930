"""When each API key was last used, written beside the requests: nobody's request waits for it.

A request leaves the time in memory; a loop writes what is new, each key at most once a minute. So what is stored may be
a minute behind, and what a killed process had not written is lost. While the database is away nothing is written, and
the newest time of each key is kept for later.
"""

from collections.abc import Callable
from uuid import UUID

from qsuite.domain.access import KEY_TOKEN
from qsuite.domain.errors import Unavailable
from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.repos.api_keys import ApiKeysRepo

WRITTEN_EVERY_NS = 60 * NS_PER_S


class KeyUses:
    """A loop for the supervisor; ``note`` is called by every request that came with a key."""

    name = "key-uses"
    interval_s = 1.0

    def __init__(self, repo: ApiKeysRepo, clock: Callable[[], int]) -> None:
        self._repo = repo
        self._clock = clock
        self._used: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def note(self, token: str) -> None:
        """Remember that the key of a caller's token was used now."""
        self._used[token] = self._clock()

    async def run_once(self, now: int) -> None:
        """Write what was used since, of keys not written within the last minute."""
        horizon = now - WRITTEN_EVERY_NS
        due = {token: at for token, at in self._used.items() if self._written.get(token, 0) <= horizon}
        if not due:
            return
        for token in due:
            del self._used[token]
        try:
            await self._repo.note_used({UUID(token.removeprefix(KEY_TOKEN)): floor_ms(at) for token, at in due.items()})
        except Unavailable:
            self._used = {**due, **self._used}
            raise
        self._written = {token: at for token, at in self._written.items() if at > horizon}
        self._written.update(dict.fromkeys(due, now))
