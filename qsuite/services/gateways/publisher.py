"""On the process with the engine, two loops: write what gateways want to Redis, and read what they ask.

    Relay ──take──> flush, numbered ──> Redis        at once, or some milliseconds after the last; else a sign of life
    Redis ──> asks ──> Relay

Nothing waits for these loops: orders are answered whether or not Redis is there. Invariant: a flush that may not have
reached Redis is never sent again; a new part begins instead, so no gateway takes the same message twice or goes on
behind one that it missed.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from qsuite.services.gateways.flushes import Flush, decode_ask, encode_flush
from qsuite.services.gateways.link import Link
from qsuite.services.gateways.relay import Relay
from qsuite.services.redis_calls import RedisDown

log = structlog.get_logger(__name__)

HEARTBEAT_S = 0.2
PAUSE_S = 0.005
"""A write to Redis costs 0.12 ms of the loop: not more than two hundred a second."""
AWAY_S = 0.5
"""So long Redis is left alone after a failure."""
ASKS_AT_ONCE = 64


class Publisher:
    """Write flushes while this process has the engine. ``epoch`` returns its epoch, None while it has not."""

    name = "relay"

    def __init__(
        self,
        relay: Relay,
        flushes: Link,
        asks: "Asks",
        *,
        epoch: Callable[[], int | None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.interval_s = 0.0
        self.written = 0
        self._relay = relay
        self._flushes = flushes
        self._asks = asks
        self._epoch = epoch
        self._clock = clock
        self._number = 0
        self._not_before_s = 0.0

    async def run_once(self, now: int) -> None:
        """Write what waits, or after a while without anything a sign of life."""
        epoch = self._epoch()
        if epoch is None:
            self._relay.restart("this process has no engine any more")
            self.interval_s = HEARTBEAT_S
            return
        try:
            if not self._relay.open:
                await self._asks.skip()
                self._relay.begin(epoch)
                self._number = 0
            await self._write()
            self.interval_s = 0.0
        except RedisDown as error:
            self._relay.restart(f"Redis: {error}")
            self.interval_s = AWAY_S

    async def stop(self) -> None:
        """Close the connections."""
        await self._flushes.stop()
        await self._asks.stop()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        if self._number:
            await self._wait_for_news()
            await asyncio.sleep(max(0.0, self._not_before_s - loop.time()))
        self._relay.forget_silent()
        session, relay = self._relay.session, self._relay
        items = relay.take()
        self._number += 1
        flush = Flush(session, self._number, self._clock(), relay.gateways, items)
        await self._flushes.append(encode_flush(flush))
        self._not_before_s = loop.time() + PAUSE_S
        self.written += 1

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                await self._relay.wake.wait()
        except TimeoutError:
            return


class Asks:
    """Read what gateways ask, while flushes are written."""

    name = "relay-asks"

    def __init__(self, relay: Relay, link: Link) -> None:
        self.interval_s = HEARTBEAT_S
        self._relay = relay
        self._link = link
        self._after = "0-0"

    async def skip(self) -> None:
        """Go on behind what is there now: it was asked of another part. RedisDown."""
        self._after = await self._link.last_id()

    async def run_once(self, now: int) -> None:
        """Answer what was asked; wait for it a tenth of a second."""
        self.interval_s = 0.0 if self._relay.open else HEARTBEAT_S
        if not self._relay.open:
            return
        try:
            for id_, data in await self._link.read(self._after, ASKS_AT_ONCE):
                self._after = id_
                await self._relay.answer(decode_ask(data))
        except RedisDown as error:
            log.debug("relay.asks_unread", error=str(error))  # the publisher meets the same, and acts on it
            self.interval_s = HEARTBEAT_S

    async def stop(self) -> None:
        """Close the connections."""
        await self._link.stop()
