"""How a subscription starts: what was missed or a snapshot, then live, without a gap and without a repetition.

    cut ──> "subscribed" ──> for each channel: what was missed since, or a snapshot ──> what was held back ──> live

The cut is one instant: each channel's number is noted, and from there on its messages are held back for this socket.
A snapshot is read after the cut and says its number, so it holds all up to it; every later message follows.

On a gateway channels are joined before the cut: the process that publishes then sends them. Snapshots of prices are
taken at the cut from what it sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from qsuite.domain.channels import ChannelName, may_subscribe, parse_channel, private_keys, scopes_of
from qsuite.domain.errors import Forbidden, NotFound, QSuiteError, TooMany, Unauthenticated
from qsuite.domain.roles import Caller
from qsuite.services.stream.channel import Channel
from qsuite.services.stream.messages import encode
from qsuite.services.stream.mirror import Key
from qsuite.services.stream.registry import Registry, covers
from qsuite.services.stream.subscriber import Subscriber

log = structlog.get_logger(__name__)

SnapshotSource = Callable[[Caller, str], Awaitable[Sequence[Mapping[str, Any]]]]
Wanted = tuple[Key, str, int | None]
"""A channel, the name its messages carry, and the last number a reader has of it."""
Refusals = list[tuple[str, QSuiteError]]
"""Names that were not subscribed to, and why."""


class Subscriptions:
    """Start and end subscriptions."""

    def __init__(
        self, registry: Registry, *, max_subscriptions: int, known_symbol: Callable[[str], bool] | None
    ) -> None:
        self._registry = registry
        self._max_subscriptions = max_subscriptions
        self._known_symbol = known_symbol
        self.sources: dict[str, SnapshotSource] = {}
        self.turned: Callable[[], Awaitable[None]] = _at_once
        """Returns when no turn is under way."""
        self.join: Callable[[Sequence[Wanted]], Awaitable[None]] | None = None
        """Has channels sent by the mirrored process; when it returns they are, or nothing is mirrored any more."""

    async def start(
        self, subscriber: Subscriber, names: Iterable[str], since: Mapping[str, int], **reply: Any
    ) -> Refusals:
        """Subscribe to channels, send what they begin with, and return the names refused.

        ``reply`` is added to the answer. Unauthenticated before a login. One at a time for each socket.
        """
        caller = subscriber.caller
        if caller is None:
            raise Unauthenticated("authenticate first")
        accepted, refusals = self._review(subscriber, caller, dict.fromkeys(names))
        if not accepted:
            return refusals
        await self._prepare(subscriber, caller, accepted, since)
        if subscriber.closed:
            return refusals
        new = [name for name in accepted if name.name not in subscriber.names]
        cuts = self._cut(subscriber, caller, new, since)
        subscriber.send({"type": "subscribed", "channels": [name.name for name in accepted], **reply})
        failed: list[str] = []
        try:
            for cut in cuts:
                await subscriber.room()
                if not subscriber.closed and not await cut.resume(subscriber):
                    failed += await self._send_snapshot(subscriber, caller, cut)
        finally:
            subscriber.release()
        if failed:
            self.end(subscriber, failed)
        return refusals

    def end(self, subscriber: Subscriber, names: Iterable[str], **reply: Any) -> None:
        """Stop sending channels; names that were not subscribed to are ignored."""
        leaving = [name for name in dict.fromkeys(names) if name in subscriber.names]
        self._registry.listen(subscriber, subscriber.names.difference(leaving))
        subscriber.forget(covers(subscriber.names))
        subscriber.send({"type": "unsubscribed", "channels": leaving, **reply})

    async def _prepare(
        self, subscriber: Subscriber, caller: Caller, names: Sequence[ChannelName], since: Mapping[str, int]
    ) -> None:
        """Wait until nothing stands in the way of a cut."""
        while not subscriber.closed:
            await self.turned()
            mirror = self._registry.mirror
            if subscriber.resync is not None:
                await asyncio.wait([subscriber.resync])
            elif mirror is None or self.join is None:
                return
            else:
                wanted = [one for one in self._wanted(caller, names, since) if one[0] not in mirror.joined]
                if not wanted:
                    return
                await self.join(wanted)

    def _wanted(self, caller: Caller, names: Sequence[ChannelName], since: Mapping[str, int]) -> Iterable[Wanted]:
        for name in names:
            if name.private:
                for owner, shown in private_keys(caller, name.name):
                    yield (owner, name.name), shown, since.get(shown)
            else:
                yield (None, name.name), name.name, since.get(name.name)
        wilds = {name.name for name in names if name.is_wildcard}
        for remembered, seq in since.items():
            known = self._find(remembered)
            if known is not None and not known.private and not known.is_wildcard and known.wildcard in wilds:
                yield (None, remembered), remembered, seq

    # -- beginning again ----------------------------------------------------------------------------------------

    def interrupt(self, subscriber: Subscriber, before: Mapping[Channel, int]) -> "list[Cut]":
        """Tell a socket that its channels have other numbers now, and hold back what follows until ``begin_again``."""
        assert subscriber.caller is not None
        cuts = [self._plain_cut(subscriber.caller, parse_channel(name)) for name in sorted(subscriber.names)]
        subscriber.let_go()
        for channel in dict.fromkeys(channel for cut in cuts for channel in cut.seqs):
            gap = {"type": "gap", "channel": channel.name, "since": before.get(channel, 0)}
            subscriber.send({**gap, "seq": channel.seq})
        subscriber.hold(covers(subscriber.names))
        return cuts

    async def begin_again(self, subscriber: Subscriber, cuts: "Sequence[Cut]") -> bool:
        """Send the snapshots after an interruption; False when one of them cannot be had."""
        assert subscriber.caller is not None
        for cut in cuts:
            await subscriber.room()
            if subscriber.closed:
                return True
            if cut.name.name in subscriber.names and await self._send_snapshot(subscriber, subscriber.caller, cut):
                return False
        subscriber.release()
        subscriber.forget(covers(subscriber.names))
        return True

    def _plain_cut(self, caller: Caller, name: ChannelName) -> "Cut":
        return self._photographed(Cut(name, self._registry.behind(name, caller, ()), {}))

    # -- may they? ----------------------------------------------------------------------------------------------

    def _review(
        self, subscriber: Subscriber, caller: Caller, names: Iterable[str]
    ) -> tuple[list[ChannelName], Refusals]:
        accepted: list[ChannelName] = []
        refusals: Refusals = []
        room = self._max_subscriptions - len(subscriber.names)
        for name in names:
            try:
                channel = self._permitted(caller, name)
                room -= name not in subscriber.names
                if room < 0:
                    raise TooMany(f"at most {self._max_subscriptions} channels", code="channel.too_many")
            except QSuiteError as error:
                refusals.append((name, error))
            else:
                accepted.append(channel)
        return accepted, refusals

    def _permitted(self, caller: Caller, name: str) -> ChannelName:
        channel = self._find(name)
        if channel is None:
            raise NotFound("there is no such channel, or no such symbol", code="channel.unknown")
        if not may_subscribe(caller, channel):
            raise Forbidden("this channel is for those who trade on an account", code="channel.forbidden")
        if caller.limits is not None:
            caller.limits.require(scopes_of(channel))
        return channel

    def _find(self, name: str) -> ChannelName | None:
        """Return a channel that can be listened to, None for any other: a client must not make up what is kept."""
        try:
            channel = parse_channel(name)
        except ValueError:
            return None
        if channel.private or channel.is_wildcard or self._known_symbol is None or self._known_symbol(channel.symbol):
            return channel
        return None

    # -- from a cut to live -------------------------------------------------------------------------------------

    def _cut(
        self, subscriber: Subscriber, caller: Caller, new: Sequence[ChannelName], since: Mapping[str, int]
    ) -> "list[Cut]":
        """Join the channels, note their numbers, and hold back what comes from now on."""
        names = frozenset(name.name for name in new)
        heard = covers(subscriber.names)
        self._registry.groups.settle()
        subscriber.hold(covers(names))
        self._registry.listen(subscriber, subscriber.names | names)
        remembered = [channel for name in since if (channel := self._find(name)) is not None]
        cuts: list[Cut] = []
        known: set[Channel] = set()
        for name in new:
            cut = Cut(name, self._registry.behind(name, caller, remembered), since)
            cut.skip(channel for channel in cut.seqs if channel in known or heard(channel))
            known.update(cut.seqs)
            cuts.append(self._photographed(cut))
        return cuts

    def _photographed(self, cut: "Cut") -> "Cut":
        """Take the snapshot at once where it is in memory: what is mirrored goes on while others are read."""
        mirror = self._registry.mirror
        if mirror is not None and mirror.shows(cut.name):
            cut.data = mirror.snapshot(cut.name)
        return cut

    async def _send_snapshot(self, subscriber: Subscriber, caller: Caller, cut: "Cut") -> list[str]:
        """Send the snapshot of one channel; return its name if there is none to be had."""
        source = self.sources.get(cut.name.kind.partition(":")[0])
        try:
            if cut.data is None:
                cut.data = [] if source is None else await source(caller, cut.name.name)
        except QSuiteError as error:
            code, detail = error.code, error.detail
        except Exception:
            log.exception("stream.snapshot_failed", channel=cut.name.name)
            code, detail = "internal", "the snapshot could not be read"
        else:
            subscriber.add_asked(encode(cut.snapshot(cut.data)))
            return []
        subscriber.send({"type": "error", "code": code, "detail": detail, "channel": cut.name.name})
        return [cut.name.name]


class Cut:
    """One name at the instant it was subscribed to: its channels, their numbers, and what was missed on them."""

    def __init__(self, name: ChannelName, channels: Sequence[Channel], since: Mapping[str, int]) -> None:
        self.name = name
        self.data: Sequence[Mapping[str, Any]] | None = None
        """The snapshot, where it was taken at once."""
        self._since = since
        self.seqs = {channel: channel.seq for channel in channels}
        self._missed = {channel: channel.after(since[channel.name]) for channel in channels if channel.name in since}
        self._resumable = bool(self._missed)

    def skip(self, channels: Iterable[Channel]) -> None:
        """Leave out channels that reach the socket by another name already: nothing was missed on them."""
        for channel in channels:
            self._missed[channel] = []

    async def resume(self, subscriber: Subscriber) -> bool:
        """Send what was missed, or say where that is not kept; False when a snapshot must follow."""
        if not self._resumable:
            return False
        for channel, missed in self._missed.items():
            await subscriber.room()
            if missed is None:
                gap = {"type": "gap", "channel": channel.name, "since": self._since[channel.name]}
                subscriber.send({**gap, "seq": self.seqs[channel]})
            elif missed:
                subscriber.add_asked(b",".join([entry.data for entry in missed]))
        return len(self._missed) == len(self.seqs) and None not in self._missed.values()

    def snapshot(self, data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the snapshot's message. What stands for several channels gives the number of each in ``seqs``."""
        message: dict[str, Any] = {"type": "snapshot", "channel": self.name.name, "seq": None, "data": data}
        if not self.name.is_wildcard:
            message["seq"] = next(iter(self.seqs.values()))
        if self.name.is_wildcard or len(self.seqs) > 1:
            message["seqs"] = {channel.name: seq for channel, seq in self.seqs.items()}
        return message


async def _at_once() -> None:
    """Wait for nothing."""
