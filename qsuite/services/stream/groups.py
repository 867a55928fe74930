"""Sockets that listen to exactly the same public channels are one group, and get the very same frames.

    publish ──> channel ──route──> groups ──settle──> one batch a group ──> its members

So a message to 200 sockets with equal subscriptions costs one entry in one list, and a flush one frame.
Invariant: a socket is in at most one group; what was published before it moved reaches it through the group it left.
"""

from typing import TYPE_CHECKING

from qsuite.services.stream.channel import Channel
from qsuite.services.stream.messages import FRAME_BYTES, Batch, Entry

if TYPE_CHECKING:
    from qsuite.services.stream.subscriber import Subscriber


class Group:
    """The sockets of one set of channel names, wildcards included as such."""

    __slots__ = ("members", "names", "pending")

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.members: dict[Subscriber, None] = {}
        self.pending: list[Entry] = []

    def batches(self) -> tuple[Batch, ...]:
        """Cut what is pending into frames' worth."""
        pending, self.pending = self.pending, []
        batches: list[Batch] = []
        start = size = 0
        for at, entry in enumerate(pending):
            entry.channel.settled = entry
            size += len(entry.data) + 1
            if size > FRAME_BYTES and at > start:
                batches.append(Batch(pending[start:at]))
                start, size = at, len(entry.data) + 1
        batches.append(Batch(pending[start:] if start else pending))
        return tuple(batches)


class Groups:
    """All groups, and which of them hear a channel."""

    def __init__(self) -> None:
        self._by_names: dict[frozenset[str], Group] = {}
        self._listening: dict[str, dict[Group, None]] = {}
        self._dirty: list[Group] = []
        self._version = 0

    def listened(self, name: str) -> bool:
        """Say whether any socket asked for exactly this name."""
        return name in self._listening

    def add(self, entry: Entry) -> bool:
        """Give a message to the groups that hear its channel; False when there is none."""
        channel = entry.channel
        if channel.route_version != self._version:
            channel.route = self._route(channel)
            channel.route_version = self._version
        for group in channel.route:
            if not group.pending:
                self._dirty.append(group)
            group.pending.append(entry)
        return bool(channel.route)

    def _route(self, channel: Channel) -> tuple[Group, ...]:
        return tuple({**self._listening.get(channel.name, {}), **self._listening.get(channel.wild, {})})

    @property
    def waiting(self) -> bool:
        """Say whether a message is pending."""
        return bool(self._dirty)

    def settle(self) -> None:
        """Hand every pending message to the members of its groups."""
        dirty, self._dirty = self._dirty, []
        for group in dirty:
            batches = group.batches()
            for member in group.members:
                member.due(batches)

    def move(self, subscriber: "Subscriber", names: frozenset[str]) -> None:
        """Put a socket into the group of these names; an empty set is no group."""
        self.settle()
        old = subscriber.group
        if old is not None:
            del old.members[subscriber]
            if not old.members:
                self._remove(old)
        subscriber.group = self._group(names) if names else None
        if subscriber.group is not None:
            subscriber.group.members[subscriber] = None

    def _group(self, names: frozenset[str]) -> Group:
        group = self._by_names.get(names)
        if group is None:
            group = self._by_names[names] = Group(names)
            self._version += 1
            for name in names:
                self._listening.setdefault(name, {})[group] = None
        return group

    def _remove(self, group: Group) -> None:
        del self._by_names[group.names]
        self._version += 1
        for name in group.names:
            del self._listening[name][group]
            if not self._listening[name]:
                del self._listening[name]
