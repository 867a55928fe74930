"""The made-up market against the theory of its model, at fixed seeds: the draws are the same on every machine."""

import hashlib
import statistics
from decimal import Decimal

import pytest

from qsuite.domain.feeds.synthetic import LOWEST_TICKS, MarketModel, Step, SyntheticMarket, SyntheticTicks
from qsuite.domain.market import Quote, Tick, Trade

D = Decimal
CALM = MarketModel(volatility=1e-4, jump_rate=0.0, jump_size=0.0, alpha=0.15, beta=0.5)
LIVE = MarketModel(volatility=1e-4, jump_rate=0.002, jump_size=3e-3)
STEPS = 40_000
SHOCK_KURTOSIS = 2.9  # of a sum of twelve uniforms: 3 - 1.2/12


def walked(model: MarketModel, seed: str, steps: int = STEPS) -> list[Step]:
    market = SyntheticMarket(model, seed, 10_000)
    return [market.step() for _ in range(steps)]


def ticks_of(seed: str, until_ns: int = 10**9, tick_size: str = "0.01") -> list[Tick]:
    market = SyntheticMarket(LIVE, seed, 10_000)
    ticks = SyntheticTicks("A", market, seed, tick_size=D(tick_size), lot_size=D(1), gap_ns=1_000_000)
    return ticks.until(until_ns, 10_000)


def moment(values: list[float], power: int) -> float:
    return statistics.fmean(value**power for value in values)


def autocorrelation(values: list[float], lag: int) -> float:
    mean = statistics.fmean(values)
    from_mean = [value - mean for value in values]
    pairs = zip(from_mean, from_mean[lag:], strict=False)
    return sum(one * other for one, other in pairs) / sum(value * value for value in from_mean)


@pytest.fixture(scope="module")
def calm() -> list[float]:
    return [step.shock for step in walked(CALM, "calm")]


@pytest.fixture(scope="module")
def live() -> list[Step]:
    return walked(LIVE, "live")


def test_returns_have_the_configured_deviation_and_no_drift(calm: list[float]) -> None:
    deviation = statistics.pstdev(calm)
    assert deviation == pytest.approx(CALM.volatility, rel=0.02)
    assert abs(statistics.fmean(calm)) < 3 * deviation / STEPS**0.5


def test_their_tails_are_as_fat_as_a_garch_process_has_them(calm: list[float]) -> None:
    # Bollerslev 1986, for shocks of any kurtosis k: k (1 - (a+b)^2) / (1 - (a+b)^2 - (k-1) a^2).
    a, b, k = CALM.alpha, CALM.beta, SHOCK_KURTOSIS
    expected = k * (1 - (a + b) ** 2) / (1 - (a + b) ** 2 - (k - 1) * a * a)
    assert expected == pytest.approx(3.132, abs=0.001)
    assert moment(calm, 4) / moment(calm, 2) ** 2 == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_large_moves_follow_large_moves_as_far_as_theory_says(calm: list[float], lag: int) -> None:
    # The autocorrelation of squares: a (1 - ab - b^2) / (1 - 2ab - b^2), then falling by a+b a step.
    a, b = CALM.alpha, CALM.beta
    expected = a * (1 - a * b - b * b) / (1 - 2 * a * b - b * b) * (a + b) ** (lag - 1)
    squares = [value * value for value in calm]
    assert autocorrelation(squares, lag) == pytest.approx(expected, abs=4 / STEPS**0.5)
    assert abs(autocorrelation(calm, lag)) < 4 / STEPS**0.5


def test_the_market_that_ships_has_fat_tails_and_long_clusters(live: list[Step]) -> None:
    shocks = [step.shock for step in live]
    assert moment(shocks, 4) / moment(shocks, 2) ** 2 > 3.5
    assert autocorrelation([shock * shock for shock in shocks], 20) > 0.05


def test_jumps_come_as_often_and_as_far_as_configured(live: list[Step]) -> None:
    jumps = [step.jump for step in live if step.jump]
    # Binomial: 80 are expected, and within three standard deviations of that 99.7 % of all seeds lie.
    expected = STEPS * LIVE.jump_rate
    assert abs(len(jumps) - expected) < 3 * (expected * (1 - LIVE.jump_rate)) ** 0.5
    assert statistics.pstdev(jumps) == pytest.approx(LIVE.jump_size, rel=0.25)
    assert not any(step.jump for step in walked(CALM, "no jumps", 1_000))


def test_every_trade_lies_inside_its_quote_and_finds_its_size_there(live: list[Step]) -> None:
    for step in live:
        assert 0 < step.bid <= step.price <= step.ask
        assert step.bid < step.ask
        assert 0 < step.lots <= min(step.bid_lots, step.ask_lots)
    assert any(step.bid < step.price < step.ask for step in live)


def test_the_spread_is_wider_while_the_market_is_wild(live: list[Step]) -> None:
    by_size = sorted(live[1:], key=lambda step: abs(step.shock))
    quiet, wild = by_size[:4_000], by_size[-4_000:]
    spread = [statistics.fmean(step.ask - step.bid for step in part) for part in (quiet, wild)]
    assert spread[1] > spread[0] * 1.1


def test_a_price_near_nothing_stays_above_nothing() -> None:
    market = SyntheticMarket(MarketModel(volatility=0.01, jump_rate=0.5, jump_size=0.5), "crash", 1)
    assert min(market.step().bid for _ in range(2_000)) > 0
    assert LOWEST_TICKS > 6  # half the widest spread


def test_a_market_without_volatility_stands_still() -> None:
    still = walked(MarketModel(volatility=0.0, jump_rate=0.0, jump_size=0.0), "still", 100)
    assert {step.shock for step in still} == {0.0}
    assert all(9_997 <= step.bid < step.ask <= 10_003 for step in still)


def test_ticks_lie_on_the_grid_in_the_order_of_time_each_quote_before_its_trade() -> None:
    ticks = ticks_of("grid", tick_size="0.05")
    assert len(ticks) == 2_000
    assert [tick.ts_ns for tick in ticks] == sorted(tick.ts_ns for tick in ticks)
    for quote, trade in zip(ticks[::2], ticks[1::2], strict=True):
        assert isinstance(quote, Quote)
        assert isinstance(trade, Trade)
        assert quote.ts_ns == trade.ts_ns
        assert quote.bid is not None
        assert quote.ask is not None
        assert quote.bid <= trade.price <= quote.ask
        assert all(price % D("0.05") == 0 for price in (quote.bid, quote.ask, trade.price))


def test_the_same_seed_gives_the_same_ticks_however_they_are_asked_for() -> None:
    whole = ticks_of("one")
    market = SyntheticMarket(LIVE, "one", 10_000)
    pieces = SyntheticTicks("A", market, "one", tick_size=D("0.01"), lot_size=D(1), gap_ns=1_000_000)
    in_parts = [tick for elapsed in range(0, 10**9 + 1, 7_812_500) for tick in pieces.until(elapsed, 10_000)]
    assert in_parts == whole
    assert ticks_of("two") != whole


def test_a_seed_gives_the_market_it_always_gave() -> None:
    digest = hashlib.sha256(repr(ticks_of("20261121")).encode()).hexdigest()
    assert digest[:16] == "c89942c89770e8f0"
