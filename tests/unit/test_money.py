"""Money: exact in, exact out, and bounded to what a Decimal128 holds."""

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite.domain.money import (
    DECIMAL128_DIGITS,
    MAX_EXPONENT,
    check_decimal,
    is_multiple,
    parse_decimal,
    round_to_tick,
    show,
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("150.25", "150.25"),
        ("150.250", "150.250"),
        ("+1", "1"),
        ("-0.5", "-0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1E-3", "0.001"),
        (7, "7"),
        (Decimal("0.1"), "0.1"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("9999999999999999999999999", "9999999999999999999999999"),
        ("-0", "0"),
        ("0.000", "0"),
        ("0e999", "0"),
    ],
)
def test_a_decimal_is_read_and_written_exactly(raw: object, shown: str) -> None:
    assert show(parse_decimal(raw)) == shown


@pytest.mark.parametrize(
    "raw",
    [
        "", " ", " 1", "1 ", "1\n", "ten", "1,5", "1,000", "1_000", "0x10", "1e", "e5", "--1", "+-1", "1.2.3", ".",
        "١٢٣", "１２", "²", "NaN", "nan", "sNaN", "Infinity", "-inf", "1e400", "1e99999", "1e-400", "1" * 35,
        "0." + "1" * 35, "10000000000000000000000000", "0" * 100, "1\u0000", "\u22125", "1e+٣",
        True, False, None, 1.5, float("nan"), [], {}, b"1", 10**25, -(10**25), 10**4000,
        Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1E+25"), Decimal("1E-35"), Decimal("1" * 35),
    ],
)  # fmt: skip
def test_anything_else_is_refused(raw: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_decimal(raw)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**15), max_value=10**15))
def test_what_is_shown_is_read_back_as_the_same_number_without_an_exponent(value: Decimal) -> None:
    text = show(check_decimal(value))
    assert "E" not in text
    assert parse_decimal(text) == value


@given(st.text(max_size=90))
def test_no_text_whatever_raises_anything_but_a_value_error(text: str) -> None:
    try:
        value = parse_decimal(text)
    except ValueError:
        return
    assert value.is_finite()
    assert len(value.as_tuple().digits) <= DECIMAL128_DIGITS
    assert value.adjusted() <= MAX_EXPONENT


def test_sums_keep_all_34_digits_of_a_decimal128() -> None:
    large, small = parse_decimal("9999999999999999999999999"), parse_decimal("0.000000001")
    assert show(large + small) == "9999999999999999999999999.000000001"
    assert decimal.getcontext().prec == DECIMAL128_DIGITS


@pytest.mark.parametrize(
    ("value", "step", "on_grid"),
    [
        ("150.25", "0.01", True),
        ("150.255", "0.01", False),
        ("0.3", "0.1", True),
        ("7", "5", False),
        ("-0.03", "0.01", True),
    ],
)
def test_a_price_is_on_the_grid_or_not_without_binary_surprises(value: str, step: str, on_grid: bool) -> None:
    assert is_multiple(Decimal(value), Decimal(step)) is on_grid


@pytest.mark.parametrize(
    ("price", "tick", "up", "rounded"),
    [
        ("150.251", "0.01", True, "150.26"),
        ("150.259", "0.01", False, "150.25"),
        ("150.25", "0.01", True, "150.25"),
        ("150.25", "0.01", False, "150.25"),
        ("101", "0.25", True, "101"),
        ("101.1", "0.25", True, "101.25"),
        ("101.1", "0.25", False, "101"),
        ("0.004", "0.01", False, "0"),
    ],
)
def test_a_price_moves_to_the_grid_in_the_direction_asked_for(price: str, tick: str, up: bool, rounded: str) -> None:
    assert round_to_tick(Decimal(price), Decimal(tick), up=up) == Decimal(rounded)


def test_the_largest_quantity_is_held_against_the_smallest_grid() -> None:
    assert is_multiple(Decimal("1E24"), Decimal("1E-34"))
    assert not is_multiple(Decimal("1E-34"), Decimal("1E24"))
    assert not is_multiple(Decimal("999999999999999999999999.5"), Decimal("1"))
