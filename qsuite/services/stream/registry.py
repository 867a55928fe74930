"""Which channels exist, and who listens to them.

A public channel exists while somebody listens to it, by its own name or by the wildcard of its kind, and for a while
after; a private one likewise, for each account. ``Groups`` says where a public message goes, ``Channel.members`` where
a private one goes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from qsuite.domain.channels import ChannelName, parse_channel, private_keys
from qsuite.domain.roles import Caller
from qsuite.services.stream.channel import Channel, first_seq
from qsuite.services.stream.groups import Groups
from qsuite.services.stream.subscriber import Subscriber

# A channel is kept this long after its last reader left: a reconnect takes seconds, a restarted client minutes.
LINGER_S = 300.0
# All channels together; beyond it each gives up its older half, and who comes back for that gets a snapshot.
KEPT_BYTES_MAX = 32 * 1_048_576


class Registry:
    """Make, find and forget channels; join sockets to them."""

    def __init__(self, *, kept_messages: int, clock: Callable[[], int]) -> None:
        self.groups = Groups()
        self.wholes: dict[str, Callable[[str], Mapping[str, Any]]] = {}
        """By kind of channel: what stands for all messages of a channel, see ``Channel.whole``."""
        self._kept_messages = kept_messages
        self._clock = clock
        self._public: dict[str, Channel] = {}
        self._private: dict[tuple[UUID, str], Channel] = {}
        self._wildcards: dict[str, int] = {}

    # -- finding ------------------------------------------------------------------------------------------------

    def public(self, name: str) -> Channel | None:
        """Return a channel that somebody listens to or lately did."""
        channel = self._public.get(name)
        if channel is None and self._wildcards and wildcard_of(name) in self._wildcards:
            return self._make_public(name)
        return channel

    def private(self, owner: UUID, name: str) -> Channel | None:
        """Return one account's channel, if its owner listens or lately did."""
        return self._private.get((owner, name)) if self._private else None

    def private_owners(self) -> set[UUID]:
        """Return whose private channels somebody listens to or lately did; any thread may ask."""
        return {owner for owner, _ in list(self._private)}

    def break_private(self) -> None:
        """Break off every private channel."""
        for channel in self._private.values():
            channel.break_off()

    def behind(self, name: ChannelName, caller: Caller, remembered: Iterable[ChannelName]) -> Sequence[Channel]:
        """Return the channels that a name stands for. Those a client remembers are made, for it to hear of the gap."""
        if name.private:
            return [self._private[owner, name.name] for owner, _ in private_keys(caller, name.name)]
        if not name.is_wildcard:
            return [self._public[name.name]]
        for known in remembered:
            if not known.private and not known.is_wildcard and known.wildcard == name.name:
                self._make_public(known.name)
        return [channel for channel in self._public.values() if channel.wild == name.name]

    def _make_public(self, name: str) -> Channel:
        channel = self._public.get(name)
        if channel is None:
            channel = self._public[name] = self._make(name, wildcard_of(name))
            channel.whole = self.wholes.get(parse_channel(name).kind)
        return channel

    def _make_private(self, owner: UUID, name: str, shown: str) -> Channel:
        channel = self._private.get((owner, name))
        if channel is None:
            channel = self._private[owner, name] = self._make(shown, name)
        return channel

    def _make(self, name: str, wild: str) -> Channel:
        return Channel(name, wild=wild, seq=first_seq(self._clock()), kept_messages=self._kept_messages)

    # -- listening ----------------------------------------------------------------------------------------------

    def listen(self, subscriber: Subscriber, names: frozenset[str]) -> None:
        """Make exactly these the socket's channels."""
        old, subscriber.names = subscriber.names, names
        for name in names - old:
            self._join(subscriber, parse_channel(name))
        for name in old - names:
            self._leave(subscriber, parse_channel(name))
        self.groups.move(subscriber, frozenset(name for name in names if ":" in name))  # private names have none

    def _join(self, subscriber: Subscriber, name: ChannelName) -> None:
        if name.is_wildcard:
            self._wildcards[name.name] = self._wildcards.get(name.name, 0) + 1
        elif not name.private:
            self._make_public(name.name)
        else:
            assert subscriber.caller is not None
            for owner, shown in private_keys(subscriber.caller, name.name):
                channel = self._make_private(owner, name.name, shown)
                channel.members[subscriber] = None
                subscriber.private[channel] = None

    def _leave(self, subscriber: Subscriber, name: ChannelName) -> None:
        if name.is_wildcard:
            self._wildcards[name.name] -= 1
            if not self._wildcards[name.name]:
                del self._wildcards[name.name]
        elif name.private:
            for channel in [channel for channel in subscriber.private if channel.wild == name.name]:
                del channel.members[subscriber]
                del subscriber.private[channel]

    # -- memory -------------------------------------------------------------------------------------------------

    def drop_idle(self, moment: float) -> None:
        """Forget channels that nobody has listened to for a while."""
        for name in [name for name, channel in self._public.items() if self._lapsed(channel, moment)]:
            del self._public[name]
        for key in [key for key, channel in self._private.items() if self._lapsed(channel, moment)]:
            del self._private[key]

    def _lapsed(self, channel: Channel, moment: float) -> bool:
        if channel.members or self.groups.listened(channel.name) or self.groups.listened(channel.wild):
            channel.idle_since = None
            return False
        if channel.idle_since is None:
            channel.idle_since = moment
        return moment - channel.idle_since > LINGER_S

    def bound_kept(self) -> None:
        """Give up the older half of all messages kept when they are too many bytes."""
        channels = [*self._public.values(), *self._private.values()]
        if sum(channel.kept_bytes for channel in channels) > KEPT_BYTES_MAX:
            for channel in channels:
                channel.forget_half()


@lru_cache(maxsize=16_384)
def wildcard_of(name: str) -> str:
    """Return the name that stands for every symbol of a public channel's kind; asked for at every message."""
    return parse_channel(name).wildcard


def covers(names: frozenset[str]) -> Callable[[Channel], bool]:
    """Return the question whether a channel is among these names, by its own or by the one that stands for it."""
    return lambda channel: channel.name in names or channel.wild in names
