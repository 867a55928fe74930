"""The hub: what services publish reaches whoever listens.

    engine ──publish_private──┐                                        ┌── socket
    market ──publish──────────┴── Channel ── Groups ── Delivery ───────┼── socket
                                 (number,    (who)     (when)          └── socket (slow: its Outbox conflates)
                                  encode once)

A gateway publishes nothing itself: while it mirrors another process (``turn``), what that one published is relayed here
with its numbers, and what this one's own services say is not told twice.

On an order's way it comes last, after the commit: what is published is true. Invariants: publishing never waits and
never fails for a reader's sake; a slow reader never slows another; prices may be conflated, one's own orders never.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

import structlog

from qsuite.domain.errors import Forbidden, Unavailable
from qsuite.domain.histogram import Histogram
from qsuite.domain.roles import Caller
from qsuite.domain.times import format_rfc3339
from qsuite.services.stream.counters import Counters
from qsuite.services.stream.delivery import Delivery
from qsuite.services.stream.messages import Entry
from qsuite.services.stream.mirror import Key, Mirror
from qsuite.services.stream.registry import Registry
from qsuite.services.stream.resync import Resync
from qsuite.services.stream.subscribe import SnapshotSource, Subscriptions
from qsuite.services.stream.subscriber import GOING_AWAY, POLICY, TRY_AGAIN, Subscriber, Wire
from qsuite.services.stream.upkeep import Upkeep
from qsuite.settings import StreamSettings

log = structlog.get_logger(__name__)

OF_ONE_PROCESS = "signals:"
"""Kinds that only the process hears of where they were made."""


class Verifier(Protocol):
    """What the hub needs of the authentication service."""

    def remembered(self, header: str) -> Caller | None:
        """Return a caller verified before, from memory."""

    async def authenticate(self, header: str) -> Caller:
        """Verify an Authorization header. Unauthenticated, or Forbidden."""

    def on_revoked(self, callback: Callable[[UUID | None], None]) -> None:
        """Call back with a user whose access ended or changed."""


class Tap(Protocol):
    """What carries messages to other processes."""

    def add(self, key: Key, entry: Entry) -> None:
        """Take a message of a channel that they want; never waits."""

    def restart(self, reason: str) -> None:
        """Make them begin again, because something could not be told."""


class StreamHub:
    """Publish to subscribers. ``upkeep`` is its loop, for the supervisor to run."""

    def __init__(
        self,
        *,
        settings: StreamSettings,
        auth: Verifier,
        known_symbol: Callable[[str], bool] | None = None,
        clock: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.auth = auth
        self.monotonic = monotonic
        self.counters = Counters()
        self.sockets: dict[Subscriber, None] = {}
        self.registry = Registry(kept_messages=settings.kept_messages, clock=clock)
        self.subscriptions = Subscriptions(
            self.registry, max_subscriptions=settings.max_subscriptions, known_symbol=known_symbol
        )
        self.upkeep = Upkeep(self)
        self.prices_stale: Callable[[], bool] = bool
        """Says whether prices that should come do not, or come and cannot be stored."""
        self.tap: Tap | None = None
        self.elsewhere: Callable[[str, Mapping[str, Any]], None] | None = None
        """Has the process that is mirrored publish what only this one knows."""
        self._resync = Resync(self)
        self.subscriptions.turned = self.turned
        self._clock = clock
        self._delivery = Delivery(self.registry.groups, self.close)
        self._open = False
        auth.on_revoked(self.revoke)

    async def start(self, life: int | None = None) -> None:
        """Accept sockets and deliver, on the running loop; ``life`` keeps this process's numbers from all others'."""
        self.registry.life = life
        self._delivery.start()
        self._open = True

    async def stop(self) -> None:
        """Tell every socket, hand over what still waits, and close them with 1001."""
        self._open = False
        for subscriber in list(self.sockets):
            subscriber.send({"type": "closing"})
            self.close(subscriber, GOING_AWAY, "shutdown", last_words=True)
        self.upkeep.stop()
        self._resync.stop()
        self._delivery.stop()

    # -- publishing ---------------------------------------------------------------------------------------------

    def publish(self, channel: str, message: Mapping[str, Any]) -> None:
        """Send a message with a ``type`` to all who listen to a public channel; cheap when nobody does.

        The hub adds ``channel`` and ``seq``, and ``ts`` (now) where it is missing. Decimals become strings.
        """
        if self._quiet:
            self._say_elsewhere(channel, message)
            return
        stream = self.registry.public(channel)
        if stream is None:
            return
        self.counters.published += 1
        entry = stream.append(self._stamped(message))
        if stream.tapped and self.tap is not None:
            self.tap.add((None, channel), entry)
        if self.registry.groups.add(entry):
            self._delivery.wake()

    def publish_private(self, account: UUID, channel: str, message: Mapping[str, Any]) -> None:
        """Send a message to the owner of an account (``jobs``: to the user). Never conflated, never dropped."""
        stream = self.registry.private(account, channel)
        if stream is None or self._quiet:
            return
        self.counters.published += 1
        entry = stream.append(self._stamped(message))
        if stream.tapped and self.tap is not None:
            self.tap.add((account, channel), entry)
        for member in stream.members:
            member.add_private(stream, entry.data)

    def wanted(self, channel: str) -> bool:
        """Say whether a message to a public channel would go anywhere, for publishers whose messages cost."""
        return not self._quiet and self.registry.public(channel) is not None

    def wanted_private(self, account: UUID, channel: str) -> bool:
        """Say whether a message to an account's channel would go anywhere."""
        return not self._quiet and self.registry.private(account, channel) is not None

    def snapshot_source(self, prefix: str, source: SnapshotSource) -> None:
        """Register how the snapshots of a kind (``trades``, ``bars``, ``orders``) are read.

        The source gets the caller and the channel as subscribed, ``trades:*`` included, and must return at least all
        that was published before it was called.
        """
        self.subscriptions.sources[prefix.rstrip(":")] = source

    def whole_source(self, kind: str, source: Callable[[str], Mapping[str, Any]]) -> None:
        """Register what stands for all messages of a kind whose messages tell of changes, for readers that fell behind.

        The source gets the channel's name; what it returns may hold more than was published.
        """

        def whole(channel: str) -> Mapping[str, Any]:
            mirror = self.registry.mirror
            return source(channel) if mirror is None else mirror.depth(channel)

        self.registry.wholes[kind] = whole

    def _stamped(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        return message if "ts" in message else {**message, "ts": format_rfc3339(self._clock())}

    # -- as a gateway -------------------------------------------------------------------------------------------

    def relay(self, key: Key, seq: int, data: bytes) -> None:
        """Send on the next message of a channel of the mirror, as the other process numbered and encoded it."""
        owner, name = key
        stream = self.registry.public(name) if owner is None else self.registry.private(owner, name)
        if stream is None:
            return
        self.counters.published += 1
        entry = stream.take(seq, data)
        for member in stream.members:
            member.add_private(stream, data)
        if owner is None and self.registry.groups.add(entry):
            self._delivery.wake()

    @property
    def _quiet(self) -> bool:
        """Say whether nothing of this process's own is published: another one's is, or readers are being turned."""
        return self.registry.mirror is not None or not self._resync.turned.is_set()

    async def turned(self) -> None:
        """Return when every reader was told of the last turn; before that nothing may be relayed."""
        await self._resync.turned.wait()

    def turn(self, mirror: Mirror | None) -> None:
        """Follow another process's streams, or with None one's own; every reader gets a gap and snapshots."""
        self.registry.groups.settle()
        self._resync.begin(self.registry.turn(mirror))

    def _say_elsewhere(self, channel: str, message: Mapping[str, Any]) -> None:
        """Have the mirrored process tell what it cannot know of: all else it publishes by itself."""
        if self.elsewhere is not None and channel.startswith(OF_ONE_PROCESS):
            self.elsewhere(channel, self._stamped(message))

    # -- sockets ------------------------------------------------------------------------------------------------

    @property
    def clients(self) -> int:
        """Return the number of open sockets."""
        return len(self.sockets)

    @property
    def lag(self) -> Histogram:
        """Return how old messages were when their sockets were written to."""
        return self._delivery.lag

    @property
    def unsent(self) -> list[int]:
        """Return the bytes that wait for each socket."""
        return [subscriber.outbox.unsent for subscriber in self.sockets]

    def admit(self) -> None:
        """Raise Unavailable when no further socket may be opened."""
        if not self._open:
            raise Unavailable("the stream is closed", code="stream.closed")
        if len(self.sockets) >= self.settings.max_sockets:
            raise Unavailable(f"at most {self.settings.max_sockets} sockets", code="stream.full", retry_after_s=5.0)

    def attach(self, wire: Wire, *, compressed: bool = False) -> Subscriber:
        """Take a socket in and welcome it. ``compressed``: it agreed on permessage-deflate without context takeover."""
        subscriber = Subscriber(
            wire,
            limit=self.settings.queue_bytes,
            counters=self.counters,
            monotonic=self.monotonic,
            on_ready=self._delivery.ready,
            compressed=compressed,
        )
        self.sockets[subscriber] = None
        self.counters.opened += 1
        limits = {"heartbeat_s": self.settings.heartbeat_s, "max_message_bytes": self.settings.max_message_bytes}
        subscriber.send({"type": "welcome", "ts": format_rfc3339(self._clock()), **limits})
        return subscriber

    def identify(self, subscriber: Subscriber, caller: Caller, header: str, **reply: Any) -> None:
        """Let a verified caller use a socket. Another token of the same user, role and limits takes its place."""
        known = subscriber.caller
        if known is not None and (known.user, known.role, known.limits) != (caller.user, caller.role, caller.limits):
            raise Forbidden("this socket belongs to another user, role or scope")
        subscriber.caller = caller
        subscriber.header = header
        who = {"user": caller.user, "username": caller.username, "role": caller.role, "accounts": caller.accounts}
        subscriber.send({"type": "authenticated", **who, **reply})

    def close(self, subscriber: Subscriber, code: int, reason: str, *, last_words: bool = False) -> None:
        """Close a socket; ``reason`` is a word for its owner and for the metrics.

        With ``last_words`` what still waits for it goes first, as far as the connection will take it.
        """
        if subscriber not in self.sockets:
            return
        if last_words:
            subscriber.drain()
        self._forget(subscriber, reason)
        log.debug("stream.closed", code=code, reason=reason)
        subscriber.wire.close(code, reason)

    def detach(self, subscriber: Subscriber) -> None:
        """Forget a socket whose other side went away."""
        if subscriber in self.sockets:
            self._forget(subscriber, "client")

    def revoke(self, user: UUID | None) -> None:
        """Close every socket of a user (None: of all) whose access ended or changed; who still may, connects again."""
        known = [(one, one.caller.user) for one in self.sockets if one.caller is not None]
        for subscriber in [one for one, whose in known if user in (None, whose)]:
            self.close(subscriber, POLICY, "revoked")

    def cut_off(self) -> None:
        """Close the sockets that hear of accounts, because something could not be told; they come back to a gap."""
        self.registry.break_private()
        if self.tap is not None:
            self.tap.restart("something could not be told")
        for subscriber in [one for one in self.sockets if one.private]:
            self.close(subscriber, TRY_AGAIN, "resync")

    def _forget(self, subscriber: Subscriber, reason: str) -> None:
        del self.sockets[subscriber]
        self.registry.listen(subscriber, frozenset())
        subscriber.end()
        self.counters.count_closed(reason)
