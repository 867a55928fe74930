"""Bars from ticks and from bars, on figures worked out by hand."""

from decimal import Decimal

import pytest

from qsuite.domain.bars import BarBuilder, build_bars, resample
from qsuite.domain.market import Bar, Quote, Trade
from qsuite.domain.statistics import BarStatistics, describe_bars
from qsuite.domain.times import NS_PER_S

D = Decimal
MINUTE = 60 * NS_PER_S


def trade(second: float, price: str, size: str = "1", seq: int = 0) -> Trade:
    return Trade("IBM", int(second * NS_PER_S), D(price), D(size), seq)


def quote(second: float, bid: str | None, ask: str | None) -> Quote:
    return Quote("IBM", int(second * NS_PER_S), D(bid) if bid else None, D(ask) if ask else None)


def bar(minute: int, ohlc: str, volume: str = "10", **more: object) -> Bar:
    open_, high, low, close = map(D, ohlc.split())
    return Bar("IBM", "1m", minute * MINUTE, open_, high, low, close, D(volume))._replace(**more)


def test_a_bar_has_first_highest_lowest_last_and_the_exact_sum() -> None:
    ticks = [trade(0, "10.1", "0.1"), trade(20, "10.3", "0.2"), trade(40, "9.9", "0.3"), trade(59.9, "10.0", "0.4")]
    (built,) = build_bars(ticks, "IBM", "1m")
    # (1.01 + 2.06 + 2.97 + 4.00) / 1.0
    assert built == Bar("IBM", "1m", 0, D("10.1"), D("10.3"), D("9.9"), D("10.0"), D("1.0"), D("10.04"), 4)


def test_a_tick_on_the_boundary_belongs_to_the_next_bar() -> None:
    first, second = build_bars([trade(59.999, "1"), trade(60, "2")], "IBM", "1m")
    assert (first.ts_ns, first.close, second.ts_ns, second.open) == (0, D(1), MINUTE, D(2))


def test_an_interval_without_ticks_has_no_bar() -> None:
    assert [b.ts_ns for b in build_bars([trade(1, "1"), trade(601, "1")], "IBM", "1m")] == [0, 10 * MINUTE]


def test_the_partial_bar_is_not_final_and_the_completed_one_is() -> None:
    builder = BarBuilder("IBM", "1m")
    assert builder.partial is None
    assert builder.add(trade(1, "5")) is None
    partial = builder.partial
    assert partial is not None
    assert not partial.final
    completed = builder.add(trade(61, "6"))
    assert completed == partial._replace(final=True)


def test_time_alone_completes_a_bar() -> None:
    builder = BarBuilder("IBM", "1m")
    builder.add(trade(1, "5"))
    assert builder.advance(MINUTE - 1) is None
    completed = builder.advance(MINUTE)
    assert completed is not None
    assert completed.close == D(5)
    assert builder.advance(2 * MINUTE) is None


def test_a_tick_for_a_completed_bar_is_counted_and_changes_nothing() -> None:
    builder = BarBuilder("IBM", "1m")
    builder.add(trade(1, "5"))
    builder.add(trade(61, "6"))
    assert builder.add(trade(2, "999")) is None
    assert builder.late == 1
    partial = builder.partial
    assert partial is not None
    assert (partial.high, partial.volume) == (D(6), D(1))


def test_a_tick_after_time_completed_its_bar_is_late() -> None:
    builder = BarBuilder("IBM", "1m")
    builder.add(trade(1, "5"))
    builder.advance(MINUTE)
    assert builder.add(trade(59, "6")) is None
    assert (builder.late, builder.partial) == (1, None)


def test_within_the_open_bar_arrival_order_does_not_matter() -> None:
    in_order = [trade(1, "5"), trade(2, "7"), trade(2, "6", seq=1), trade(3, "4")]
    shuffled = [in_order[2], in_order[3], in_order[0], in_order[1]]
    assert list(build_bars(shuffled, "IBM", "1m")) == list(build_bars(in_order, "IBM", "1m"))


def test_ticks_of_one_instant_without_numbers_go_by_arrival() -> None:
    (built,) = build_bars([trade(1, "5"), trade(1, "7"), trade(1, "6")], "IBM", "1m")
    assert (built.open, built.close) == (D(5), D(6))


