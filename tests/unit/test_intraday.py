"""A path inside one day's bar; the properties it keeps for every bar are in tests/property."""

from decimal import Decimal

import pytest

from qsuite.domain.intraday import SESSION_NS, Draws, intraday_path, path_ticks
from qsuite.domain.market import Bar, Quote, Trade

D = Decimal
# AAPL on 2000-03-01 (Quandl WIKI).
DAY = Bar("AAPL", "1d", 951868800 * 10**9, D("118.56"), D("132.06"), D("118.5"), D("130.31"), D(9616100))


def test_the_generator_is_the_published_one() -> None:
    # SplitMix64 from state 0: the first word of the reference implementation is 0xE220A8397B1DCDAF.
    draws = Draws(0)
    draws._state = 0
    assert draws.uniform() == (0xE220A8397B1DCDAF >> 11) / 2**53


def test_a_day_is_walked_from_its_open_to_its_close_through_both_extremes() -> None:
    path = intraday_path(DAY, 7, steps=390, tick_size=D("0.01"), volume_scale=D("0.01"))
    prices = [step.price for step in path.steps]
    assert (prices[0], prices[-1], max(prices), min(prices)) == (DAY.open, DAY.close, DAY.high, DAY.low)
    assert sum(step.size for step in path.steps) == 96161
    assert path.steps[0].offset_ns == 0
    assert path.steps[-1].offset_ns < SESSION_NS
    assert path.notes == []


def test_another_seed_gives_another_path_and_the_same_seed_the_same() -> None:
    first, again, other = (intraday_path(DAY, seed, steps=50, tick_size=D("0.01")) for seed in ("a", "a", "b"))
    assert first == again
    assert first.steps != other.steps


def test_a_day_that_did_not_move_stays_where_it_is() -> None:
    flat = DAY._replace(open=D(5), high=D(5), low=D(5), close=D(5), volume=D(0))
    path = intraday_path(flat, 1, steps=10, tick_size=D("0.01"))
    assert {step.price for step in path.steps} == {D(5)}
    assert [step.size for step in path.steps] == [1] * 10


def test_an_open_below_the_low_widens_the_day_and_says_so() -> None:
    # SPY on 2015-03-05 as Yahoo has it: the open lies below the low.
    wrong = DAY._replace(open=D("209.42"), high=D("210.80"), low=D("209.85"), close=D("210.46"))
    path = intraday_path(wrong, 1, steps=20, tick_size=D("0.01"))
    prices = [step.price for step in path.steps]
    assert (prices[0], min(prices), max(prices)) == (D("209.42"), D("209.42"), D("210.80"))
    assert any("widened" in note for note in path.notes)


def test_prices_off_the_grid_go_to_the_nearest_tick_and_it_says_so() -> None:
    path = intraday_path(DAY._replace(open=D("118.564")), 1, steps=20, tick_size=D("0.01"))
    assert path.steps[0].price == D("118.56")
    assert path.notes == ["prices moved to the nearest multiple of 0.01"]


def test_a_penny_stock_at_one_tick_has_no_bid_below_zero() -> None:
    penny = DAY._replace(open=D("0.01"), high=D("0.02"), low=D("0.01"), close=D("0.01"))
    path = intraday_path(penny, 3, steps=60, tick_size=D("0.01"))
    assert all(step.bid is None or step.bid > 0 for step in path.steps)


def test_each_trade_comes_after_the_quote_it_met() -> None:
    path = intraday_path(DAY, 7, steps=4, tick_size=D("0.01"))
    ticks = path_ticks(path, "AAPL", DAY.ts_ns, lot_size=D(100))
    assert [type(tick) for tick in ticks] == [Quote, Trade] * 4
    assert sorted(ticks, key=lambda tick: (tick.ts_ns, tick.seq)) == ticks
    assert isinstance(ticks[1], Trade)
    assert ticks[1].size == path.steps[0].size * 100


@pytest.mark.parametrize("wrong", [{"steps": 3}, {"steps": 10, "tick_size": D(0)}, {"steps": 10, "session_ns": 9}])
def test_a_path_that_cannot_be_walked_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="at least 4 steps"):
        intraday_path(DAY, 1, **{"tick_size": D("0.01"), **wrong})  # type: ignore[arg-type]


def test_a_price_that_rounds_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="half a tick"):
        intraday_path(DAY._replace(low=D("0.001")), 1, steps=10, tick_size=D("0.01"))
