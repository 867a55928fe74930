"""How long orders take from the receipt of their request to its answer, as callers have it, by way and venue.

    way     rest: an order a request      bulk: many in one      websocket: one message of a socket
    venue   paper: against the market     book: against each other

An order counts once it was accepted and its answer is written, over a WebSocket once the answer is the socket's to
take: it is durable then. What was refused is not counted. Of a bulk every order has the time of the whole request.

Invariant: what is shown of "the last minute" is the difference of two readings, so it costs the same however many
orders there were.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from qsuite.domain.histogram import Histogram, quantile_of

DECADE = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
"""Ten steps a decade (ISO 3, R10): a percentile estimated inside a bucket is off by 6 % on average, by 13 % at most."""
BOUNDS_S = tuple(
    round(step * 10.0**power, 7)
    for power in range(-4, 1)
    for step in DECADE
    if power > -4 or step >= 2.0  # from 0.2 ms to 8 s
)
WAYS = ("rest", "bulk", "websocket")
VENUES = ("paper", "book")
WINDOW_S = 60.0


class Recent(NamedTuple):
    """Orders of the window; times in seconds, None without any."""

    orders: int
    mean_s: float | None
    p50_s: float | None
    p99_s: float | None


class _Sample(NamedTuple):
    at_s: float
    counts: tuple[int, ...]
    total_s: float


class OrderLatency:
    """Count acknowledged orders. ``sample`` is called about once a second."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.spread: dict[tuple[str, ...], Histogram] = {
            (way, venue): Histogram(BOUNDS_S) for way in WAYS for venue in VENUES
        }
        self._samples: deque[_Sample] = deque([self._reading()])

    def acknowledged(self, way: str, venues: Iterable[str], received_s: float) -> None:
        """Count orders whose answer is written, by the venue of each; received then, on the monotonic clock."""
        seconds = self._monotonic() - received_s
        for venue in venues:
            self.spread[way, venue].observe(seconds)

    def sample(self) -> None:
        """Note how things stand, and forget what is older than the window."""
        now = self._reading()
        self._samples.append(now)
        while len(self._samples) > 1 and self._samples[1].at_s <= now.at_s - WINDOW_S:
            self._samples.popleft()

    def recent(self) -> Recent:
        """Return the orders of the last minute, or since the start where that is less."""
        now, then = self._reading(), self._samples[0]
        counts = [after - before for after, before in zip(now.counts, then.counts, strict=True)]
        orders = sum(counts)
        if not orders:
            return Recent(0, None, None, None)
        p50_s, p99_s = quantile_of(BOUNDS_S, counts, 0.5), quantile_of(BOUNDS_S, counts, 0.99)
        return Recent(orders, (now.total_s - then.total_s) / orders, p50_s, p99_s)

    def _reading(self) -> _Sample:
        every = [histogram.read() for histogram in self.spread.values()]
        counts = tuple(map(sum, zip(*(one.counts for one in every), strict=True)))
        return _Sample(self._monotonic(), counts, sum(one.total for one in every))
