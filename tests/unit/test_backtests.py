"""Backtests: how bars become fills, what orders may do, and that every run adds up."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.backtests.desk import Desk
from qsuite.domain.backtests.feeds import of_bars, of_ticks
from qsuite.domain.backtests.outcome import outcome
from qsuite.domain.backtests.record import thinned
from qsuite.domain.backtests.run import Result, run
from qsuite.domain.backtests.terms import FREE, Finish, Terms, open_limits
from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.domain.trading.commission import Commission, Model
from tests.support.backtests import Does, bar, play, ticker

D = Decimal
FLAT = "100 100 100 100"


def fills(result: Result) -> list[tuple[str, str, str]]:
    return [(fill.side.value, str(fill.quantity), f"{fill.price.normalize():f}") for fill in result.executions]


def after(what: Callable[[Desk], Any], *prices: str, first: str = FLAT, **terms: Any) -> Result:
    """Ask at the first bar, then see what these bars do with it."""
    bars = [bar(number, each) for number, each in enumerate((first, *prices))]
    return play(Does({0: what}), bars, **terms)


# -- when orders act, and where they fill --------------------------------------------------------------------------


def test_an_order_acts_at_the_next_open_and_never_at_the_close_it_was_decided_on() -> None:
    result = after(lambda desk: desk.buy("IBM", 10), "103 110 90 95")
    assert fills(result) == [("BUY", "10", "103")]
    assert result.executions[0].execution_time == bar(1, FLAT).ts_ns


@pytest.mark.parametrize(
    ("asked", "prices", "price"),
    [
        ({"limit": D(95)}, "100 110 90 105", "95"),
        ({"limit": D(95)}, "92 110 90 105", "92"),  # jumped over: where it landed
        ({"limit": D(95)}, "100 110 95 105", "95"),  # touched
        ({"limit": D(95)}, "100 110 96 105", None),
        ({"stop": D(104)}, "100 110 90 105", "104"),
        ({"stop": D(104)}, "107 110 90 105", "107"),
        ({"stop": D(104)}, "100 103 90 101", None),
        ({"stop": D(104), "limit": D(105)}, "100 110 90 101", "104"),
        ({"stop": D(104), "limit": D(105)}, "107 110 106 108", None),
        ({"stop": D(104), "limit": D(105)}, "107 110 90 108", "105"),
    ],
)
def test_a_resting_buy_fills_at_its_price_or_where_the_open_jumped_to(
    asked: dict[str, Any], prices: str, price: str | None
) -> None:
    result = after(lambda desk: desk.buy("IBM", 10, **asked), prices)
    assert fills(result) == ([] if price is None else [("BUY", "10", price)])


def test_a_trailing_stop_follows_the_high_of_the_way_and_sells_below_it() -> None:
    result = after(
        lambda desk: (desk.buy("IBM", 10), desk.sell("IBM", 10, trail_price=D(5), reduce_only=True)),
        "100 104 99 103", "103 112 103 104",
    )  # fmt: skip
    # The low first (99, above 95), then the high of 104 draws the stop to 99; the next high of 112 to 107.
    assert fills(result) == [("BUY", "10", "100"), ("SELL", "10", "107")]


def test_a_stop_trails_from_the_close_it_was_decided_on_so_that_a_gap_meets_it() -> None:
    trail: dict[str, Any] = {"trail_price": D(5), "reduce_only": True}
    asks = {0: lambda desk: desk.buy("IBM", 10), 1: lambda desk: desk.sell("IBM", 10, **trail)}
    result = play(Does(asks), [bar(0, FLAT), bar(1, FLAT), bar(2, "90 93 88 92")])
    assert fills(result) == [("BUY", "10", "100"), ("SELL", "10", "90")]


@pytest.mark.parametrize(
    ("side", "stop_loss", "take_profit", "exit_price"), [("buy", 95, 105, "95"), ("sell", 105, 95, "105")]
)
def test_where_stop_and_target_lie_in_one_bar_the_stop_fills(
    side: str, stop_loss: int, take_profit: int, exit_price: str
) -> None:
    result = after(
        lambda desk: getattr(desk, side)("IBM", 10, stop_loss=D(stop_loss), take_profit=D(take_profit)),
        "100 110 90 100",
    )
    assert [price for _, _, price in fills(result)] == ["100", exit_price]


def test_what_is_bought_within_a_bar_falls_before_it_rises() -> None:
    result = after(
        lambda desk: desk.buy("IBM", 10, stop=D(104), stop_loss=D(101), take_profit=D(109)), "103 110 100 108"
    )
    # Up to 110, past the entry at 104 and the target behind it, would be the happy way: the target is met there.
    assert fills(result) == [("BUY", "10", "104"), ("SELL", "10", "109")]
    result = after(lambda desk: desk.buy("IBM", 10, limit=D(98), stop_loss=D(94), take_profit=D(105)), "100 110 90 92")
    # The high came first, while flat: what was bought on the way down meets its stop, and no target.
    assert fills(result) == [("BUY", "10", "98"), ("SELL", "10", "94")]


def test_a_gap_beyond_a_protective_stop_fills_at_the_open() -> None:
    result = after(lambda desk: desk.buy("IBM", 10, stop_loss=D(95)), "100 101 99 100", "90 93 88 92")
    assert fills(result) == [("BUY", "10", "100"), ("SELL", "10", "90")]


def test_an_entry_below_its_own_stop_is_stopped_at_once() -> None:
    result = after(lambda desk: desk.buy("IBM", 10, stop_loss=D(95)), "90 93 88 92")
    assert fills(result) == [("BUY", "10", "90"), ("SELL", "10", "90")]


def test_a_stop_that_the_close_has_passed_waits_for_the_open_to_say_so_too() -> None:
    asks = {0: lambda desk: desk.buy("IBM", 10), 1: lambda desk: desk.sell("IBM", 10, stop=D(98), reduce_only=True)}
    fell = [bar(number, each) for number, each in enumerate((FLAT, "100 100 97 97", "96 99 95 99"))]
    assert fills(play(Does(asks), fell))[1] == ("SELL", "10", "96")
    rose = [*fell[:2], bar(2, "99 99.5 97.5 99")]
    assert fills(play(Does(asks), rose))[1] == ("SELL", "10", "98")


def test_cancelled_orders_do_not_trade() -> None:
    asks = {0: lambda desk: desk.buy("IBM", 10, limit=D(95), tag="entry"), 1: lambda desk: desk.cancel(tag="entry")}
    assert not fills(play(Does(asks), [bar(0, FLAT), bar(1, "100 101 99 100"), bar(2, "90 95 85 90")]))

    def think_again(desk: Desk) -> None:
        desk.cancel(desk.buy("IBM", 10))

    assert not fills(after(think_again, FLAT))


def test_close_takes_the_protecting_orders_with_it() -> None:
    asks = {0: lambda desk: desk.buy("IBM", 10, stop_loss=D(50)), 1: lambda desk: desk.close("IBM")}
    result = play(Does(asks), [bar(number, FLAT) for number in range(4)], limits=open_limits())
    assert fills(result) == [("BUY", "10", "100"), ("SELL", "10", "100")]
    assert not result.refused


@pytest.mark.parametrize(
    ("finish", "price"), [(Finish.LEAVE, None), (Finish.LAST_OPEN, "110"), (Finish.LAST_CLOSE, "120")]
)
def test_what_is_open_at_the_end_is_left_or_closed(finish: Finish, price: str | None) -> None:
    result = after(lambda desk: desk.buy("IBM", 10, stop_loss=D(50)), FLAT, "110 130 90 120", finish=finish)
    assert [each for _, _, each in fills(result)] == ["100", *([price] if price else [])]
    assert bool(result.positions) == (price is None)
    assert result.marks[-1].equity == 10_000 + 10 * (D(price or 120) - 100)


# -- what it costs, and how much can be had ------------------------------------------------------------------------


def test_costs_are_commission_and_slippage() -> None:
    half_percent = Commission(model=Model.PERCENT, percent=D("0.5"))
    asks = {0: lambda desk: desk.buy("IBM", 10), 1: lambda desk: desk.close("IBM")}
    result = play(
        Does(asks), [bar(number, FLAT) for number in range(3)], commission=half_percent, slippage_bps=(D(20), D(20))
    )
    assert fills(result) == [("BUY", "10", "100.2"), ("SELL", "10", "99.8")]
    # 0.5 % of 1,002 and of 998; twice 0.2 on ten.
    assert outcome(result, "1d").figures.costs == D("10.00") + 4
    assert result.marks[-1].equity == D(10_000) - 4 - 10


def test_all_the_equity_buys_what_it_can_pay_for_with_costs() -> None:
    result = after(
        lambda desk: desk.buy("IBM", fraction=1), "70 75 65 70",
        commission=Commission(model=Model.PER_SHARE, per_share=D("0.1"), minimum=D(1)), slippage_bps=(D(10), D(10)),
    )  # fmt: skip
    # 70.07 and 0.1 a share: 142 cost 9,964.14, and 143 would 10,034.31.
    assert fills(result) == [("BUY", "142", "70.07")]
    assert not result.refused


def test_an_order_takes_at_most_its_part_of_what_a_bar_traded() -> None:
    bars = [bar(number, FLAT, volume=400) for number in range(4)]
    result = play(Does({0: lambda desk: desk.buy("IBM", 90)}), bars, participation=D("0.1"))
    by_bar = [
        sum(fill.quantity for fill in result.executions if each.ts_ns <= fill.execution_time < each.ts_ns + DAY_NS)
        for each in bars
    ]
    assert by_bar == [0, 40, 40, 10]


def test_what_a_bar_traded_is_shared_among_its_prints() -> None:
    bars = [bar(0, FLAT), bar(1, "100 101 95 100", volume=400)]
    result = play(Does({0: lambda desk: desk.buy("IBM", 90_000, limit=D(98))}), bars, participation=D(1), cash=D(10**7))
    # A quarter on the way down: half of it where the order waits, the rest at the low.
    assert fills(result) == [("BUY", "50", "98"), ("BUY", "50", "95")]


def test_a_bar_without_volume_fills_nothing_where_volume_counts() -> None:
    bars = [bar(0, FLAT), bar(1, "101 120 80 101", volume=0), bar(2, "102 102 102 102", volume=4_000)]
    ask = {0: lambda desk: desk.buy("IBM", 10), 1: lambda desk: desk.buy("IBM", 1, limit=D(90))}
    assert fills(play(Does(ask), bars, participation=D(1))) == [("BUY", "10", "102")]
    assert fills(play(Does(ask), bars)) == [("BUY", "10", "101")]
    held = [bar(0, FLAT, volume=4_000), *bars]
    for number, each in enumerate(held):
        held[number] = each._replace(ts_ns=bar(number, FLAT).ts_ns)
    marks = play(Does(ask), held, participation=D(1)).marks
    assert [mark.equity - 10_000 for mark in marks] == [0, 0, 10, 20]  # worth its close, traded or not


def test_the_seed_draws_the_slippage() -> None:
    def prices(seed: int) -> list[str]:
        asks = {place: lambda desk: desk.buy("IBM", 1) for place in range(20)}
        bars = [bar(number, FLAT) for number in range(21)]
        return [price for *_, price in fills(play(Does(asks), bars, seed=seed, slippage_bps=(D(0), D(100))))]

    assert prices(1) == prices(1)
    assert prices(1) != prices(2)
    assert len(set(prices(1))) > 10


# -- what may not be done ------------------------------------------------------------------------------------------


def test_the_controls_refuse_as_they_do_live() -> None:
    result = after(lambda desk: (desk.sell("IBM", 10), desk.buy("IBM", 101)), FLAT, limits=open_limits())
    assert [(each.code, each.side, each.quantity) for each in result.refused] == [
        ("risk.short_sale", "SELL", 10),
        ("risk.buying_power", "BUY", 101),
    ]
    small = replace(open_limits(), max_quantity=D(10))
    result = after(lambda desk: desk.buy("IBM", 11, tag="large"), FLAT, limits=small)
    assert [(each.code, each.tag) for each in result.refused] == [("risk.max_quantity", "large")]


def test_periods_that_overlap_are_refused() -> None:
    for bars in ([bar(1, FLAT), bar(0, FLAT)], [bar(0, FLAT), bar(0, FLAT)]):
        with pytest.raises(ValueError, match="begin"):
            play(Does({}), bars)
    shifted = bar(0, FLAT, symbol="MSFT")._replace(ts_ns=bar(0, FLAT).ts_ns + 3_600 * NS_PER_S)
    with pytest.raises(ValueError, match="begins before"):
        play(Does({}), [bar(0, FLAT)], [shifted])


# -- portfolios ----------------------------------------------------------------------------------------------------


def test_what_one_symbol_brings_pays_for_another_at_the_same_open() -> None:
    one = [bar(number, FLAT) for number in range(4)]
    other = [bar(number, "50 50 50 50", symbol="MSFT") for number in range(4)]

    def switch(desk: Desk) -> None:
        desk.close("IBM")
        desk.buy("MSFT", fraction=1)

    result = play(Does({0: lambda desk: desk.buy("IBM", fraction=1), 1: switch}), one, other)
    assert fills(result) == [("BUY", "100", "100"), ("SELL", "100", "100"), ("BUY", "200", "50")]
    assert [position.symbol for position in result.positions] == ["MSFT"]
    assert result.marks[-1].equity == 10_000


def test_a_symbol_without_a_bar_waits_for_its_next() -> None:
    one = [bar(number, FLAT) for number in range(4)]
    other = [bar(number, f"{50 + number} 60 40 50", symbol="MSFT") for number in (0, 3)]
    result = play(Does({0: lambda desk: desk.buy("MSFT", 10)}), one, other)
    assert fills(result) == [("BUY", "10", "53")]


def test_the_benchmark_holds_equal_shares() -> None:
    one = [bar(0, FLAT), bar(1, "100 130 100 130")]
    other = [bar(0, "50 50 50 50", symbol="MSFT"), bar(1, "50 50 45 45", symbol="MSFT")]
    assert outcome(play(Does({}), one, other), "1d").figures.benchmark_return == pytest.approx((0.3 - 0.1) / 2)


# -- ticks ---------------------------------------------------------------------------------------------------------


def test_ticks_are_met_as_they_are_and_bars_close_between_them() -> None:
    def trade(second: float, price: str) -> Trade:
        return Trade("IBM", int(second * NS_PER_S), D(price), D(100), seq=int(second * 10))

    ticks: list[Tick] = [
        trade(1, "100"), trade(30, "101"),
        Quote("IBM", 61 * NS_PER_S, D("100.4"), D("100.6"), D(50), D(50)), trade(62, "100.5"),
        trade(130, "99"),
    ]  # fmt: skip
    seen: list[tuple[int, str]] = []

    class Buys:
        def on_bar(self, desk: Desk) -> None:
            seen.append((desk.now, str(desk.bars("IBM")[-1].close)))
            desk.buy("IBM", 10) if len(seen) == 1 else None

    terms = Terms(cash=D(10_000), tickers={"IBM": ticker("IBM")}, commission=FREE)
    result = run(terms, of_ticks(ticks, "1m"), Buys())
    # The quote is the minute's first tick: its ask is what the order meets.
    assert fills(result) == [("BUY", "10", "100.6")]
    assert seen == [(60 * NS_PER_S, "101"), (120 * NS_PER_S, "100.5"), (180 * NS_PER_S, "99")]


def test_bars_of_a_feed_come_by_time_whatever_their_order() -> None:
    bars = [bar(number, FLAT, symbol=symbol) for symbol in ("B", "A") for number in range(3)]
    periods = list(of_bars([bars[:3], bars[3:]]))
    assert [[each.symbol for each in period.bars] for period in periods] == [["B", "A"]] * 3
    assert [period.start_ns for period in periods] == [each.ts_ns for each in bars[:3]]
    assert isinstance(periods[0].bars[0], Bar)


# -- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "most"), [(0, 5), (1, 5), (5, 5), (6, 5), (11, 5), (5_001, 5_000), (100_000, 5_000)])
def test_a_long_curve_keeps_its_ends_and_no_more_points_than_there_is_room_for(count: int, most: int) -> None:
    kept = thinned(range(count), most)
    assert len(kept) <= most
    assert kept == tuple(range(count)) if count <= most else (kept[0], kept[-1]) == (0, count - 1)
    assert list(kept) == sorted(set(kept))


def test_a_market_order_may_take_all_the_money_where_nothing_moves_before_it_fills() -> None:
    whole = after(lambda desk: desk.buy("IBM", 100), FLAT)
    assert fills(whole) == [("BUY", "100", "100")]
    collared = replace(open_limits(), price_collar=D("0.05"))
    refused = after(lambda desk: desk.buy("IBM", 100), FLAT, limits=collared).refused
    assert [each.code for each in refused] == ["risk.buying_power"]
    # Asked for by its part of the equity, the collar is reckoned with: 10,000 / 105.
    assert fills(after(lambda desk: desk.buy("IBM", fraction=1), FLAT, limits=collared)) == [("BUY", "95", "100")]


def test_limits_of_the_day_hold_as_they_do_live() -> None:
    asks = {0: lambda desk: desk.buy("IBM", 50), 2: lambda desk: desk.buy("IBM", 1)}
    bars = [bar(0, FLAT), bar(1, FLAT), bar(2, "100 100 90 90"), bar(3, "90 90 90 90"), bar(4, "90 90 90 90")]
    strict = replace(open_limits(), daily_loss=D("0.02"))
    assert [each.code for each in play(Does(asks), bars, limits=strict).refused] == ["risk.reducing"]
    assert not play(Does(asks), bars).refused
