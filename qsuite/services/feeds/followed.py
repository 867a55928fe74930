"""What following a source takes, whatever the source is: one session after the other, with pauses where it fails.

    leading? ──> breaker ──> session: connect, follow, publish
       ^            └─open──> later               │
       └────── pause with jitter <──── SourceError

Invariants: only the process that has the engine follows; what a session took over is published, also where storage was
away meanwhile; a source that keeps failing is left alone for a while, then tried once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from qsuite.domain.feeds.breaker import Breaker, BreakerState, full_jitter_s
from qsuite.domain.market import Tick
from qsuite.domain.times import NS_PER_S
from qsuite.services.feeds.source import SourceError
from qsuite.services.market_data import MarketDataService
from qsuite.services.reference import ReferenceService
from qsuite.services.ticker_guess import guess_ticker

log = structlog.get_logger(__name__)

LOOK_S = 0.5
"""How often a process that does not lead looks whether it does."""


@dataclass(slots=True)
class StreamCounts:
    """What came so far."""

    connects: int = 0
    failures: int = 0
    frames: int = 0
    bad: int = 0
    ticks: int = 0


class Patience(Protocol):
    """How often, and how long, a source that fails is tried again; in seconds."""

    @property
    def pause_first_s(self) -> float:
        """Return the longest pause after a first failure."""

    @property
    def pause_max_s(self) -> float:
        """Return the longest pause after many."""

    @property
    def failures_max(self) -> int:
        """Return after how many in a row it is left alone."""

    @property
    def open_s(self) -> float:
        """Return for how long."""


class FollowedFeed:
    """A supervised loop: a round is one session with the source, or one failed try. ``_session`` is what differs."""

    def __init__(
        self,
        *,
        patience: Patience,
        market: MarketDataService,
        reference: ReferenceService,
        leading: Callable[[], bool],
        uniform: Callable[[], float],
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.interval_s = 0.0
        self.counts = StreamCounts()
        self.connected = False
        self.newest_ns = 0
        self.breaker = Breaker(failures_max=patience.failures_max, open_ns=int(patience.open_s * NS_PER_S))
        self._patience = patience
        self._market = market
        self._reference = reference
        self._leading = leading
        self._uniform = uniform
        self._monotonic_ns = monotonic_ns
        self._due: list[Tick] = []

    async def run_once(self, now: int) -> None:
        """Follow the source until that ends; ``interval_s`` says how long to wait then."""
        if not self._leading():
            self._due.clear()
            self._forget()
            self.interval_s = LOOK_S
            return
        if not self.breaker.allows(self._monotonic_ns()):
            self.interval_s = min(LOOK_S, self.breaker.wait_ns(self._monotonic_ns()) / NS_PER_S)
            return
        try:
            await self._session()
            self.breaker.worked()
            self.interval_s = 0.0
        except SourceError as error:
            self._note_failure(error)
        finally:
            self.connected = False
            if self.breaker.state is BreakerState.HALF_OPEN:  # cancelled, or broken by a fault of ours
                self.breaker.failed(self._monotonic_ns())

    async def _session(self) -> None:
        """Connect, and follow until this process no longer leads. SourceError where the source does not do its part."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Forget how far the source was followed: whoever leads meanwhile goes on from there."""
        raise NotImplementedError

    async def _publish(self, ticks: Sequence[Tick]) -> None:
        """Publish ticks, after those that a database being away kept from it."""
        self._due += ticks
        if not self._due:
            return
        for symbol in {tick.symbol for tick in self._due}:
            if self._reference.ticker(symbol) is None:
                await self._reference.ensure_ticker(symbol, guess_ticker(symbol, self._due, "a feed"))
        batch = self._due
        await self._market.publish(batch)
        self._due = []  # only now: a position is not saved over what was cut off half way
        self.breaker.worked()
        self.counts.ticks += len(batch)
        self.newest_ns = self._market.now()

    def _note_connected(self, **told: str | None) -> None:
        self.connected = True
        self.counts.connects += 1
        log.info("feed.connected", connects=self.counts.connects, **told)

    def _note_failure(self, error: SourceError) -> None:
        self.breaker.failed(self._monotonic_ns())
        self.counts.failures += 1
        self.interval_s = full_jitter_s(
            self.breaker.failures,
            self._uniform(),
            first_s=self._patience.pause_first_s,
            max_s=self._patience.pause_max_s,
        )
        log.warning(
            "feed.disconnected", why=str(error), failures=self.breaker.failures, breaker=self.breaker.state.value
        )
