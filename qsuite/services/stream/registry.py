"""Which channels exist, and who listens to them.

A public channel exists while somebody listens to it, by its own name or by the wildcard of its kind, and for a while
after; a private one likewise, for each account. ``Groups`` says where a public message goes, ``Channel.members`` where
a private one goes. Whatever a gateway wants of this process is ``tapped``, and counts as listened to.

Numbers are this process's own, or those of the process that it mirrors (``turn``).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from qsuite.domain.channels import ChannelName, parse_channel, private_keys
from qsuite.domain.roles import Caller
from qsuite.services.stream.channel import Channel, first_seq, first_seq_of_life
from qsuite.services.stream.groups import Groups
from qsuite.services.stream.mirror import Key, Mirror
from qsuite.services.stream.names import wildcard_of
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
        self.mirror: Mirror | None = None
        """The streams of another process, while this one's channels follow those."""
        self.life: int | None = None
        """Which life of a process this is, where a database counts them."""
        self._kept_messages = kept_messages
        self._clock = clock
        self._used = 0
        self._public: dict[str, Channel] = {}
        self._private: dict[tuple[UUID, str], Channel] = {}
        self._wildcards: dict[str, int] = {}
        self._tapped: set[str] = set()
        """The wildcards that gateways want."""

    # -- finding ------------------------------------------------------------------------------------------------

    def public(self, name: str) -> Channel | None:
        """Return a channel that somebody listens to or lately did."""
        channel = self._public.get(name)
        if channel is None and (self._wildcards or self._tapped):
            wild = wildcard_of(name)
            if wild in self._wildcards or wild in self._tapped:
                return self._make_public(name)
        return channel

    def private(self, owner: UUID, name: str) -> Channel | None:
        """Return one account's channel, if its owner listens or lately did."""
        return self._private.get((owner, name)) if self._private else None

    def private_owners(self, wanted: str | None = None) -> set[UUID]:
        """Return whose private channels, or those of one name, are told of here; any thread may ask."""
        if self.mirror is not None:  # the other process tells
            return set()
        return {owner for owner, name in list(self._private) if wanted is None or name == wanted}

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
            channel = self._public[name] = self._make(name, wildcard_of(name), (None, name))
            channel.whole = self.wholes.get(parse_channel(name).kind)
            channel.tapped = channel.wild in self._tapped
        return channel

    def _make_private(self, owner: UUID, name: str, shown: str) -> Channel:
        channel = self._private.get((owner, name))
        if channel is None:
            channel = self._private[owner, name] = self._make(shown, name, (owner, name))
        return channel

    def _make(self, name: str, wild: str, key: Key) -> Channel:
        return Channel(name, wild=wild, seq=self._first(key), kept_messages=self._kept_messages)

    # -- numbers ------------------------------------------------------------------------------------------------

    def _first(self, key: Key) -> int:
        """Return the number before the first one of a channel that begins now."""
        if self.mirror is not None:
            return self.mirror.seqs[key]
        if self.life is None:
            return max(first_seq(self._clock()), self._used)
        return max(first_seq_of_life(self.life), self._used)

    def turn(self, mirror: Mirror | None) -> dict[Channel, int]:
        """Follow another process's numbers from now on, or with None one's own; return each channel's last one before.

        A mirror must know every channel that is here.
        """
        before = {channel: channel.seq for channel in self._channels()}
        self._use_up(self._channels())
        self.mirror = mirror
        for key in self.channel_keys():
            channel = self._public[key[1]] if key[0] is None else self._private[key[0], key[1]]
            channel.renumber(self._first(key))
        return before

    def _use_up(self, channels: Iterable[Channel]) -> None:
        """Never give out again what one's own channels gave out."""
        if self.mirror is None:
            self._used = max([self._used, *(channel.seq for channel in channels)])

    def _channels(self) -> list[Channel]:
        return [*self._public.values(), *self._private.values()]

    # -- gateways -----------------------------------------------------------------------------------------------

    def channel_keys(self) -> list[Key]:
        """Return what names the channels here to another process."""
        return [*((None, name) for name in self._public), *self._private]

    def wildcards(self) -> list[str]:
        """Return the wildcards somebody listens to."""
        return list(self._wildcards)

    def shown(self, key: Key) -> str:
        """Return the name that a channel's messages carry."""
        return key[1] if key[0] is None else self._private[key[0], key[1]].name

    def adopt(self, key: Key, shown: str, missed: Sequence[bytes]) -> None:
        """Make a channel of the mirror, unless it is there, with what a reader may have missed of it."""
        owner, name = key
        known = name in self._public if owner is None else (owner, name) in self._private
        if not known:
            channel = self._make_public(name) if owner is None else self._make_private(owner, name, shown)
            channel.renumber(channel.seq, missed)

    def tap(self, key: Key, shown: str) -> list[Channel]:
        """Let gateways have a channel, or all that a wildcard stands for; return those there are."""
        owner, name = key
        if owner is not None:
            channels = [self._make_private(owner, name, shown)]
        elif parse_channel(name).is_wildcard:
            self._tapped.add(name)
            channels = [channel for channel in self._public.values() if channel.wild == name]
        else:
            channels = [self._make_public(name)]
        for channel in channels:
            channel.tapped = True
        return channels

    def untap(self, wanted: Collection[Key]) -> None:
        """Keep from gateways what is no longer among these."""
        self._tapped = {name for name in self._tapped if (None, name) in wanted}
        for key in self.channel_keys():
            channel = self._public[key[1]] if key[0] is None else self._private[key[0], key[1]]
            channel.tapped = key in wanted or channel.wild in self._tapped

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
        names = [name for name, channel in self._public.items() if self._lapsed(channel, moment)]
        self._use_up([self._public.pop(name) for name in names])
        keys = [key for key, channel in self._private.items() if self._lapsed(channel, moment)]
        self._use_up([self._private.pop(key) for key in keys])

    def _lapsed(self, channel: Channel, moment: float) -> bool:
        listened = self.groups.listened(channel.name) or self.groups.listened(channel.wild)
        if listened or channel.members or channel.tapped:
            channel.idle_since = None
            return False
        if channel.idle_since is None:
            channel.idle_since = moment
        return moment - channel.idle_since > LINGER_S

    def bound_kept(self) -> None:
        """Give up the older half of all messages kept when they are too many bytes."""
        channels = self._channels()
        if sum(channel.kept_bytes for channel in channels) > KEPT_BYTES_MAX:
            for channel in channels:
                channel.forget_half()


def covers(names: frozenset[str]) -> Callable[[Channel], bool]:
    """Return the question whether a channel is among these names, by its own or by the one that stands for it."""
    return lambda channel: channel.name in names or channel.wild in names
