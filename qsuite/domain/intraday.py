"""A plausible path of trades and quotes inside one real daily bar, for demonstrations and simulated sessions.

Invariant: the first trade is at the open, the last at the close, the high and the low are both traded, nothing trades
outside them, and every price lies on the tick grid. The same bar, seed and options give the same path for ever: the
generator below is plain integer arithmetic, so that no change of a library moves a recorded session.
"""

import hashlib
import itertools
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from qsuite.domain.intervals import HOUR_NS
from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.money import MONEY

# The regular session of the US exchanges: 09:30 to 16:00.
SESSION_NS = 13 * HOUR_NS // 2
MAX_SPREAD_TICKS = 3
STEPS_MIN = 4

_MASK64 = (1 << 64) - 1


class Step(NamedTuple):
    """One trade and the quote it met, ``offset_ns`` after the session's start; sizes count lots."""

    offset_ns: int
    price: Decimal
    size: int
    bid: Decimal | None
    ask: Decimal
    bid_size: int
    ask_size: int


class Path(NamedTuple):
    """The steps of one session in time order, and what had to be changed in the bar (``notes``) to walk it."""

    steps: list[Step]
    notes: list[str]


class Draws:
    """SplitMix64 (Steele, Lea, Flood 2014): the uniform draws of one seed."""

    def __init__(self, seed: int | str) -> None:
        digest = hashlib.blake2b(str(seed).encode("utf-8", "backslashreplace"), digest_size=8).digest()
        self._state = int.from_bytes(digest, "big")

    def uniform(self) -> float:
        """Draw from [0, 1)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK64
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK64
        return ((word ^ (word >> 31)) >> 11) / (1 << 53)

    def between(self, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return low + int(self.uniform() * (high - low + 1))

    def bell(self) -> float:
        """Draw from a bell curve of mean 0 and variance 1 (a sum of twelve uniforms, so bounded by six)."""
        return sum(self.uniform() for _ in range(12)) - 6.0


def intraday_path(
    bar: Bar,
    seed: int | str,
    *,
    steps: int,
    tick_size: Decimal,
    lot_size: Decimal = Decimal(1),
    volume_scale: Decimal = Decimal(1),
    session_ns: int = SESSION_NS,
) -> Path:
    """Walk one daily bar in the given number of steps (at least four).

    The sizes sum to ``volume * volume_scale / lot_size`` rounded to whole lots, or to one lot a step where that is
    more. A bar whose open or close lies outside its range is widened, and prices off the grid go to the nearest tick;
    ``notes`` says so. ValueError for too few steps or a price below half a tick.
    """
    if steps < STEPS_MIN or session_ns < steps or tick_size <= 0 or lot_size <= 0:
        raise ValueError(f"a path takes at least {STEPS_MIN} steps of at least 1 ns, and sizes above zero")
    draws = Draws(seed)
    (first, high, low, last), notes = _grid(bar, tick_size)
    prices = _walk(first, high, low, last, steps, draws)
    lots = MONEY.divide(MONEY.multiply(bar.volume, volume_scale), lot_size).to_integral_value(ROUND_HALF_EVEN)
    sizes = _spread_lots(max(int(lots), steps), steps, draws)
    offsets = [int((index + (draws.uniform() if index else 0.0)) * session_ns / steps) for index in range(steps)]
    return Path([_step(*at, tick_size, draws) for at in zip(offsets, prices, sizes, strict=True)], notes)


def path_ticks(path: Path, symbol: str, start_ns: int, lot_size: Decimal = Decimal(1)) -> list[Tick]:
    """Return the path as the ticks of a session that starts at an instant: each trade after the quote it met."""
    ticks: list[Tick] = []
    for step in path.steps:
        ts_ns = start_ns + step.offset_ns
        bid_size = None if step.bid is None else step.bid_size * lot_size
        ticks.append(Quote(symbol, ts_ns, step.bid, step.ask, bid_size, step.ask_size * lot_size, seq=0))
        ticks.append(Trade(symbol, ts_ns, step.price, step.size * lot_size, seq=1))
    return ticks


def _grid(bar: Bar, tick_size: Decimal) -> tuple[tuple[int, int, int, int], list[str]]:
    prices = (bar.open, bar.high, bar.low, bar.close)
    ticks = [int(MONEY.divide(price, tick_size).to_integral_value(ROUND_HALF_EVEN)) for price in prices]
    notes = []
    if any(MONEY.multiply(count, tick_size) != price for count, price in zip(ticks, prices, strict=True)):
        notes.append(f"prices moved to the nearest multiple of {tick_size}")
    if bar.high < max(prices) or bar.low > min(prices):
        notes.append("range widened: open, close or low above the high, or the reverse")
    if min(ticks) < 1:
        raise ValueError("a price below half a tick cannot be walked")
    return (ticks[0], max(ticks), min(ticks), ticks[3]), notes


def _walk(first: int, high: int, low: int, last: int, steps: int, draws: Draws) -> list[int]:
    """Go from first to last through both extremes, in ticks: noisy bridges between four fixed points."""
    early, late = sorted((draws.between(1, steps - 2), draws.between(1, steps - 3)))
    late += early == late
    # A day that closes up has more often made its low before its high, and the other way round.
    low_first = draws.uniform() < (0.7 if last >= first else 0.3)
    extremes = (low, high) if low_first else (high, low)
    fixed = [(0, first), (early, extremes[0]), (late, extremes[1]), (steps - 1, last)]
    prices = [first]
    noise = (high - low) / 2 / steps**0.5
    for (from_index, start), (to_index, goal) in itertools.pairwise(fixed):
        at = float(start)
        for index in range(from_index + 1, to_index):
            at += (goal - at) / (to_index - index + 1) + noise * draws.bell()
            at = min(max(at, low), high)
            prices.append(round(at))
        prices.append(goal)
    return prices


def _spread_lots(total: int, steps: int, draws: Draws) -> list[int]:
    """Share out lots, one each at least: more at the session's two ends than in its middle, as markets trade."""
    weights = []
    for index in range(steps):
        from_middle = 2 * index / (steps - 1) - 1
        weights.append(int((1 + 2 * from_middle**2) * (0.2 + draws.uniform()) * 1_000_000))
    shared, whole = total - steps, sum(weights)
    sizes = [1 + shared * weight // whole for weight in weights]
    # What rounding down left over goes, a lot each, to the heaviest steps.
    rest = total - sum(sizes)
    for index in sorted(range(steps), key=lambda at: -weights[at])[:rest]:
        sizes[index] += 1
    return sizes


def _step(offset_ns: int, price: int, size: int, tick_size: Decimal, draws: Draws) -> Step:
    spread = draws.between(1, MAX_SPREAD_TICKS)
    sold = draws.uniform() < 0.5
    bid, ask = (price, price + spread) if sold else (price - spread, price)
    return Step(
        offset_ns,
        MONEY.multiply(price, tick_size),
        size,
        MONEY.multiply(bid, tick_size) if bid > 0 else None,
        MONEY.multiply(ask, tick_size),
        size + draws.between(0, 9),
        size + draws.between(0, 9),
    )
