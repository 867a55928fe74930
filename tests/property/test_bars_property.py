"""For all ticks: bars say exactly what the ticks said, and a day's path never leaves its day."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.bars import BarBuilder, build_bars, resample
from qsuite.domain.intervals import STANDARD, bucket_end, bucket_start
from qsuite.domain.intraday import intraday_path
from qsuite.domain.market import Bar, Trade
from qsuite.domain.times import NS_PER_S

PRICES = st.integers(1, 10**9).map(lambda units: Decimal(units).scaleb(-4))
SIZES = st.integers(1, 10**12).map(lambda units: Decimal(units).scaleb(-8))
TRADES = st.lists(st.tuples(st.integers(0, 3 * 3600 * NS_PER_S), PRICES, SIZES), min_size=1, max_size=60).map(
    lambda rows: [Trade("X", ts, price, size, seq) for seq, (ts, price, size) in enumerate(sorted(rows))]
)


def naive_bars(trades: list[Trade], width_ns: int) -> dict[int, tuple[Decimal, Decimal, Decimal, Decimal, Fraction]]:
    """Group and summarise the plain way, with fractions instead of contexts."""
    groups: dict[int, list[Trade]] = {}
    for trade in trades:
        groups.setdefault(trade.ts_ns // width_ns * width_ns, []).append(trade)
    return {
        start: (
            group[0].price,
            max(trade.price for trade in group),
            min(trade.price for trade in group),
            group[-1].price,
            sum((Fraction(trade.size) for trade in group), Fraction(0)),
        )
        for start, group in groups.items()
    }


@given(TRADES)
def test_incremental_bars_equal_grouping_everything(trades: list[Trade]) -> None:
    built = {b.ts_ns: (b.open, b.high, b.low, b.close, Fraction(b.volume)) for b in build_bars(trades, "X", "1m")}
    assert built == naive_bars(trades, 60 * NS_PER_S)


@given(TRADES)
def test_a_larger_bar_is_the_same_built_from_ticks_or_from_smaller_bars(trades: list[Trade]) -> None:
    from_ticks = list(build_bars(trades, "X", "1h"))
    from_minutes = list(resample(build_bars(trades, "X", "1m"), "1h"))
    for tick_bar, minute_bar in zip(from_ticks, from_minutes, strict=True):
        # The minutes' vwap are rounded to 34 digits before they are merged.
        assert tick_bar.vwap is not None
        assert minute_bar.vwap is not None
        assert abs(tick_bar.vwap - minute_bar.vwap) <= tick_bar.vwap.scaleb(-30)
        assert tick_bar._replace(vwap=None) == minute_bar._replace(vwap=None)


@given(TRADES, st.randoms(use_true_random=False))
def test_within_one_bar_any_order_of_arrival_gives_the_same_bar(trades: list[Trade], shuffler: object) -> None:
    shuffled = list(trades)
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = BarBuilder("X", "1d"), BarBuilder("X", "1d")
    for trade in trades:
        one.add(trade)
    for trade in shuffled:
        other.add(trade)
    assert one.close() == other.close()


@given(st.integers(-(2**62), 2**62), st.sampled_from(STANDARD), st.integers(-14, 14))
def test_buckets_cover_the_time_line_without_gap_or_overlap(ts_ns: int, interval: str, hours: int) -> None:
    offset_ns = hours * 3600 * NS_PER_S
    start, end = bucket_start(ts_ns, interval, offset_ns), bucket_end(ts_ns, interval, offset_ns)
    assert start <= ts_ns < end
    assert bucket_end(start - 1, interval, offset_ns) == start
    assert bucket_start(end, interval, offset_ns) == end


@settings(max_examples=200)
@given(
    st.tuples(*[st.integers(1, 5000)] * 4),
    st.integers(0, 10**6),
    st.integers(0, 2**64),
    st.integers(4, 120),
)
def test_a_path_keeps_to_its_day(prices: tuple[int, ...], volume: int, seed: int, steps: int) -> None:
    tick = Decimal("0.05")
    open_, one, two, close = (tick * price for price in prices)
    # One and two are any prices, so that days whose open lies outside their range come up as well.
    day = Bar("X", "1d", 0, open_, max(one, two), min(one, two), close, Decimal(volume))
    path = intraday_path(day, seed, steps=steps, tick_size=tick)
    traded = [step.price for step in path.steps]
    assert (traded[0], traded[-1]) == (open_, close)
    assert max(traded) == max(open_, one, two, close)
    assert min(traded) == min(open_, one, two, close)
    assert all(price % tick == 0 for price in traded)
    assert all(step.size >= 1 for step in path.steps)
    assert sum(step.size for step in path.steps) == max(volume, steps)
    offsets = [step.offset_ns for step in path.steps]
    assert offsets == sorted(set(offsets))
    for step in path.steps:
        assert step.price in (step.bid, step.ask)
        assert step.bid is None or 0 < step.bid < step.ask
