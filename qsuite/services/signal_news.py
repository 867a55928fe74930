"""Public signals that another process made, told to the readers of this one.

    the process with the engine ─> signals ──polled──> ``signals:SYM`` of a process that stands by

A gateway that mirrors that process through Redis hears of them there, and polls for nobody. Invariant: a signal is told
here once, whether it was made here or elsewhere; what was made before anybody could listen is in their snapshots.
"""

from collections.abc import Callable
from uuid import UUID

from qsuite.domain.times import NS_PER_S
from qsuite.repos.signals import SignalsRepo
from qsuite.services.signals import SignalService

OVERLAP_NS = 5 * NS_PER_S
"""A signal becomes visible later than its own time says, by a slow write or another machine's clock."""


class SignalNews:
    """A supervised loop, at work in a process that stands by while ``others`` are there.

    ``wanted`` says whether a message to a channel would go anywhere from here.
    """

    name = "signal_news"
    interval_s = 1.0

    def __init__(
        self,
        *,
        signals: SignalService,
        repo: SignalsRepo,
        is_active: Callable[[], bool],
        others: Callable[[], bool],
        wanted: Callable[[str], bool],
    ) -> None:
        self._signals = signals
        self._repo = repo
        self._is_active = is_active
        self._others = others
        self._wanted = wanted
        self._newest_ns: int | None = None
        self._seen: frozenset[UUID] = frozenset()

    async def run_once(self, now: int) -> None:
        """Tell what was stored since the last round."""
        if self._is_active() or not self._others():
            self._newest_ns = None
            return
        begins = self._newest_ns is None
        newest_ns = now if self._newest_ns is None else self._newest_ns
        found = await self._repo.public_since(newest_ns - OVERLAP_NS)
        for signal in found:
            if not begins and signal.id not in self._seen and self._wanted(f"signals:{signal.symbol}"):
                self._signals.tell(signal)
        self._seen = frozenset(signal.id for signal in found)
        self._newest_ns = max([newest_ns, *(signal.created_at for signal in found)])
