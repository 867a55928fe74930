"""Callers whose token was verified, by the header that carried it: why an order does not pay for a signature check.

Invariant: an entry is gone as soon as this process knows of a change to its user, or to a session or key of theirs. A
check that began before such a change and ended after it is not remembered (``epoch``), so that a slow reader never
brings back what a change took away.
"""

from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

from qsuite.domain.roles import Caller

MAX_REMEMBERED = 10_000


class Remembered:
    """Keep the callers last seen."""

    def __init__(self, clock: Callable[[], int], *, size: int = MAX_REMEMBERED) -> None:
        self._clock = clock
        self._size = size
        self._entries: OrderedDict[str, tuple[Caller, int]] = OrderedDict()
        self.epoch = 0
        """Rises whenever something is forgotten because it changed."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, header: str) -> Caller | None:
        """Return the caller of a header seen before, unless its token has expired."""
        entry = self._entries.get(header)
        if entry is None:
            return None
        if entry[1] <= self._clock():
            del self._entries[header]
            return None
        self._entries.move_to_end(header)
        return entry[0]

    def put(self, header: str, caller: Caller, expires_at: int, epoch: int) -> None:
        """Remember a caller; ``epoch`` is what it was before the check began."""
        if epoch != self.epoch:
            return
        self._entries[header] = (caller, expires_at)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def forget_all(self) -> None:
        """Forget everybody."""
        self.epoch += 1
        self._entries.clear()

    def forget(self, user: UUID) -> None:
        """Forget a user, by whatever token they came in; one that still counts costs a new check, no more."""
        self.epoch += 1
        for header in [header for header, (caller, _) in self._entries.items() if caller.user == user]:
            del self._entries[header]
