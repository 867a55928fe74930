"""Whether prices come in: what ``/health`` says of the feed, and the alarm when they stop.

    starting   a feed is configured and has brought nothing yet     down    its source is left alone for a while
    idle       none is configured and nobody sent prices            stale   no price for ``feed.stale_s``
    up         prices come                                          suspect they come, and some are not to be believed

Invariant: an alarm is logged once when it begins and once when it ends, however long it lasts; a suspect price is one,
too, beside those that stopped.
"""

from collections.abc import Callable
from typing import Protocol

import structlog

from qsuite.domain.feeds.breaker import Breaker, BreakerState
from qsuite.domain.times import NS_PER_S
from qsuite.services.health import State
from qsuite.services.market_data import MarketDataService

log = structlog.get_logger(__name__)

WARNING, INFO = 30, 20
TROUBLE = (State.STALE, State.DOWN, State.SUSPECT)


class FollowedSource(Protocol):
    """What a feed that follows a source shows: when a price of it came last, and whether the source is left alone."""

    @property
    def newest_ns(self) -> int:
        """Return when its last price came, 0 before the first."""

    @property
    def breaker(self) -> Breaker:
        """Return what counts its failures."""


class FeedWatch:
    """A supervised loop; ``state`` is read from memory at any time.

    ``playing`` says whether this process brings prices by itself now; where it does not, others' prices count.
    """

    name = "feed_watch"
    interval_s = 0.5

    def __init__(
        self,
        *,
        market: MarketDataService,
        stale_s: float,
        clock: Callable[[], int],
        playing: Callable[[], bool] = lambda: False,
        source: FollowedSource | None = None,
    ) -> None:
        self._market = market
        self._stale_ns = int(stale_s * NS_PER_S)
        self._clock = clock
        self._playing = playing
        self._source = source
        self._since_ns = 0
        self._alarmed = False

    @property
    def state(self) -> State:
        """Return the state now."""
        playing, now = self._playing(), self._clock()
        if playing and self._source is not None and self._source.breaker.state is not BreakerState.CLOSED:
            return State.DOWN
        newest_ns = self._newest_ns(playing=playing)
        if newest_ns and now - newest_ns < self._stale_ns:
            return State.SUSPECT if self._market.marks.suspects else State.UP
        if not playing:
            return State.STALE if newest_ns else State.IDLE
        # What plays since a moment ago has its time, too.
        return State.STARTING if not self._since_ns or now - self._since_ns < self._stale_ns else State.STALE

    @property
    def alarmed(self) -> bool:
        """Say whether prices should come in and do not."""
        return self.state in (State.STALE, State.DOWN)

    async def run_once(self, now: int) -> None:
        """Look, and log what changed."""
        playing = self._playing()
        self._since_ns = (self._since_ns or now) if playing else 0
        state = self.state
        alarmed = state in TROUBLE
        if alarmed is not self._alarmed:
            self._alarmed = alarmed
            silent_s = (now - (self._newest_ns(playing=playing) or self._since_ns)) / NS_PER_S
            log.log(WARNING if alarmed else INFO, "health.feed", state=state.value, silent_s=round(silent_s, 1))

    def _newest_ns(self, *, playing: bool) -> int:
        """Return when the last price came: of our own source where we follow one, else of anybody."""
        return self._source.newest_ns if playing and self._source is not None else self._market.newest_arrival_ns
