"""Indicators by name, one bar at a time: a bar that is closed is pushed, one that still changes is looked at.

    panel = LivePanel(["sma_20", "macd_12_26_9"])
    panel.push(bar)      a closed bar, each once and in order ──> {"sma_20": 101.2, "macd_12_26_9": None, …}
    panel.revise(bar)    the bar after it, not closed yet: what the values are if it stays as it is

Values are None where there is too little past. A push takes some microseconds for each indicator, whatever came before.
"""

import math
from collections.abc import Iterable, Sequence

from qsuite.domain.analytics.catalog import read_name
from qsuite.domain.analytics.live.twins import TWINS
from qsuite.domain.analytics.series import Candle

LiveValues = dict[str, float | None]


class LiveIndicator:
    """One indicator of one symbol and interval. UnknownIndicator for a name that is none."""

    def __init__(self, name: str) -> None:
        indicator = read_name(name)
        self.names = indicator.names
        self._twin = TWINS[indicator.family.name](*indicator.numbers)
        self._last_ns: int | None = None

    def push(self, bar: Candle) -> LiveValues:
        """Take a closed bar and return the values at it. ValueError for one that is not after the last."""
        self._require_later(bar)
        self._last_ns = bar.start_ns
        return self._shown(bar, keep=True)

    def revise(self, bar: Candle) -> LiveValues:
        """Return the values at a bar that follows the last and may still change; nothing of it is kept."""
        self._require_later(bar)
        return self._shown(bar, keep=False)

    def _shown(self, bar: Candle, *, keep: bool) -> LiveValues:
        values = self._twin(bar, keep)
        return {name: None if math.isnan(value) else value for name, value in zip(self.names, values, strict=True)}

    def _require_later(self, bar: Candle) -> None:
        if self._last_ns is not None and bar.start_ns <= self._last_ns:
            raise ValueError(f"the bar at {bar.start_ns} is not after the last, at {self._last_ns}")


class LivePanel:
    """Several indicators of one symbol and interval."""

    def __init__(self, names: Sequence[str]) -> None:
        self._indicators = [LiveIndicator(name) for name in names]

    def push(self, bar: Candle) -> LiveValues:
        """Take a closed bar and return the values at it. ValueError for one that is not after the last."""
        return _joined(each.push(bar) for each in self._indicators)

    def revise(self, bar: Candle) -> LiveValues:
        """Return the values at a bar that follows the last and may still change; nothing of it is kept."""
        return _joined(each.revise(bar) for each in self._indicators)


def _joined(several: Iterable[LiveValues]) -> LiveValues:
    return {name: value for values in several for name, value in values.items()}
