"""Floats, text and decimals of columns, beside those of each value by itself."""

from decimal import Decimal

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.money import show
from qsuite.domain.tick_columns.columns import OF_QUOTES, OF_TRADES, TickColumns, to_columns
from qsuite.repos.tick_block_codec import decode_columns, encode_columns
from qsuite.services.tick_arrays import decimal_array, of_all_rows, put_floats, text_array
from tests.property.test_tick_blocks_property import MONEY

# What an order, a price or a size may be: see the bounds of ``qsuite.domain.money``.
SANE = MONEY.filter(lambda value: value.adjusted() <= 24 and int(value.as_tuple().exponent) >= -34)
TICKS = st.lists(
    st.builds(Trade, st.just("IBM"), st.integers(0, 9), SANE, SANE, st.just(0))
    | st.builds(Quote, st.just("IBM"), st.integers(0, 9), *[st.none() | SANE for _ in range(4)], st.just(0)),
    min_size=1,
    max_size=20,
)


def values(ticks: list[Tick], name: str) -> list[Decimal | None]:
    return [getattr(tick, name, None) for tick in ticks]


@settings(max_examples=100, deadline=None)
@given(TICKS, TICKS)
@example([Trade("IBM", 0, Decimal("9007199254740993"), Decimal("0.9007199254740993"))], [Quote("IBM", 0, None, None)])
@example([Trade("IBM", 0, Decimal("1E+24"), Decimal("1E-24"))], [Trade("IBM", 0, Decimal("1.50"), Decimal("-0"))])
@example([Trade("IBM", 0, Decimal("-123456789012345.678"), Decimal("9" * 18))], [Trade("IBM", 0, *[Decimal(3)] * 2)])
def test_every_value_is_what_it_is_by_itself(first: list[Tick], second: list[Tick]) -> None:
    # One as it is made, one as it comes out of a block.
    runs = [to_columns("IBM", first), decode_columns(encode_columns(to_columns("IBM", second)))]
    for name in OF_TRADES + OF_QUOTES:
        columns = [of_all_rows(run, name) for run in runs]
        wanted = values(first + second, name)
        texts = [text for column in columns for text in text_array(column).to_pylist()]
        assert texts == [None if value is None else show(value) for value in wanted]
        assert decimal_array(columns).to_pylist() == wanted
        assert floats(runs, name) == repr([float("nan") if value is None else float(value) for value in wanted])


def floats(runs: list[TickColumns], name: str) -> str:
    found: list[float] = []
    for run in runs:
        out = np.empty(len(run))
        put_floats(of_all_rows(run, name), out)
        found += out.tolist()
    return repr(found)
