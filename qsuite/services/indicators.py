"""Indicators of a symbol over a range: computed from closed bars, with as much of the past as they need.

    bars before the range ┐
    bars of the range ────┴──> arrays ──thread──> series by name, of the range alone

Invariant: a value does not depend on where the range begins. So many bars before it are read that what came before
those no longer changes a digit; where there are fewer, the first values are null, never wrong.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.catalog import Indicator, UnknownIndicator, panel, read_name
from qsuite.domain.analytics.series import Candles, as_series
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import parse_interval
from qsuite.domain.market import Bar
from qsuite.domain.times import DAY_NS
from qsuite.services.closed_bars import ClosedBars
from qsuite.services.price_history import BarsAsked

Numbers = list[float | None]


class IndicatorValues(NamedTuple):
    """Values at each bar's start, None where there is too little past; ``next_ns`` starts the first bar left out."""

    starts_ns: list[int]
    values: Mapping[str, Numbers]
    next_ns: int | None = None


class IndicatorService:
    """Compute indicators for whoever asks."""

    def __init__(self, bars: ClosedBars) -> None:
        self._bars = bars

    async def values(self, asked: BarsAsked, names: Sequence[str], limit: int) -> IndicatorValues:
        """Return the first ``limit`` bars from ``asked.start_ns`` on, or without a start the newest ones.

        Invalid names what is no indicator.
        """
        wanted = read_names(names)
        before = _bars_before(wanted, asked.interval)
        shown, next_ns = await self._shown(asked, limit)
        if not shown:
            return IndicatorValues([], {name: [] for name in panel(names, candles_of([]))})
        past = await self._bars.newest(
            asked.symbol, asked.interval, before, before_ns=shown[0].ts_ns, adjusted=asked.adjusted
        )
        values = await asyncio.to_thread(_computed, names, [*past, *shown], len(past))
        return IndicatorValues([bar.ts_ns for bar in shown], values, next_ns)

    async def _shown(self, asked: BarsAsked, limit: int) -> tuple[list[Bar], int | None]:
        if asked.start_ns is None:
            newest = await self._bars.newest(
                asked.symbol, asked.interval, limit, before_ns=asked.end_ns, adjusted=asked.adjusted
            )
            return newest, None
        found = await self._bars.from_start(asked, limit + 1)
        return found[:limit], found[limit].ts_ns if len(found) > limit else None


def read_names(names: Sequence[str]) -> list[Indicator]:
    """Read names of indicators. Invalid."""
    try:
        return [read_name(name) for name in names]
    except UnknownIndicator as wrong:
        raise Invalid("the query string has errors", errors={"names": [str(wrong)]}) from None


def candles_of(bars: Sequence[Bar]) -> Candles:
    """Return bars as arrays; statistics are no money, so floats will do."""
    starts = np.array([bar.ts_ns for bar in bars], dtype=np.int64)
    return Candles(
        starts,
        *(as_series([getattr(bar, name) for bar in bars]) for name in ("open", "high", "low", "close", "volume")),
    )


def _computed(names: Sequence[str], bars: Sequence[Bar], past: int) -> dict[str, Numbers]:
    series = panel(names, candles_of(bars), past)
    return {name: [None if math.isnan(each) else each for each in values.tolist()] for name, values in series.items()}


def _bars_before(indicators: Sequence[Indicator], interval: str) -> int:
    before = max(indicator.bars_before for indicator in indicators)
    width = parse_interval(interval).width_ns
    if width is not None and any(indicator.since_midnight for indicator in indicators):
        before = max(before, DAY_NS // width)
    return max(before, 1)
