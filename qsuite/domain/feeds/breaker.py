"""When to try a source again: a circuit breaker, and pauses spread over their whole length.

    closed ──failures_max in a row──> open ──after open_ns──> half-open ──a try works──> closed
                                       ^                          └──it fails──> open again

Invariant: while it is open nobody tries; half open, one try is under way and nobody else's. Times are of a monotonic
clock, handed in.
"""

from enum import StrEnum

DOUBLINGS_MAX = 30


class BreakerState(StrEnum):
    """The boxes of the picture above."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Count failures in a row and say whether to try."""

    def __init__(self, *, failures_max: int, open_ns: int) -> None:
        self.state = BreakerState.CLOSED
        self.failures = 0
        self._failures_max = failures_max
        self._open_ns = open_ns
        self._until_ns = 0

    def allows(self, now_ns: int) -> bool:
        """Say whether to try now. Once it was open, the caller who is told yes makes the one try."""
        if self.state is BreakerState.OPEN and now_ns >= self._until_ns:
            self.state = BreakerState.HALF_OPEN
            return True
        return self.state is BreakerState.CLOSED

    def worked(self) -> None:
        """Close: the source does what it is for."""
        self.state = BreakerState.CLOSED
        self.failures = 0

    def failed(self, now_ns: int) -> None:
        """Count a failed try."""
        self.failures += 1
        if self.state is BreakerState.HALF_OPEN or self.failures >= self._failures_max:
            self.state = BreakerState.OPEN
            self._until_ns = now_ns + self._open_ns

    def wait_ns(self, now_ns: int) -> int:
        """Return how long it stays open yet; 0 when it is not."""
        return max(0, self._until_ns - now_ns) if self.state is BreakerState.OPEN else 0


def full_jitter_s(failures: int, uniform: float, *, first_s: float, max_s: float) -> float:
    """Return the pause after so many failures in a row: ``uniform`` of [0, 1) times a bound that doubles up to a limit.

    Spread from nothing to the bound, as that keeps many clients of one source from coming back together and costs the
    source the fewest calls (M. Brooker, Exponential Backoff And Jitter, 2015).
    """
    if failures <= 0:
        return 0.0
    return uniform * min(max_s, first_s * 2.0 ** min(failures - 1, DOUBLINGS_MAX))
