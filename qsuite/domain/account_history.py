"""Equity over time: when a sample is due, and what it holds."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from qsuite.domain.intervals import MINUTE_NS
from qsuite.domain.times import DAY_NS, NS_PER_MS, NS_PER_S
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.valuation import Valuation

CLOSING_NS = 2 * NS_PER_S
"""A day's end is sampled this long before it, so that it still is that day's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EquitySample:
    """What an account was worth at the minute ``ts``; ``day_pnl`` is None on a day that had not begun for it."""

    account: UUID
    ts: int
    cash: Decimal
    equity: Decimal
    long_value: Decimal
    short_value: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    day_pnl: Decimal | None


def due_at(now: int) -> int:
    """Return the instant that a sample taken now is for: the minute's beginning, or just before midnight the day's end.

    The end of a day is its last millisecond, so that it sorts after all its minutes.
    """
    if DAY_NS - now % DAY_NS <= CLOSING_NS:
        return now - now % DAY_NS + DAY_NS - NS_PER_MS
    return now - now % MINUTE_NS


def sample_of(account: Account, valued: Valuation, ts: int) -> EquitySample:
    """Make an account's sample."""
    begun = account.day == ts // DAY_NS
    return EquitySample(
        account=account.id,
        ts=ts,
        cash=valued.cash,
        equity=valued.equity,
        long_value=valued.long_value,
        short_value=valued.short_value,
        realized_pnl=account.realized_pnl,
        unrealized_pnl=valued.unrealized_pnl,
        day_pnl=valued.equity - account.day_open_equity if begun else None,
    )
