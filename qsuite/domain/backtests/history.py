"""A symbol's closed bars, growing as a backtest goes: all that a trader sees of the past.

Invariant: what has not happened is not in memory that a trader could reach. The arrays are views of buffers that hold
nothing beyond the newest bar, not of the whole past cut short.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.series import Series
from qsuite.domain.market import Bar

ROOM = 256
_FIGURES = ("open", "high", "low", "close", "volume")


class History:
    """Closed bars, oldest first; each array has one figure a bar, as the nearest float."""

    def __init__(self) -> None:
        self._bars: list[Bar] = []
        self._figures: npt.NDArray[np.float64] = np.full((len(_FIGURES), ROOM), np.nan)
        self._ts_ns: npt.NDArray[np.int64] = np.zeros(ROOM, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._bars)

    def __getitem__(self, place: int) -> Bar:
        return self._bars[place]

    @property
    def opens(self) -> Series:
        """Return the opens."""
        return self._shown(0)

    @property
    def highs(self) -> Series:
        """Return the highs."""
        return self._shown(1)

    @property
    def lows(self) -> Series:
        """Return the lows."""
        return self._shown(2)

    @property
    def closes(self) -> Series:
        """Return the closes."""
        return self._shown(3)

    @property
    def volumes(self) -> Series:
        """Return the volumes."""
        return self._shown(4)

    @property
    def ts_ns(self) -> npt.NDArray[np.int64]:
        """Return the bars' starts."""
        shown: npt.NDArray[np.int64] = _read_only(self._ts_ns[: len(self)])
        return shown

    def add(self, bar: Bar) -> None:
        """Take the next bar."""
        place = len(self._bars)
        if place == len(self._ts_ns):
            self._ts_ns = np.concatenate((self._ts_ns, np.zeros(place, dtype=np.int64)))
            self._figures = np.concatenate((self._figures, np.full((len(_FIGURES), place), np.nan)), axis=1)
        self._bars.append(bar)
        self._ts_ns[place] = bar.ts_ns
        self._figures[:, place] = [float(getattr(bar, name)) for name in _FIGURES]

    def _shown(self, row: int) -> Series:
        shown: Series = _read_only(self._figures[row, : len(self)])
        return shown


def _read_only(values: Any) -> Any:
    values.flags.writeable = False
    return values