def test_bars_of_quotes_take_the_chosen_side_and_pass_over_what_lacks_it() -> None:
    quotes = [quote(1, "9.98", "10.02"), quote(2, None, "10.10"), quote(3, "9.97", "10.01")]
    (bids,) = build_bars(quotes, "IBM", "1m", side="bid")
    (asks,) = build_bars(quotes, "IBM", "1m", side="ask")
    (mids,) = build_bars(quotes, "IBM", "1m", side="mid")
    assert (bids.open, bids.high, bids.low, bids.close) == (D("9.98"), D("9.98"), D("9.97"), D("9.97"))
    assert (asks.high, asks.close) == (D("10.10"), D("10.01"))
    assert (mids.open, mids.close) == (D("10"), D("9.99"))
    assert (bids.volume, bids.vwap, bids.trades) == (D(0), None, None)


def test_trades_make_no_bars_of_quotes_and_quotes_none_of_trades() -> None:
    assert list(build_bars([quote(1, "1", "2")], "IBM", "1m")) == []
    assert list(build_bars([trade(1, "1")], "IBM", "1m", side="mid")) == []


def test_five_minutes_are_first_highest_lowest_last_and_sum_of_their_minutes() -> None:
    minutes = [
        bar(0, "10 12 9 11", "1.5", vwap=D(10), trades=2),
        bar(3, "11 11 8 8", "0.5", vwap=D(9), trades=1, adjusted_close=D(4)),
        bar(5, "8 20 8 20", "1", vwap=D(15), trades=1),
    ]
    first, second = resample(minutes, "5m")
    # vwap: (10 x 1.5 + 9 x 0.5) / 2.0
    assert first == Bar("IBM", "5m", 0, D(10), D(12), D(8), D(8), D("2.0"), D("9.75"), 3, D(4))
    assert (second.ts_ns, second.high) == (5 * MINUTE, D(20))


def test_a_larger_bar_does_not_know_what_one_of_its_parts_does_not() -> None:
    (larger,) = resample([bar(0, "1 1 1 1", vwap=D(1), trades=1), bar(1, "1 1 1 1")], "5m")
    assert (larger.vwap, larger.trades) == (None, None)


def test_a_larger_bar_is_final_when_its_parts_are_and_its_interval_has_ended() -> None:
    parts = [bar(0, "1 1 1 1"), bar(1, "1 1 1 1")]
    assert [b.final for b in resample(parts, "5m")] == [True]
    assert [b.final for b in resample(parts, "5m", now_ns=5 * MINUTE - 1)] == [False]
    assert [b.final for b in resample(parts, "5m", now_ns=5 * MINUTE)] == [True]
    assert [b.final for b in resample([bar(0, "1 1 1 1", final=False)], "5m")] == [False]


@pytest.mark.parametrize(
    ("parts", "interval", "reason"),
    [
        ([bar(1, "1 1 1 1"), bar(0, "1 1 1 1")], "5m", "oldest first"),
        ([bar(0, "1 1 1 1"), bar(0, "1 1 1 1")], "5m", "each once"),
        ([bar(0, "1 1 1 1"), bar(1, "1 1 1 1", symbol="SPY")], "5m", "several symbols"),
        ([bar(0, "1 1 1 1")], "30s", "do not make up"),
    ],
)
def test_bars_that_do_not_belong_together_are_refused(parts: list[Bar], interval: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(resample(parts, interval))


def test_statistics_are_exact_sums_and_one_rounded_quotient() -> None:
    described = describe_bars([bar(2, "3 9 3 4", "0.1"), bar(0, "1 2 0.5 1", "0.2"), bar(1, "1 2 1 2", "0.4")])
    assert described.record_count == 3
    assert (described.first_ns, described.last_ns, described.last_close) == (0, 2 * MINUTE, D(4))
    assert described.avg_close == D("2.333333333333333333333333333333333")
    assert (described.max_high, described.min_low) == (D(9), D("0.5"))
    assert described.total_volume == D("0.7")


def test_no_bars_have_no_statistics() -> None:
    assert describe_bars([]) == BarStatistics()
