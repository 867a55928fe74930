"""On the process with the engine: what gateways want, and the messages of it that wait for Redis.

    hub ──add──> queue ──take──> Publisher
    Asks ──answer──> taps, acks ──^

Invariants: ``add`` never waits, and costs a look at ``tapped`` where no gateway wants a channel. The queue is bounded;
whatever is lost begins a new part, in which nothing is sent before gateways asked again. While Redis is away nothing is
wanted, so nothing is kept for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from qsuite.domain.channels import RISK_DESK, parse_channel
from qsuite.domain.roles import Caller, Role
from qsuite.services.gateways.flushes import Ack, Ask, Item, Joined, Session, Told
from qsuite.services.stream import StreamHub
from qsuite.services.stream.channel import Channel
from qsuite.services.stream.messages import Entry
from qsuite.services.stream.mirror import Key, Message

log = structlog.get_logger(__name__)

QUEUE_BYTES = 16 * 1_048_576
FLUSH_BYTES = 262_144
OVERHEAD = 100
SILENT_S = 10.0
"""A gateway that said nothing for so long is forgotten, and told so when it comes back."""
TRIES = 100
MIRRORED = ("trades", "quotes", "bars", "depth")
READER = Caller(RISK_DESK, "gateways", Role.VIEWER)


@dataclass(slots=True)
class Gateway:
    """What one gateway wants: channels, and the names their messages carry."""

    heard_s: float
    wants: set[Key] = field(default_factory=set)


class Relay:
    """The tap of a hub. ``session`` names what is being sent."""

    def __init__(self, hub: StreamHub, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.open = False
        self.session = Session(0, 0, 0)
        self.lost = 0
        """How often gateways had to begin again."""
        self.wake = asyncio.Event()
        self._hub = hub
        self._monotonic = monotonic
        self._gateways: dict[str, Gateway] = {}
        self._queue: list[Item] = []
        self._bytes = 0
        hub.tap = self

    @property
    def gateways(self) -> list[str]:
        """Return the gateways whose wants are known."""
        return list(self._gateways)

    @property
    def waiting(self) -> int:
        """Return the bytes that wait for Redis."""
        return self._bytes

    def add(self, key: Key, entry: Entry) -> None:
        """Take a message of a channel that gateways want."""
        if self.open:
            self._put(Told(key, entry.seq, entry.data))

    def begin(self, epoch: int) -> None:
        """Open a new part, under an epoch of the engine."""
        self.session = Session(epoch, self._hub.registry.life or 0, self.session.part + 1)
        self.open = True

    def restart(self, reason: str) -> None:
        """Give up what waits and what is wanted: gateways will see a new part, and ask again."""
        if not self.open:
            return
        log.warning("relay.restarted", reason=reason, waiting=self._bytes)
        self.lost += 1
        self.open = False
        self._queue.clear()
        self._bytes = 0
        self._gateways.clear()
        self._hub.registry.untap(())

    def take(self) -> list[Item]:
        """Return what waits, about as much as is written at once."""
        size = count = 0
        for item in self._queue:
            count += 1
            size += _size(item)
            if size > FLUSH_BYTES:
                break
        taken, self._queue = self._queue[:count], self._queue[count:]
        self._bytes -= size
        if not self._queue:
            self.wake.clear()
        return taken

    # -- what gateways want ---------------------------------------------------------------------------------------

    async def answer(self, ask: Ask) -> None:
        """Do what a gateway asks, and put the answer among the messages."""
        if not self.open or ask.session != self.session:
            return
        gateway = self._gateways.setdefault(ask.gateway, Gateway(self._monotonic()))
        gateway.heard_s = self._monotonic()
        if ask.full:
            gateway.wants = set()
        gateway.wants.difference_update(ask.left)
        if ask.say is not None and parse_channel(ask.say[0]).kind == "signals":
            self._hub.publish(*ask.say)
        if ask.left or ask.full:
            self._untap()
        if ask.number:
            states = await self._states(name for (owner, name), _, _ in ask.wanted if owner is None)
            channels = [joined for wanted in ask.wanted for joined in self._join(gateway, *wanted)]
            ack = Ack(ask.gateway, ask.number, channels, states)
            self._put(ack)

    def forget_silent(self) -> None:
        """Forget gateways that said nothing for a while."""
        moment = self._monotonic()
        silent = [name for name, gateway in self._gateways.items() if moment - gateway.heard_s > SILENT_S]
        for name in silent:
            log.info("relay.gateway_gone", gateway=name)
            del self._gateways[name]
        if silent:
            self._untap()

    async def _states(self, names: Iterable[str]) -> dict[str, list[Message]]:
        """Read what the market shows, with nothing published between that and the ack."""
        sources = self._hub.subscriptions.sources
        wanted = [(name, kind) for name in names if (kind := name.partition(":")[0]) in MIRRORED]
        for _ in range(TRIES):
            published = self._hub.counters.published
            states = {name: list(map(dict, await sources[kind](READER, name))) for name, kind in wanted}
            if self._hub.counters.published == published:
                return states
        raise RuntimeError("snapshots of prices come from memory, and never wait")

    def _join(self, gateway: Gateway, key: Key, shown: str, since: int | None) -> Iterable[Joined]:
        gateway.wants.add(key)
        channels = self._hub.registry.tap(key, shown)
        if key[0] is None and parse_channel(key[1]).is_wildcard:
            yield Joined(key, shown, None)
            for channel in channels:
                yield Joined((None, channel.name), channel.name, channel.seq)
        else:
            yield Joined(key, shown, channels[0].seq, _missed(channels[0], since))

    def _untap(self) -> None:
        self._hub.registry.untap({key for gateway in self._gateways.values() for key in gateway.wants})

    def _put(self, item: Item) -> None:
        self._queue.append(item)
        self._bytes += _size(item)
        self.wake.set()
        if self._bytes > QUEUE_BYTES:
            self.restart("the queue is full")


def _missed(channel: Channel, since: int | None) -> list[bytes]:
    kept = None if since is None else channel.after(since)
    return [entry.data for entry in kept or ()]


def _size(item: Item) -> int:
    if isinstance(item, Told):
        return len(item.data) + OVERHEAD
    return sum(OVERHEAD + sum(map(len, joined.missed)) for joined in item.channels)
