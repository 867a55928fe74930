"""What the driver does, counted as it tells of it: commands by name with their time and failures, connections in use.

The driver calls back in whichever thread sends a command, so every count is taken under a lock (a tenth of a
microsecond). Names of commands are the driver's own and few; nothing of a command's content is looked at.

Invariant: a listener never raises, waits for nothing but its lock, and keeps nothing of what it was shown.
"""

import threading
from collections import Counter

from pymongo import MongoClient, monitoring
from pymongo.server_type import SERVER_TYPE

from qsuite.domain.histogram import Histogram

US_PER_S = 1e6
KINDS = {
    SERVER_TYPE.RSPrimary: "primary",
    SERVER_TYPE.RSSecondary: "secondary",
    SERVER_TYPE.RSArbiter: "arbiter",
    SERVER_TYPE.Standalone: "standalone",
    SERVER_TYPE.Mongos: "mongos",
    SERVER_TYPE.LoadBalancer: "mongos",
    SERVER_TYPE.Unknown: "unknown",
}
OTHER_KIND = "other"


class CommandFigures(monitoring.CommandListener):
    """Times and failures of commands, by name; a failure is what the server refused or the network lost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, Histogram] = {}
        self.failures: dict[str, int] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Do nothing: the end tells how long it took."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Count a command that was answered."""
        self._count(event.command_name, event.duration_micros)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Count a command that was refused, or whose answer was lost."""
        self._count(event.command_name, event.duration_micros, failed=1)

    def _count(self, name: str, micros: int, *, failed: int = 0) -> None:
        with self._lock:
            seconds = self.seconds.get(name)
            if seconds is None:  # a new dict, so that whoever reads the old one is not disturbed
                self.seconds = self.seconds | {name: (seconds := Histogram())}
                self.failures = {name: 0} | self.failures
            seconds.observe(micros / US_PER_S)
            if failed:
                self.failures[name] += 1


class PoolFigures(monitoring.ConnectionPoolListener):
    """Connections: how many there are, are in use, and are waited for; and how many waits ended without one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = self.in_use = self.waiting = 0
        self.opened = self.waits_failed = 0

    def _change(self, *, opened: int = 0, in_use: int = 0, waiting: int = 0, failed: int = 0) -> None:
        with self._lock:
            self.open += opened
            self.opened += max(0, opened)
            self.in_use += in_use
            self.waiting += waiting
            self.waits_failed += failed

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        """Count a connection."""
        self._change(opened=1)

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        """Count a connection that is no more."""
        self._change(opened=-1)

    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None:
        """Count one that waits."""
        self._change(waiting=1)

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        """Count one that got a connection."""
        self._change(waiting=-1, in_use=1)

    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        """Count one that got none."""
        self._change(waiting=-1, failed=1)

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        """Count one that gave its connection back."""
        self._change(in_use=-1)

    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None:
        """Do nothing."""

    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None:
        """Do nothing."""

    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        """Do nothing: its connections are told of one by one."""

    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None:
        """Do nothing."""

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        """Do nothing."""


class DatabaseFigures:
    """All that is known of one client. ``listeners`` are for the driver."""

    def __init__(self) -> None:
        self.commands = CommandFigures()
        self.pool = PoolFigures()
        self._client: MongoClient[dict[str, object]] | None = None

    @property
    def listeners(self) -> list[CommandFigures | PoolFigures]:
        """Return what is to be told."""
        return [self.commands, self.pool]

    def of(self, client: "MongoClient[dict[str, object]]") -> None:
        """Take the client whose view of the servers ``members`` tells."""
        self._client = client

    def members(self) -> dict[str, float]:
        """Return how many servers of each kind the client sees, from its memory; ``unknown`` are those it does not."""
        found: Counter[str] = Counter({"primary": 0, "secondary": 0, "unknown": 0})
        if self._client is not None:
            servers = self._client.topology_description.server_descriptions().values()
            found.update(KINDS.get(server.server_type, OTHER_KIND) for server in servers)
        return {kind: float(count) for kind, count in found.items()}

    @property
    def primary(self) -> bool:
        """Say whether there is a server that takes writes, as far as the client knows."""
        return self._client is not None and self._client.topology_description.has_writable_server()
