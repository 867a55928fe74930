"""What the fills of many sets add up to: round trips, time in the market, value, commission, slippage.

Nothing of it decides an order, so it is reckoned once for all fills of a block, not step by step. The words are those
of ``domain.performance``. Invariant: a round trip's sum is of its own fills alone, so that one that came out even
does.
"""

from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Flags, Instants, Series
from qsuite.domain.backtests.swept_orders import Places

EVEN = 1e-9
"""A profit below this part of what was traded is rounding."""


class Done(NamedTuple):
    """Fills, set by set, each set's in order: signed lots, the size of a lot, and money."""

    sets: Places
    columns: Places
    periods: Instants
    lots: Series
    lot: Series
    price: Series
    shown: Series
    commission: Series


class Tallies(NamedTuple):
    """One place a set; ``lost`` is above zero."""

    value: Series
    commission: Series
    slippage: Series
    trips: Places
    wins: Places
    gained: Series
    lost: Series
    bars_held: Places


def tally(done: Done, sets: int, bars: int) -> Tallies:
    """Add up the fills of so many sets over so many bars."""
    signed = done.lots * done.lot
    before, after, profits, owners = _trips(done, signed)
    return Tallies(
        value=_sums(done.sets, np.abs(signed) * done.price, sets),
        commission=_sums(done.sets, done.commission, sets),
        slippage=_sums(done.sets, signed * (done.price - done.shown), sets),
        trips=np.bincount(owners, minlength=sets),
        wins=np.bincount(owners[profits > 0.0], minlength=sets),
        gained=_sums(owners, np.maximum(profits, 0.0), sets),
        lost=_sums(owners, np.maximum(-profits, 0.0), sets),
        bars_held=_time_held(done, before != 0.0, after != 0.0, sets, bars),
    )


def _sums(owners: Places, weights: Series, sets: int) -> Series:
    return np.bincount(owners, weights=weights, minlength=sets).astype(np.float64)  # of nothing they are whole numbers


def _trips(done: Done, signed: Series) -> tuple[Series, Series, Series, Places]:
    """Return what was held before and after each fill, and the profits of closed round trips with their sets."""
    order = np.lexsort((np.arange(len(signed)), done.columns, done.sets))
    owners, columns, lots = done.sets[order], done.columns[order], done.lots[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (np.diff(owners) != 0) | (np.diff(columns) != 0)
    after = _within(np.cumsum(lots), lots, first)
    before = after - lots
    turned = before * after < 0.0
    closed = turned | (after == 0.0)
    # The trip each fill closes or adds to; what a turning fill opens belongs to the one after.
    begins = first.copy()
    begins[1:] |= closed[:-1]
    trip = np.cumsum(begins) - 1
    part = np.where(turned, -before / lots, 1.0)
    flow = -signed[order] * done.price[order] - done.commission[order]
    made = np.bincount(trip, weights=flow * part, minlength=len(order) + 1)
    goes_on = turned & ~np.append(first[1:], True)
    made += np.bincount(trip[goes_on] + 1, weights=(flow * (1.0 - part))[goes_on], minlength=len(order) + 1)
    profits, size = made[trip[closed]], np.abs(signed[order] * done.price[order])[closed]
    profits = np.where(np.abs(profits) <= EVEN * np.maximum(1.0, size), 0.0, profits)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return before[back], after[back], profits, owners[closed]


def _within(running: Series, steps: Series, first: Flags) -> Series:
    """Return running sums that begin anew at each first."""
    offsets = (running - steps)[first]
    found: Series = running - offsets[np.cumsum(first) - 1]
    return found


def _time_held(done: Done, was: Flags, holds: Flags, sets: int, bars: int) -> Places:
    """Return in how many bars anything was held for any time, from each opening to the closing of all."""
    steps = holds.astype(np.float64) - was
    first = np.ones(len(steps), dtype=np.bool_)
    first[1:] = np.diff(done.sets) != 0
    still = _within(np.cumsum(steps), steps, first)
    begins, ends = (still > 0.0) & (still - steps == 0.0), (still == 0.0) & (still - steps > 0.0)
    last = np.append(first[1:], True) & (still > 0.0)
    owners = np.concatenate((done.sets[ends], done.sets[last]))
    until = np.concatenate((done.periods[ends], np.full(int(last.sum()), bars - 1)))
    order = np.lexsort((until, owners))
    owners, until, since = owners[order], until[order], done.periods[begins]
    # A position may open in the very bar in which the last one closed.
    again = np.append(False, np.diff(owners) == 0)[: len(owners)]
    since = np.where(again, np.maximum(since, np.append(0, until[:-1] + 1)[: len(until)]), since)
    return np.bincount(owners, weights=until - since + 1, minlength=sets).astype(np.int64)
