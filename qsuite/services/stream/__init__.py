"""Streaming to many sockets: see ``hub``. No Tornado here; the connection is a ``Wire`` that the handler brings."""

from qsuite.services.stream.hub import StreamHub
from qsuite.services.stream.subscriber import Subscriber, Wire

__all__ = ["StreamHub", "Subscriber", "Wire"]
