"""Which quote prevailed when something traded: the as-of join of two series sorted by time.

    quotes     q0        q1   q2            q3
    trades          t0        t1     t2                  t0 met q0; t1 met q2 or, strictly before, q1; t2 met q2

Invariant: no trade meets a quote of a later instant. Of several quotes of one instant the last one counts, and a quote
older than ``QUOTE_AGE_MAX_NS`` prevails no more, so that the answer does not depend on how far back somebody looked.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qsuite.domain.market import Quote, Trade
from qsuite.domain.times import DAY_NS

QUOTE_AGE_MAX_NS = 7 * DAY_NS


class QuotedTrade(NamedTuple):
    """A trade and the quote it met; None where there was none."""

    trade: Trade
    quote: Quote | None


def join_quotes(trades: Sequence[Trade], quotes: Sequence[Quote], *, strictly: bool) -> list[QuotedTrade]:
    """Give each trade its prevailing quote: the last one at its instant or earlier, or ``strictly`` earlier.

    Both are sorted by time, oldest first.
    """
    places = prevailing(_times(trades), _times(quotes), strictly=strictly)
    found = [None if place < 0 else quotes[place] for place in places.tolist()]
    return [QuotedTrade(trade, quote) for trade, quote in zip(trades, found, strict=True)]


def prevailing(
    trades_ns: npt.NDArray[np.int64], quotes_ns: npt.NDArray[np.int64], *, strictly: bool
) -> npt.NDArray[np.int64]:
    """Return the place of each trade's quote, −1 where none prevails."""
    places = np.searchsorted(quotes_ns, trades_ns, side="left" if strictly else "right") - 1
    if quotes_ns.size:
        # Place −1 looks at the last quote here; it stays −1 whatever that one's age.
        places[trades_ns - quotes_ns[places] > QUOTE_AGE_MAX_NS] = -1
    return places.astype(np.int64, copy=False)


def _times(ticks: Sequence[Trade] | Sequence[Quote]) -> npt.NDArray[np.int64]:
    return np.fromiter((tick.ts_ns for tick in ticks), np.int64, len(ticks))
