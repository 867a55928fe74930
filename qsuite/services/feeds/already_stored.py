"""What of a source is in storage already, so that what is asked for again after a restart is stored once.

A stored tick does not say what its source knew it by. But of one instant, as many ticks of the same figures as are
stored are known; whatever comes beyond them is new.
"""

from collections import Counter
from collections.abc import Sequence

from qsuite.domain.market import Quote, Tick, Trade
from qsuite.repos.tick_queries import TickQuery
from qsuite.repos.ticks import TicksRepo

READ_MAX = 200_000


class AlreadyStored:
    """The ticks of a symbol from a time on, each to be had back once."""

    def __init__(self, ticks: Sequence[Tick] = ()) -> None:
        self._there = Counter(map(_figures, ticks))
        self.newest_ns = max((tick.ts_ns for tick in ticks), default=-(2**63))

    @classmethod
    async def read(cls, repo: TicksRepo, symbol: str, since_ns: int) -> "AlreadyStored":
        """Read what is stored of a symbol from a time on."""
        return cls(await repo.read(TickQuery(symbol, since_ns), READ_MAX))

    def take(self, tick: Tick) -> bool:
        """Say whether a tick is stored; the next one of the same figures is another."""
        figures = _figures(tick)
        if not self._there[figures]:
            return False
        self._there[figures] -= 1
        return True


def _figures(tick: Tick) -> tuple[object, ...]:
    if isinstance(tick, Trade):
        return tick.ts_ns, tick.price, tick.size
    assert isinstance(tick, Quote)
    return tick.ts_ns, tick.bid, tick.ask, tick.bid_size, tick.ask_size
