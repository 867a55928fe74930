"""What the stream did since it started, as plain numbers for the metrics."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """Every one only rises. ``dropped`` stays 0: what is not delivered is conflated, or its socket is closed."""

    published: int = 0
    delivered: int = 0
    conflated: int = 0
    dropped: int = 0
    opened: int = 0
    bad_messages: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    """Sockets closed, by reason."""

    def count_closed(self, reason: str) -> None:
        """Add one closed socket."""
        self.closed[reason] = self.closed.get(reason, 0) + 1
