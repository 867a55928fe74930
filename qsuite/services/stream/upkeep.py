"""The stream's own loop: heartbeats, time-outs, expired tokens, and channels nobody needs any more.

Times are of the monotonic clock, so that a jump of the wall clock closes nobody.
"""

import asyncio
from typing import TYPE_CHECKING

import structlog

from qsuite.domain.errors import Forbidden, Unauthenticated, Unavailable
from qsuite.domain.times import format_rfc3339
from qsuite.services.stream.messages import encode
from qsuite.services.stream.subscriber import POLICY, TRY_AGAIN, Subscriber

if TYPE_CHECKING:
    from qsuite.services.stream.hub import StreamHub

log = structlog.get_logger(__name__)

RECHECKS_AT_ONCE = 16
INTERVAL_MAX_S = 0.5
LOOK_FOR_IDLE_CHANNELS_S = 5.0


class Upkeep:
    """Look after the sockets and channels of a hub."""

    name = "stream"

    def __init__(self, hub: "StreamHub") -> None:
        self._hub = hub
        self._next_heartbeat = 0.0
        self._next_look = 0.0
        self._rechecks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(RECHECKS_AT_ONCE)
        self._measured = (0.0, 0)
        self.messages_per_second = 0.0
        """Messages delivered to sockets, over the last round."""

    @property
    def interval_s(self) -> float:
        """Return the pause between rounds: a fraction of the shortest time that is watched."""
        settings = self._hub.settings
        return min(INTERVAL_MAX_S, min(settings.heartbeat_s, settings.auth_timeout_s, settings.stuck_s) / 4)

    async def run_once(self, now: int) -> None:
        """Do one round."""
        moment = self._hub.monotonic()
        self._close_overdue(moment)
        self._recheck_tokens()
        if moment >= self._next_heartbeat:
            self._next_heartbeat = moment + self._hub.settings.heartbeat_s
            self._beat(now)
        if moment >= self._next_look:
            self._next_look = moment + LOOK_FOR_IDLE_CHANNELS_S
            self._hub.registry.drop_idle(moment)
        self._hub.registry.bound_kept()
        self._measure(moment)

    def stop(self) -> None:
        """End what is still being checked."""
        for task in self._rechecks:
            task.cancel()

    def _close_overdue(self, moment: float) -> None:
        settings = self._hub.settings
        for subscriber in list(self._hub.sockets):
            if subscriber.caller is None and moment - subscriber.opened_at > settings.auth_timeout_s:
                self._hub.close(subscriber, POLICY, "auth_timeout")
            elif subscriber.writing_since is not None and moment - subscriber.writing_since > settings.stuck_s:
                self._hub.close(subscriber, TRY_AGAIN, "stuck")
            elif subscriber.overflowing:
                self._hub.close(subscriber, TRY_AGAIN, "overflow")

    def _beat(self, now: int) -> None:
        """Send a heartbeat to every socket that has nothing else to read; it says when prices stopped."""
        stale = {"stale": True} if self._hub.prices_stale() else {}
        data = encode({"type": "heartbeat", "ts": format_rfc3339(now), **stale})
        for subscriber in self._hub.sockets:
            if subscriber.idle:
                subscriber.add(data)

    # -- tokens -------------------------------------------------------------------------------------------------

    def _recheck_tokens(self) -> None:
        """Verify again whoever is no longer remembered, because the token expired or something changed."""
        for subscriber in self._hub.sockets:
            if subscriber.caller is None or subscriber.rechecking:
                continue
            if self._hub.auth.remembered(subscriber.header) is None:
                subscriber.rechecking = True
                task = asyncio.get_running_loop().create_task(self._recheck(subscriber))
                self._rechecks.add(task)
                task.add_done_callback(self._rechecks.discard)

    async def _recheck(self, subscriber: Subscriber) -> None:
        header = subscriber.header
        try:
            async with self._slots:
                caller = await self._hub.auth.authenticate(header)
        except (Unauthenticated, Forbidden):
            if subscriber.header == header:  # else a newer token came meanwhile
                self._hub.close(subscriber, POLICY, "token_expired")
            return
        except Unavailable:
            log.warning("stream.recheck_put_off")
            return
        finally:
            subscriber.rechecking = False
        if subscriber.caller is not None and caller.role != subscriber.caller.role:
            self._hub.close(subscriber, POLICY, "revoked")

    def _measure(self, moment: float) -> None:
        before, count = self._measured
        delivered = self._hub.counters.delivered
        if before and moment > before:
            self.messages_per_second = (delivered - count) / (moment - before)
        self._measured = (moment, delivered)
