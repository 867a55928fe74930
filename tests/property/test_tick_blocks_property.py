"""Ticks come back from a block as they went in, whatever they are; the ticks themselves are the judge."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.tick_columns.columns import take, to_columns, to_ticks
from qsuite.repos.tick_block_codec import DamagedBlock, decode_columns, encode_columns

INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(1_381_152_600_000_000_000, 1_381_152_600_000_001_000) | INT64
SEQS = st.integers(0, 3) | INT64
ODD = st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=34).map(tuple),
    st.integers(-40, 40),
)
PRICES = st.integers(17_000, 19_000).map(lambda cents: Decimal(cents).scaleb(-2)) | st.sampled_from(
    [Decimal(text) for text in ("1.5", "1.50", "1.500", "0", "0.00", "-0.0", "1E+2", "999999999999999999")]
)
MONEY = PRICES | ODD
TICKS = st.lists(
    st.builds(Trade, st.just("IBM"), TIMES, MONEY, MONEY, SEQS)
    | st.builds(
        Quote, st.just("IBM"), TIMES, st.none() | MONEY, st.none() | MONEY, st.none() | MONEY, st.none() | MONEY, SEQS
    ),
    max_size=40,
)


def through_a_block(ticks: list[Tick], symbol: str = "IBM") -> list[Tick]:
    return to_ticks(decode_columns(encode_columns(to_columns(symbol, ticks))))


def trade(price: str, ts_ns: int = 0) -> Trade:
    return Trade("IBM", ts_ns, Decimal(price), Decimal(1))


@settings(max_examples=300, deadline=None)
@given(TICKS)
@example([trade("-0"), trade("0.000000000000000001"), trade("1234567890123456.789012345678901234")])
@example([trade("1", -(2**63)), trade("1", 2**63 - 1), trade("1", -(2**63)), trade("1", 0)])
@example([trade("1", 0), trade("1", -(2**63)), trade("1", -(2**63))])
@example([Quote("IBM", 5, None, None), trade("181.50"), Quote("IBM", 5, Decimal("1E-6000"), None)])
def test_every_tick_comes_back_to_the_last_zero(ticks: list[Tick]) -> None:
    # repr, because 1.5 and 1.50 are equal.
    assert repr(through_a_block(ticks)) == repr(ticks)


@settings(max_examples=200, deadline=None)
@given(TICKS, st.data())
def test_any_rows_of_the_columns_are_the_ticks_of_those_rows(ticks: list[Tick], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(ticks) - 1), unique=True) if ticks else st.just([]))
    found = to_ticks(take(to_columns("IBM", ticks), np.array(rows, dtype=np.intp)))
    assert repr(found) == repr([ticks[row] for row in rows])


@pytest.mark.parametrize("kept", [0, 3, 8, 40, -1])
def test_bytes_cut_short_are_refused(kept: int) -> None:
    whole = encode_columns(to_columns("IBM", [trade("181.52"), trade("181.53", 5), trade("181.5", 7)]))
    with pytest.raises(DamagedBlock):
        decode_columns(whole[:kept])


def test_one_odd_value_does_not_make_the_others_wide() -> None:
    column = to_columns("IBM", [*(trade("181.52") for _ in range(9)), trade("1E-18")]).money["price"]
    assert column.wide == {9: "1E-18"}
    assert (column.exponent, column.units[:9].tolist()) == (-2, [18152] * 9)


def test_a_vendors_regular_times_and_constant_sizes_take_no_bytes() -> None:
    ticks: list[Tick] = [trade("181.52", ts_ns=index * 1_000_000) for index in range(100_000)]
    assert len(encode_columns(to_columns("IBM", ticks))) < 1_000


def test_prices_of_a_step_take_about_a_byte() -> None:
    walk = np.cumsum(np.random.default_rng(7).integers(-3, 4, 50_000)) + 18_000
    ticks: list[Tick] = [
        Trade("IBM", 1_000_000 * index, Decimal(int(cents)).scaleb(-2), Decimal(100))
        for index, cents in enumerate(walk)
    ]
    assert len(encode_columns(to_columns("IBM", ticks))) < 50_000
