"""Series of numbers, oldest first: what indicators take and return. NaN stands for "not known"."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Instants = npt.NDArray[np.int64]


class Candle(NamedTuple):
    """One bar; its start in nanoseconds since 1970."""

    start_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Candles(NamedTuple):
    """Closed bars of one symbol and interval as arrays of one length; ``starts_ns`` are their starts."""

    starts_ns: Instants
    opens: Series
    highs: Series
    lows: Series
    closes: Series
    volumes: Series


class Ranges(Protocol):
    """Whatever has the range and close of each bar."""

    @property
    def highs(self) -> Series: ...
    @property
    def lows(self) -> Series: ...
    @property
    def closes(self) -> Series: ...


def as_series(values: Any) -> Series:
    """Return an array of doubles."""
    return np.asarray(values, dtype=np.float64)


def each_bar(bars: Candles) -> Iterator[Candle]:
    """Yield the bars one by one."""
    return map(Candle, *(column.tolist() for column in bars))


def from_bar(bars: Candles, place: int) -> Candles:
    """Return the bars from a place on."""
    return Candles(
        bars.starts_ns[place:],
        bars.opens[place:],
        bars.highs[place:],
        bars.lows[place:],
        bars.closes[place:],
        bars.volumes[place:],
    )
