"""On a gateway, one loop: follow what the process with the engine publishes through Redis.

    apart ──a publisher is heard, and stays──> joining ──all channels are sent──> joined
      ^                                           │                                 │
      └────────── silence, a missing number, a new part, no answer ─────────────────┘

While it is joined, the hub mirrors the publisher: its messages and its numbers. Otherwise it tells what the follower
and the tick feed read from the database, under numbers of its own. Invariant: each change from one to the other is
told to every reader as a gap with snapshots (``StreamHub.turn``), and what is missing on the way leads to one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from qsuite.domain.channels import parse_channel
from qsuite.services.gateways.flushes import Ack, Ask, Flush, Session, Told, decode_flush, encode_ask
from qsuite.services.gateways.link import Link, id_order
from qsuite.services.redis_calls import RedisDown
from qsuite.services.stream import StreamHub
from qsuite.services.stream.mirror import Mirror
from qsuite.services.stream.subscribe import Wanted

log = structlog.get_logger(__name__)

SILENCE_S = 1.0
"""A publisher gives five signs of life in this time."""
SETTLE_S = 0.5
"""It must be heard for so long before it is followed: a Redis that comes and goes should not drive readers about."""
ANSWER_S = 1.0
PING_S = 2.0
AWAY_S = 0.1
FLUSHES_AT_ONCE = 16
KEYS_AT_ONCE = 2_000
NOBODY = Session(-1, -1, -1)


class Uplink:
    """Follow a publisher for a hub. ``gateway`` names this process.

    ``refresh`` takes over what is stored of the market: a process that was killed may have stored a tick, and not have
    told the others.
    """

    name = "uplink"

    def __init__(
        self,
        hub: StreamHub,
        flushes: Link,
        asks: Link,
        *,
        gateway: str,
        refresh: Callable[[], Awaitable[None]],
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval_s = 0.0
        self.turns = 0
        """How often readers were given other numbers."""
        self.lag_s = 0.0
        """How long the newest flush was on its way, by both processes' clocks."""
        self._hub = hub
        self._flushes = flushes
        self._asks = asks
        self._gateway = gateway
        self._refresh = refresh
        self._refreshed = NOBODY.life
        self._clock = clock
        self._monotonic = monotonic
        self._after: str | None = None
        self._session = NOBODY
        self._number = 0
        self._mirror = Mirror()
        self._known = False
        """The publisher has answered in this session."""
        self._heard_s = self._apart_s = self._pinged_s = self._looked_s = -SILENCE_S
        self._ask = 0
        self._pending: dict[int, asyncio.Future[None]] = {}
        self._saying: set[asyncio.Task[None]] = set()
        hub.subscriptions.join = self.join
        hub.elsewhere = self.say

    @property
    def joined(self) -> bool:
        """Say whether readers get what the publisher sends."""
        return self._hub.registry.mirror is not None

    @property
    def _silent(self) -> bool:
        return self._monotonic() - self._heard_s > SILENCE_S

    async def run_once(self, now: int) -> None:
        """Take what was published, wait for it a tenth of a second, and see to it that all that is wanted is sent."""
        self.interval_s = 0.0
        await self._hub.turned()
        try:
            if self._after is None:
                self._after = await self._flushes.last_id()
            elif self._silent and self._monotonic() - self._looked_s > SILENCE_S:
                await self._look_back()
            for id_, data in await self._flushes.read(self._after, FLUSHES_AT_ONCE):
                self._after = id_
                self._take(decode_flush(data))
                await asyncio.sleep(0)
            await self._keep_joined()
        except RedisDown as error:
            log.debug("uplink.redis", error=str(error))
            self.interval_s = AWAY_S
        except Exception:
            self._part("a fault")  # what was understood of the publisher cannot be relied on
            raise
        if self._silent:
            self._part("silence")

    async def stop(self) -> None:
        """Close the connections."""
        for task in self._saying:
            task.cancel()
        self._part("the end")
        await self._flushes.stop()
        await self._asks.stop()

    # -- what readers and services want ---------------------------------------------------------------------------

    async def join(self, wanted: Sequence[Wanted]) -> None:
        """Have channels sent from now on; when this returns they are, or this process is apart."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._ask_for(wanted)
        except (RedisDown, TimeoutError):
            self._part("no answer")

    def say(self, channel: str, message: Mapping[str, Any]) -> None:
        """Have the publisher publish a message."""
        task = asyncio.get_running_loop().create_task(self._say(channel, dict(message)))
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)

    async def _say(self, channel: str, message: dict[str, Any]) -> None:
        try:
            await self._asks.append(encode_ask(Ask(self._gateway, self._session, say=(channel, message))))
        except RedisDown as error:
            log.warning("uplink.not_said", channel=channel, error=str(error))  # it is stored, and snapshots show it

    # -- what is published ----------------------------------------------------------------------------------------

    def _take(self, flush: Flush) -> None:
        if flush.session < self._session or (flush.session == self._session and flush.number <= self._number):
            return  # of a process that lost the engine, or written late by a Redis that was frozen
        if flush.session != self._session:
            self._part("the publisher began anew")
            self._session = flush.session
            log.info("uplink.publisher", **flush.session._asdict())
        elif flush.number != self._number + 1:
            self._part("a flush is missing")
        elif self._known and self._gateway not in flush.gateways:
            self._part("the publisher forgot this gateway")
        self._number = flush.number
        self._heard_s = self._monotonic()
        self.lag_s = max(0.0, (self._clock() - flush.ts_ns) / 1e9)
        for item in flush.items:
            if isinstance(item, Ack):
                self._acknowledged(item)
            elif self._mirror.follows(item.key):
                self._told(item)

    def _told(self, told: Told) -> None:
        before = self._mirror.seqs.setdefault(told.key, told.seq - 1)  # a new one, of a wildcard
        if told.seq != before + 1:
            self._part("a message is missing")
            return
        if self.joined:
            self._hub.relay(*told)
        self._mirror.note(*told)

    def _acknowledged(self, ack: Ack) -> None:
        answered = self._pending.pop(ack.number, None) if ack.gateway == self._gateway else None
        if answered is None:
            return
        self._known = True
        for name, messages in ack.states.items():
            self._mirror.show(parse_channel(name).kind, messages)
        for joined in ack.channels:
            self._mirror.join(joined.key, joined.seq)
            if self.joined and joined.seq is not None:
                self._hub.registry.adopt(joined.key, joined.shown, joined.missed)
        if not answered.done():
            answered.set_result(None)

    async def _look_back(self) -> None:
        """Read from the start where a Redis that lost everything counts from an earlier time than before."""
        self._looked_s = self._monotonic()
        last = await self._flushes.last_id()
        if self._after is not None and id_order(last) < id_order(self._after):
            self._after = "0-0"

    # -- together and apart -----------------------------------------------------------------------------------------

    async def _keep_joined(self) -> None:
        moment = self._monotonic()
        if self._silent or moment - self._apart_s < SETTLE_S:
            return
        if not self.joined:
            await self._come_together()
        elif moment - self._pinged_s > PING_S:
            self._pinged_s = moment
            await self._tidy()

    async def _come_together(self) -> None:
        """Ask for all that readers have here; once it is sent, follow it."""
        if any(not answer.done() for answer in self._pending.values()):
            if self._monotonic() - self._pinged_s > ANSWER_S:
                self._part("no answer")
            return
        wanted = [one for one in self._wants() if one[0] not in self._mirror.joined]
        if wanted or not self._known:
            self._pinged_s = self._monotonic()
            for start in range(0, max(1, len(wanted)), KEYS_AT_ONCE):
                await self._send(wanted[start : start + KEYS_AT_ONCE], full=not self._known and not start)
            return
        if self._session.life != self._refreshed:
            self._refreshed = self._session.life
            await self._refresh()
            return
        log.info("uplink.joined", channels=len(self._mirror.seqs))
        self.turns += 1
        self._hub.turn(self._mirror)

    def _wants(self) -> list[Wanted]:
        registry = self._hub.registry
        wanted: list[Wanted] = [(key, registry.shown(key), None) for key in registry.channel_keys()]
        return [*wanted, *(((None, name), name, None) for name in registry.wildcards())]

    async def _tidy(self) -> None:
        """Give a sign of life, and leave the channels that nobody has here any more."""
        kept = {key for key, _, _ in self._wants()}
        left = [key for key in self._mirror.joined if key not in kept]
        for key in left:
            self._mirror.leave(key)
        await self._asks.append(encode_ask(Ask(self._gateway, self._session, left=left)))

    async def _ask_for(self, wanted: Sequence[Wanted]) -> None:
        await (await self._send(wanted))

    async def _send(self, wanted: Sequence[Wanted], *, full: bool = False) -> "asyncio.Future[None]":
        self._ask += 1
        answered = self._pending[self._ask] = asyncio.get_running_loop().create_future()
        ask = Ask(self._gateway, self._session, number=self._ask, full=full, wanted=wanted)
        await self._asks.append(encode_ask(ask))
        return answered

    def _part(self, reason: str) -> None:
        """Tell from now on what the database says."""
        self._mirror = Mirror()
        self._known = False
        self._apart_s = self._monotonic()
        pending, self._pending = self._pending, {}
        for answered in pending.values():
            if not answered.done():
                answered.set_result(None)
        if self.joined:
            log.warning("uplink.parted", reason=reason)
            self.turns += 1
            self._hub.turn(None)
