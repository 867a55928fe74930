"""How often: messages, cancels, orders alike, fills. Kept in memory, per account or strategy; a restart begins anew.

Messages are let through by the generic cell rate algorithm (ITU-T I.371): one instant per account says when its bucket
would be full again, which is a token bucket without a loop that refills it. Each look is O(1), or O(1) per event over
time where windows are emptied.

Every message counts, refused ones too; what a full bucket refuses cannot empty it further. Looking without counting
(``*_free``, ``alike``) is for checks, which must not change what they look at.
"""

from collections import deque
from decimal import Decimal
from uuid import UUID

from qsuite.domain.times import NS_PER_S

LOOKALIKE_NS = NS_PER_S
THROTTLE_NS = 10 * NS_PER_S
Alike = tuple[object, ...]


class Buckets:
    """A token bucket per account."""

    def __init__(self) -> None:
        self._full_at: dict[UUID, int] = {}

    def free(self, account: UUID, now: int, rate: Decimal, burst: Decimal) -> bool:
        """Say whether a message would be let through."""
        if rate <= 0 or burst < 1:
            return False
        full_at = max(self._full_at.get(account, 0), now)
        cell = int(NS_PER_S / rate)
        return full_at + cell - now <= int(burst) * cell

    def take(self, account: UUID, now: int, rate: Decimal, burst: Decimal) -> bool:
        """Count a message and say whether it is let through."""
        if not self.free(account, now, rate, burst):
            return False
        self._full_at[account] = max(self._full_at.get(account, 0), now) + int(NS_PER_S / rate)
        return True

    def wait_ns(self, account: UUID, now: int, rate: Decimal, burst: Decimal) -> int:
        """Return how long until a message would be let through."""
        if rate <= 0:
            return NS_PER_S
        cell = int(NS_PER_S / rate)
        return max(0, max(self._full_at.get(account, 0), now) + cell - now - int(burst) * cell)


class Lookalikes:
    """How often the same was asked within the last second."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, Alike]] = deque()
        self._counts: dict[Alike, int] = {}

    def alike(self, key: Alike, now: int) -> int:
        """Return how many like it came in the last second."""
        while self._seen and self._seen[0][0] <= now - LOOKALIKE_NS:
            _, gone = self._seen.popleft()
            self._counts[gone] -= 1
            if not self._counts[gone]:
                del self._counts[gone]
        return self._counts.get(key, 0)

    def count(self, key: Alike, now: int) -> None:
        """Count one."""
        self._seen.append((now, key))
        self._counts[key] = self._counts.get(key, 0) + 1


class Fills:
    """Fills of each strategy in the last ten seconds."""

    def __init__(self) -> None:
        self._times: dict[UUID, deque[int]] = {}

    def count(self, strategy: UUID, now: int) -> None:
        """Count a fill."""
        self._times.setdefault(strategy, deque()).append(now)

    def recent(self, strategy: UUID, now: int) -> int:
        """Return how many fills a strategy had in the last ten seconds."""
        times = self._times.get(strategy)
        if times is None:
            return 0
        while times and times[0] <= now - THROTTLE_NS:
            times.popleft()
        return len(times)

    def forget(self, strategy: UUID) -> None:
        """Begin anew, because a person re-enabled the strategy."""
        self._times.pop(strategy, None)


class RateBook:
    """All that is counted over time."""

    def __init__(self) -> None:
        self.messages = Buckets()
        self.cancels = Buckets()
        self.lookalikes = Lookalikes()
        self.fills = Fills()
