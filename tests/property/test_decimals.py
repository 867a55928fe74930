"""Money survives storage to the last digit and zero; the driver's own conversion is the judge."""

from decimal import Decimal

import pytest
from bson.decimal128 import Decimal128
from hypothesis import example, given
from hypothesis import strategies as st

from qsuite.repos.decimals import decode_decimal, decode_optional, encode_decimal, encode_optional

FINITE = st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=34).map(tuple),
    st.integers(-200, 200),
)


@given(FINITE)
@example(Decimal("9" * 34))
@example(Decimal("-0.00"))
@example(Decimal("1E-6176"))
@example(Decimal("1E+6111"))
def test_a_decimal_becomes_what_the_driver_makes_of_it(value: Decimal) -> None:
    assert encode_decimal(value).bid == Decimal128(value).bid


@given(FINITE)
@example(Decimal("9" * 34))
@example(Decimal("-0.00"))
def test_what_is_read_back_is_what_was_stored_with_its_trailing_zeros(value: Decimal) -> None:
    assert decode_decimal(Decimal128(value)).as_tuple() == value.as_tuple()


def test_equal_numbers_with_other_zeros_stay_apart() -> None:
    assert [str(decode_decimal(encode_decimal(Decimal(text)))) for text in ("1.5", "1.50", "1.500")] == [
        "1.5",
        "1.50",
        "1.500",
    ]


def test_nothing_stays_nothing() -> None:
    assert encode_optional(None) is None
    assert decode_optional(None) is None


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "sNaN", "1" * 35, "1E+6112", "1E-6177"])
def test_what_is_not_money_or_would_be_rounded_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"money|fit"):
        encode_decimal(Decimal(text))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_no_part_of_qsuite_stores_is_not_read_as_money(text: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        decode_decimal(Decimal128(text))
