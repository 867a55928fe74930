"""Which prices are not to be relied on, as those who read them are told (docs/adr/0044).

    suspect   the trade is far from the one before, and no second one confirmed it; or the quote is crossed
    stale     no live price arrived for a while, or what arrives cannot be stored: no order is decided on it now

The marks follow the figures that orders are refused by (``risk.reference_suspect``, ``risk.reference_stale``): one that
is switched off marks nothing as suspect, and as stale what the feed's alarm calls so. A symbol whose orders meet each
other is its own market, and is never suspect. Nothing here decides about an order: the engine keeps a tape of its own.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.market import Tick, Trade


class Mark(NamedTuple):
    """What is to be said of a symbol's price."""

    stale: bool
    suspect: bool


class PriceMarks:
    """See every tick once, as it arrives. ``jump`` is a fraction, None to suspect nothing."""

    def __init__(self, *, jump: Decimal | None, stale_ns: int, in_book: Callable[[str], bool]) -> None:
        self.away: Callable[[], bool] = bool
        """Says whether storage is away."""
        self.suspected = 0
        self._jump = jump
        self._stale_ns = stale_ns
        self._in_book = in_book
        self._arrived: dict[str, int] = {}
        self._last: dict[str, Decimal] = {}
        self._jumped: set[str] = set()
        self._crossed: set[str] = set()

    def see(self, tick: Tick, now: int) -> bool:
        """Take in a tick that arrived now; say whether it is suspect."""
        symbol = tick.symbol
        self._arrived[symbol] = now
        if self._jump is None:
            return False
        kept = self._jumped if isinstance(tick, Trade) else self._crossed
        if not self._is_wild(tick, self._jump) or self._in_book(symbol):
            kept.discard(symbol)
            return False
        kept.add(symbol)
        self.suspected += 1
        return True

    def _is_wild(self, tick: Tick, jump: Decimal) -> bool:
        if not isinstance(tick, Trade):
            return tick.bid is not None and tick.ask is not None and tick.bid > tick.ask
        before, self._last[tick.symbol] = self._last.get(tick.symbol), tick.price
        return before is not None and abs(tick.price - before) > before * jump

    def of(self, symbol: str, now: int) -> Mark:
        """Return what is to be said of a symbol's price now."""
        return Mark(self.away() or self._is_old(symbol, now), symbol in self._jumped or symbol in self._crossed)

    @property
    def suspects(self) -> int:
        """Return how many symbols' prices are suspect now."""
        return len(self._jumped | self._crossed)

    def old(self, now: int) -> int:
        """Return how many symbols had live prices since the start, and have none now."""
        return sum(self._is_old(symbol, now) for symbol in self._arrived)

    def _is_old(self, symbol: str, now: int) -> bool:
        arrived = self._arrived.get(symbol)
        return arrived is None or now - arrived > self._stale_ns
