"""Whatever a trader asks for, a backtest's books add up at every bar."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.backtests.desk import Desk
from qsuite.domain.backtests.trades import trades_of
from qsuite.domain.market import Bar
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.commission import Commission, Model
from qsuite.domain.trading.order import Execution
from tests.support.backtests import bar, play

D = Decimal
CENTS = st.integers(8_000, 12_000)
SHAPES = st.tuples(CENTS, CENTS, CENTS, CENTS, st.sampled_from([0, 7, 100, 500]))
VERBS = st.tuples(
    st.sampled_from(["buy", "sell", "close", "cancel"]),
    st.sampled_from(["A", "B"]),
    st.integers(1, 60),
    st.fixed_dictionaries(
        {}, optional={name: CENTS.map(lambda cents: D(cents) / 100) for name in ("limit", "stop", "stop_loss")}
    ),
)
STORY = st.lists(st.tuples(SHAPES, SHAPES, st.lists(VERBS, max_size=3)), min_size=2, max_size=12)


def made(number: int, symbol: str, shape: tuple[int, ...]) -> Bar:
    *prices, volume = shape
    opened, close = prices[0], prices[3]
    text = " ".join(str(D(each) / 100) for each in (opened, max(prices), min(prices), close))
    return bar(number, text, volume, symbol=symbol)


class Acts:
    def __init__(self, days: list[Any]) -> None:
        self.todo = iter(days)
        self.shown: list[tuple[Decimal, Decimal, Decimal]] = []

    def on_bar(self, desk: Desk) -> None:
        held = sum((desk.position(each) * desk.bars(each)[-1].close for each in ("A", "B")), D(0))
        self.shown.append((desk.cash, held, desk.equity))
        for verb, symbol, quantity, wanted in next(self.todo)[2]:
            if verb in ("buy", "sell"):
                getattr(desk, verb)(symbol, quantity, **wanted)
            elif verb == "close":
                desk.close(symbol)
            else:
                desk.cancel(symbol=symbol)


@settings(max_examples=60, deadline=None)
@given(STORY, st.sampled_from([None, D("0.1")]), st.integers(0, 3))
def test_equity_is_cash_and_what_is_held_at_every_close_and_every_fill_is_booked_twice(
    days: list[Any], participation: Decimal | None, seed: int
) -> None:
    acts = Acts(days)
    many = [[made(number, symbol, day[place]) for number, day in enumerate(days)] for place, symbol in enumerate("AB")]
    result = play(
        acts, *many, participation=participation, seed=seed, slippage_bps=(D(0), D(30)),
        commission=Commission(model=Model.PERCENT, percent=D("0.1"), minimum=D(1)),
    )  # fmt: skip
    assert all(cash + held == equity for cash, held, equity in acts.shown)
    assert [equity for *_, equity in acts.shown] == [mark.equity for mark in result.marks]
    assert all(sum(fill.postings.values()) == 0 for fill in result.executions)
    assert acts.shown[-1][0] == 10_000 + sum(fill.postings["cash"] for fill in result.executions)
    round_trips = trades_of(result.executions)
    made_or_paid = sum((trade.pnl for trade in round_trips.closed), D(0)) + sum(
        (trade.cash for trade in round_trips.open), D(0)
    )
    assert acts.shown[-1][0] == 10_000 + made_or_paid
    for fill in result.executions:
        on = next(each for bars in many for each in bars[1:] if within(each, fill))
        assert on.low * D("0.997") - D("0.0001") <= fill.price <= on.high * D("1.003") + D("0.0001")


def within(each: Bar, fill: Execution) -> bool:
    """Say whether a fill came in this bar's time."""
    return each.symbol == fill.symbol and 0 <= fill.execution_time - each.ts_ns < DAY_NS
