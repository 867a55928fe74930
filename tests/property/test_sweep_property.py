"""Whatever is swept, on whatever terms, comes to what the event-driven run makes of it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.backtests.terms import FREE, Finish
from qsuite.domain.market import Bar
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.commission import Commission, Model
from tests.support.sweeps import A_CENT_AT_LEAST_ONE, TENTH_OF_A_PERCENT, TIERS, assert_the_same, terms_for

D = Decimal
STEPS = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 9).map(bool)), min_size=12, max_size=50
)
"""By how many ticks a day opens above the close before, and closes above its open; whether there is a bar at all."""
RULES = st.sampled_from(
    [
        ("sma_cross", {"fast": 2, "slow": 5}),
        ("mean_reversion", {"length": 3, "band_percent": 0.5}),
        ("rsi_reversal", {"length": 3, "low": 40.0, "high": 60.0}),
        ("breakout", {"length": 3}),
    ]
)
SIZES = st.one_of(
    st.just({}),
    st.sampled_from([1, 7, 300]).map(lambda units: {"quantity": D(units)}),
    st.sampled_from([500, 9_999]).map(lambda value: {"order_value": D(value)}),
    st.sampled_from(["1", "0.5", "0.3333"]).map(lambda part: {"equity_fraction": D(part)}),
)
A_QUARTER_OR_FIVE = Commission(model=Model.PERCENT, percent=D("0.25"), minimum=D(5))
TERMS = st.fixed_dictionaries(
    {
        "cash": st.sampled_from([D(1_000), D(20_000)]),
        "commission": st.sampled_from([FREE, TENTH_OF_A_PERCENT, A_CENT_AT_LEAST_ONE, TIERS, A_QUARTER_OR_FIVE]),
        "slippage_bps": st.sampled_from([D(0), D("2.5"), D(100)]).map(lambda bps: (bps, bps)),
        "finish": st.sampled_from(Finish),
        "lot_size": st.sampled_from([D(1), D(10), D("0.001")]),
    }
)


def bars_of(symbol: str, steps: list[tuple[int, int, bool]], tick: Decimal) -> list[Bar]:
    close, bars = 50 * tick, []
    for day, (gap, move, there) in enumerate(steps):
        opened = max(tick, close + gap * tick)
        close = max(tick, opened + move * tick)
        if there or day < 2:
            bars.append(Bar(symbol, "1d", day * DAY_NS, opened, max(opened, close), min(opened, close), close, D(100)))
    return bars


@settings(max_examples=15, deadline=None)
@given(STEPS, st.none() | STEPS, RULES, SIZES, st.booleans(), TERMS, st.sampled_from([D(1), D("0.25"), D("0.01")]))
def test_a_set_comes_to_what_the_engine_makes_of_it(
    one: list[tuple[int, int, bool]],
    other: list[tuple[int, int, bool]] | None,
    rule: tuple[str, dict[str, Any]],
    size: dict[str, Any],
    shorts: bool,
    given_terms: dict[str, Any],
    tick: Decimal,
) -> None:
    bars = {"A": bars_of("A", one, tick)} | ({} if other is None else {"B": bars_of("B", other, tick)})
    terms = terms_for(bars, **given_terms)
    tickers = {symbol: replace(ticker, tick_size=tick) for symbol, ticker in terms.tickers.items()}
    name, own = rule
    assert_the_same(name, bars, replace(terms, tickers=tickers), [own | size | {"allow_short": shorts}])
