"""How often somebody may ask: a rate, and buckets of tokens that fill at it. Exact, in whole numbers.

A bucket is kept as its debt: what it lacks to be full, in units so small that a token and a microsecond of filling are
both whole numbers of them. So no fraction is ever rounded, and a bucket nobody has used for long needs no memory.

Invariants: what passes in any time is at most the burst and what that time fills in; a refused request takes nothing;
what is forgotten for want of memory first is what owes least, so that many strange addresses free nobody who has used
a bucket up.
"""

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter

US_PER_S = 1_000_000
UNITS_S = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
MAX_FULL = 2**52
"""Debts also pass through floating point, in Redis: up to here, and a little beyond, that is exact."""
MAX_KEPT = 20_000

_RATE = re.compile(r"(\d{1,9})/(second|minute|hour|day)(?: burst (\d{1,9}))?", re.ASCII)


class ThrottleScope(StrEnum):
    """What one request counts as; each has buckets of its own."""

    DEFAULT = "default"
    ORDERS = "orders"
    """Whatever places or changes an order."""
    CANCELS = "cancels"
    """Whatever ends orders or halts trading: never kept waiting by the rest."""
    MARKET_DATA = "market_data"
    """Prices taken in."""
    AUTH = "auth"
    """Whatever a password or refresh token can be guessed by."""
    ANALYTICS = "analytics"
    """Whatever begins a long computation."""
    FREE = "free"
    """Counted nowhere: health, figures, and pages that never change."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``count`` tokens in ``seconds``, at most ``burst`` at once. ValueError where it cannot be kept exactly."""

    count: int
    seconds: int
    burst: int
    unit: int = field(init=False, repr=False, compare=False)
    """A token, in units of debt."""
    drip: int = field(init=False, repr=False, compare=False)
    """What a microsecond takes off a debt."""
    full: int = field(init=False, repr=False, compare=False)
    """The debt of an empty bucket."""

    def __post_init__(self) -> None:
        if self.count < 1 or self.burst < 1:
            raise ValueError("a rate lets through at least one, and one at once")
        period_us = self.seconds * US_PER_S
        common = math.gcd(self.count, period_us)
        object.__setattr__(self, "unit", period_us // common)
        object.__setattr__(self, "drip", self.count // common)
        object.__setattr__(self, "full", self.burst * self.unit)
        if self.full > MAX_FULL or self.drip > MAX_FULL:
            raise ValueError("too large to be kept exactly: choose rounder numbers or a shorter time")

    def __str__(self) -> str:
        unit = next((name for name, seconds in UNITS_S.items() if seconds == self.seconds), f"{self.seconds} s")
        return f"{self.count}/{unit}" + ("" if self.burst == self.count else f" burst {self.burst}")

    def halved(self) -> "Rate":
        """Return half this rate, exactly, with half the burst, but never none."""
        burst = max(1, self.burst // 2)
        if self.count % 2 == 0:
            return Rate(self.count // 2, self.seconds, burst)
        return Rate(self.count, self.seconds * 2, burst)

    def left(self, debt: int) -> int:
        """Return the whole tokens in a bucket."""
        return (self.full - debt) // self.unit

    def more_in_s(self, debt: int) -> int:
        """Return the whole seconds after which there is at least a token more, or in a full one would be again."""
        return self._seconds(debt % self.unit or self.unit)

    def wait_s(self, debt: int, tokens: int) -> int:
        """Return the whole seconds after which so many tokens can be taken; 0 for now, nonsense above the burst."""
        return self._seconds(max(0, debt + tokens * self.unit - self.full))

    def _seconds(self, debt: int) -> int:
        return -(-debt // (self.drip * US_PER_S))


def parse_rate(text: str) -> Rate:
    """Read ``1000/hour`` or ``100/second burst 500``; without a burst it is the count. ValueError for another text."""
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError("write it as 1000/hour or 100/second burst 500; the time is second, minute, hour or day")
    count = int(found[1])
    return Rate(count, UNITS_S[found[2]], count if found[3] is None else int(found[3]))


class Buckets:
    """The buckets of one rate in this process' memory, each under its owner's name. Times are of a monotonic clock."""

    __slots__ = ("_drip", "_full_at", "_kept")

    def __init__(self, rate: Rate, *, kept: int = MAX_KEPT) -> None:
        self._drip = rate.drip
        self._kept = kept
        self._full_at: dict[Hashable, int] = {}
        """When each will be full again, in units of debt since the clock's zero."""

    def __len__(self) -> int:
        return len(self._full_at)

    def debt(self, owner: Hashable, now_us: int) -> int:
        """Return what a bucket lacks to be full."""
        debt = self._full_at.get(owner, 0) - now_us * self._drip
        return debt if debt > 0 else 0

    def owe(self, owner: Hashable, debt: int, now_us: int) -> None:
        """Set what a bucket lacks to be full."""
        self._full_at[owner] = now_us * self._drip + debt
        if len(self._full_at) > self._kept:
            self._forget(now_us)

    def _forget(self, now_us: int) -> None:
        """Keep those that owe most, so that this is done once for each quarter of what is kept."""
        paid = now_us * self._drip
        owing = [item for item in self._full_at.items() if item[1] > paid]
        owing.sort(key=itemgetter(1), reverse=True)
        self._full_at = dict(owing[: self._kept * 3 // 4])
