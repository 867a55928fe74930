"""A bar as prints: its open, then the way from there over its two extremes to its close.

A bar says that its price passed everywhere between low and high, but not when. So the way is continuous: where an
order rests on it, at a limit or a stop, the market prints exactly there, and the order fills at its own price. Only
what the open is beyond already was jumped over, and fills at the open.

Which extreme comes first is not known either. The careful answer is taken, the one that hurts first: the low while
long, the high while short. While flat with orders to buy resting it is the high, so that what is bought falls before
it can rise; with orders to sell, the low. So where stop and target of a position both lie within a bar, the stop fills.

The volume is a quarter to the open and to each leg of the way, and of a leg half of what is left to each print on it:
an order that may take a part of what is printed takes, over the whole bar, at most that part of the bar's volume. A bar
in which nothing traded fills nothing then; its close is what is held is worth.
"""

from collections.abc import Iterator
from decimal import Decimal

from qsuite.domain.backtests.engine import Engine
from qsuite.domain.intervals import bar_end
from qsuite.domain.market import Bar, Trade
from qsuite.domain.money import ZERO
from qsuite.domain.times import NS_PER_MS
from qsuite.domain.trading.resting import RestingOrders

QUARTER = Decimal("0.25")
HALF = Decimal("0.5")


def open_of(bar: Bar, *, bounded: bool) -> Trade | None:
    """Return a bar's first print, None where nothing traded. Sizes of 0, if not ``bounded``, bound nothing."""
    if bounded and not bar.volume:
        return None
    return Trade(bar.symbol, bar.ts_ns, bar.open, bar.volume * QUARTER if bounded else ZERO)


def walk(engine: Engine, bar: Bar, *, bounded: bool) -> None:
    """Print the rest of a bar whose open was printed, stopping wherever an order rests on the way."""
    last_ns = bar_end(bar.ts_ns, bar.interval) - NS_PER_MS
    untraded = bounded and not bar.volume
    if untraded or not engine.resting(bar.symbol):  # nobody sees the way, so only where it ends counts
        size = bar.volume * QUARTER if bounded else ZERO
        engine.show(Trade(bar.symbol, last_ns, bar.close, size, 1), met=not untraded)
        return
    low_first = falls_first(engine, bar)
    ends = (bar.low, bar.high, bar.close) if low_first else (bar.high, bar.low, bar.close)
    step_ns = (last_ns - bar.ts_ns) // (3 * NS_PER_MS) * NS_PER_MS
    times = (bar.ts_ns + step_ns, bar.ts_ns + 2 * step_ns, last_ns)
    here, number = bar.open, 1
    for end, ts_ns in zip(ends, times, strict=True):
        left = bar.volume * QUARTER if bounded else ZERO
        for price in _stops_on(engine, bar.symbol, here, end):
            left *= HALF
            engine.show(Trade(bar.symbol, ts_ns, price, left, number))
            number += 1
        engine.show(Trade(bar.symbol, ts_ns, end, left, number))
        here, number = end, number + 1


def falls_first(engine: Engine, bar: Bar) -> bool:
    """Say whether the low comes before the high."""
    held = engine.position(bar.symbol).quantity
    if held:
        return held > ZERO
    resting = engine.resting(bar.symbol)
    buys = resting is not None and bool(resting.buys or resting.stop_buys)
    sells = resting is not None and bool(resting.sells or resting.stop_sells)
    if buys == sells:
        return bar.open - bar.low <= bar.high - bar.open  # the nearer one
    return sells


def _stops_on(engine: Engine, symbol: str, here: Decimal, end: Decimal) -> Iterator[Decimal]:
    """Yield the prices strictly between two at which an order rests, one after the other as they are by then."""
    falls = end < here
    while (resting := engine.resting(symbol)) is not None:
        found = _next_stop(resting, here, end, falls=falls)
        if found is None:
            return
        here = found
        yield found


def _next_stop(resting: RestingOrders, here: Decimal, end: Decimal, *, falls: bool) -> Decimal | None:
    if falls:
        prices = [*resting.buys.prices(), *resting.stop_sells.prices()]
        return max((price for price in prices if end < price < here), default=None)
    prices = [*resting.sells.prices(), *resting.stop_buys.prices()]
    return min((price for price in prices if here < price < end), default=None)
