"""A signal as it is kept: what was advised at a bar, from which figures, and what became of it.

    NOTED ─ no order follows: nobody's strategy, a HOLD, or not sure enough
    PENDING ─┬─ ORDERED     an order was placed
             ├─ REFUSED     an order was placed and a control refused it
             ├─ SKIPPED     no order could be made of it; ``reason`` says why
             └─ LAPSED      it was too old by the time an order could have been placed

What is to be ordered is decided and stored with the signal, as its ``intent``, before anything is ordered. So whoever
finds a PENDING signal after a crash places the very same order, under a client id made of the signal's own id, and the
engine knows whether that was placed already. Invariant: one signal for each strategy, algorithm, symbol, interval and
bar, and at most one order for each signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from qsuite.domain.analytics.signals import Advice
from qsuite.domain.intervals import parse_interval
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.domain.trading.order import Side

LEAST_LIFE_NS = 600 * NS_PER_S
_MONTH_NS = 28 * DAY_NS


class Fate(StrEnum):
    """What became of a signal."""

    NOTED = "noted"
    PENDING = "pending"
    ORDERED = "ordered"
    REFUSED = "refused"
    SKIPPED = "skipped"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Intent:
    """The order that is to follow: a market order for the day."""

    side: Side
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One signal. ``bar`` is the start of its bar, ``price`` that bar's close; ``strategy`` is None for a public one.

    ``account`` is the strategy's at that time, and stays the order's whatever the strategy's becomes. ``model`` is the
    trained model that gave the advice, if one did.
    """

    id: UUID
    symbol: str
    interval: str
    bar: int
    algorithm: str
    signal: Advice
    confidence: Decimal
    features: Mapping[str, float]
    price: Decimal
    created_at: int
    model: UUID | None = None
    strategy: UUID | None = None
    account: UUID | None = None
    status: Fate = Fate.NOTED
    intent: Intent | None = None
    order: UUID | None = None
    reason: str | None = None

    @property
    def client_order_id(self) -> str:
        """Return the name its order is placed under."""
        return f"signal-{self.id}"

    @property
    def lapses_at(self) -> int:
        """Return when it is too old to trade on: after the length of its bar, but not within ten minutes."""
        return self.created_at + max(parse_interval(self.interval).width_ns or _MONTH_NS, LEAST_LIFE_NS)
