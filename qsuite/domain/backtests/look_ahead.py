"""Find a trader that knows what has not happened yet.

The past up to some bar is played twice, with two futures after it: the one that came, and one that went the other way.
Nothing decided up to that bar may differ between the two. The bars to cut at are those on which it decided something,
where a decision made of the next bar shows, and others in between.

It can only find what a trader learns from the bars that it is made with and shown: one that reads prices from
elsewhere reads the same ones in both.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from qsuite.domain.backtests.asks import Ask
from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.run import run
from qsuite.domain.backtests.terms import Finish, Terms
from qsuite.domain.backtests.traders import Trader
from qsuite.domain.market import Bar
from qsuite.domain.money import MONEY

Bars = Mapping[str, Sequence[Bar]]
MakeTrader = Callable[[Bars], Trader]
LOUDER = 3
"""How many times as much is traded in the other future."""
JUMP = Decimal(2)
"""By what factor prices jump there, the other way, so that an average of many bars notices one."""


class Leak(NamedTuple):
    """A trader decided otherwise up to an instant because of what came after it."""

    ts_ns: int
    as_it_came: tuple[Ask, ...]
    otherwise: tuple[Ask, ...]


def look_ahead(terms: Terms, bars: Bars, make: MakeTrader, *, cuts: int = 20) -> Leak | None:
    """Return the first leak found with so many cuts at decisions and so many between, None if there is none.

    ``make`` is called with all the bars there will be, for each future anew.
    """
    terms = replace(terms, finish=Finish.LEAVE)
    starts = sorted({bar.ts_ns for each in bars.values() for bar in each})
    asked = run(terms, of_bars(bars.values()), make(bars)).asked
    # Decided at a bar's end, which is at or before the next one's start.
    places = sorted({bisect_left(starts, ask.decided_at) - 1 for ask in asked})
    for place in sorted({*_some(places, cuts), *_some(range(len(starts) - 1), cuts)}):
        last_ns = starts[place]
        as_it_came = tuple(ask for ask in asked if bisect_left(starts, ask.decided_at) - 1 <= place)
        otherwise = _asked_until(last_ns, terms, bars, make)
        if as_it_came != otherwise:
            return Leak(last_ns, as_it_came, otherwise)
    return None


def other_future(bars: Sequence[Bar], last_ns: int, tick_size: Decimal) -> list[Bar]:
    """Return the bars with those after an instant gone the other way, after a jump that way."""
    past = [bar for bar in bars if bar.ts_ns <= last_ns]
    later = bars[len(past) :]
    if not later:
        return past
    pivot = past[-1].close if past else later[0].open
    jump = 1 / JUMP if later[0].close >= pivot else JUMP

    def mirrored(price: Decimal) -> Decimal:
        steps = MONEY.divide(pivot * pivot * jump / price, tick_size).to_integral_value(ROUND_HALF_EVEN)
        return max(steps, Decimal(1)) * tick_size

    return past + [
        bar._replace(
            open=mirrored(bar.open),
            high=mirrored(bar.low),
            low=mirrored(bar.high),
            close=mirrored(bar.close),
            volume=bar.volume * LOUDER,
        )
        for bar in later
    ]


def _asked_until(last_ns: int, terms: Terms, bars: Bars, make: MakeTrader) -> tuple[Ask, ...]:
    """Return what is asked for up to a bar when what comes after it is another future."""
    turned = {symbol: other_future(each, last_ns, terms.tickers[symbol].tick_size) for symbol, each in bars.items()}
    shown = [[bar for bar in each if bar.ts_ns <= last_ns] for each in bars.values()]
    return run(terms, of_bars(shown), make(turned)).asked


def _some(places: Sequence[int], count: int) -> set[int]:
    """Return up to so many of the places, evenly spread."""
    step = max(1, -(-len(places) // count))
    return set(places[::step])
