"""What trading costs, over arrays: the schedules of ``trading.commission`` and the slippage of ``trading.paper``.

Floats that stand for decimals: a number within ``NEAR`` of a whole one, relative to its size, is that whole one. So a
quantity that comes out even is not rounded down to the one below.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.series import Series
from qsuite.domain.trading.commission import PER_CENT, Commission, Model

BPS = 10_000.0
NEAR = 1e-13
"""Above what a few thousand operations on doubles leave, far below what cents on a price can differ by."""
NEXT = 1e-14
"""The same for three operations: a price in ticks may truly be as near to a whole number of them as that allows."""

Columns = npt.NDArray[np.int64]


class Charges:
    """The commissions of several symbols, each by its own schedule."""

    def __init__(self, schedules: Sequence[Commission]) -> None:
        self._distinct = list(dict.fromkeys(schedules))
        self._of = np.array([self._distinct.index(each) for each in schedules], dtype=np.int64)
        self.is_linear = all(_is_linear(each) for each in self._distinct)
        """Whether each unit costs the same however many there are."""

    def total(self, columns: Columns, quantity: Series, value: Series) -> Series:
        """Return what orders cost that trade these quantities, worth these values, in these symbols."""
        if len(self._distinct) == 1:
            return _total(self._distinct[0], quantity, value)
        found = np.zeros_like(quantity)
        for number, schedule in enumerate(self._distinct):
            own = self._of[columns] == number
            found[own] = _total(schedule, quantity[own], value[own])
        return found

    def of_one(self, columns: Columns, equity: "Series | float", price: Series) -> Series:
        """Return what a unit's share of the commission is when all the equity buys at a price."""
        quantity = np.maximum(1.0, equity / price)
        return self.total(columns, quantity, quantity * price) / quantity


def slipped(prices: Series, bps: Decimal, tick_size: Decimal, *, buy: bool) -> Series:
    """Move prices against an order and on to the next tick, as ``trading.paper.basis.slipped`` does one."""
    tick, share = float(tick_size), float(bps) / BPS
    steps = prices * (1.0 + share if buy else 1.0 - share) / tick
    whole = -floored(-steps, NEXT) if buy else floored(steps, NEXT)
    exponent = tick_size.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a tick is a finite number"
    moved = np.round(whole * tick, max(0, -exponent))
    return np.where(moved > 0.0, moved, np.minimum(prices, tick))


def floored(values: Series, near: float = NEAR) -> Series:
    """Round down; what is as good as whole stays."""
    nearest = np.rint(values)
    return np.where(np.abs(values - nearest) <= near * np.maximum(1.0, np.abs(values)), nearest, np.floor(values))


def _is_linear(schedule: Commission) -> bool:
    return schedule.model is not Model.TIERED and schedule.minimum is None and schedule.maximum is None


def _total(schedule: Commission, quantity: Series, value: Series) -> Series:
    charge = _bare(schedule, quantity, value)
    if schedule.minimum is not None:
        charge = np.maximum(charge, float(schedule.minimum))
    if schedule.maximum is not None:
        charge = np.minimum(charge, float(schedule.maximum))
    return charge if _is_linear(schedule) else np.where(quantity > 0.0, charge, 0.0)


def _bare(schedule: Commission, quantity: Series, value: Series) -> Series:
    if schedule.model is Model.PER_SHARE:
        return quantity * float(schedule.per_share)
    if schedule.model is Model.PERCENT:
        return value * float(schedule.percent * PER_CENT)
    charge, begin = np.zeros_like(quantity), 0.0
    for up_to, per_share in schedule.tiers:
        end = np.inf if up_to is None else float(up_to)
        charge = charge + np.clip(quantity - begin, 0.0, end - begin) * float(per_share)
        begin = end
    return charge
