"""A bar as it is kept: with an identity of its own, the ticker it belongs to, and the history of its changes."""

from dataclasses import dataclass
from uuid import UUID

from qsuite.domain.market import Bar


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRecord:
    """One stored bar, unique by symbol, interval and timestamp. Times in nanoseconds, whole milliseconds."""

    id: UUID
    ticker: UUID
    bar: Bar
    created_at: int
    updated_at: int
    version: int = 1


def same_bar(one: Bar, other: Bar) -> bool:
    """Say whether two bars of one symbol, interval and timestamp hold the same figures (``1.50`` is ``1.5``)."""
    return one._replace(final=True) == other._replace(final=True)
