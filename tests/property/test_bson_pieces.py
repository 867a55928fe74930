"""The bytes written piece by piece are the driver's own."""

from decimal import Decimal
from typing import Any

import bson
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from qsuite.domain.times import NS_PER_MS, ns_to_datetime
from qsuite.repos.bson_pieces import (
    any_piece,
    date_writer,
    decoded,
    fields_of,
    known_text_piece,
    money_piece,
    nested_piece,
    number_piece,
    raw_document,
    text_piece,
    uuid_writer,
)
from qsuite.repos.database import CODEC

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=50)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**31) - 2, -(2**31) + 2) | st.integers(2**31 - 2, 2**31 + 2)
MONEY = st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**20), max_value=10**20)
INSTANTS = st.integers(-(10**18), 4 * 10**18).map(lambda ns: ns - ns % NS_PER_MS)


def by_the_driver(document: dict[str, Any]) -> bytes:
    return bson.encode(document, codec_options=CODEC)


@given(NAMES, TEXTS)
def test_text_is_written_as_the_driver_writes_it(name: str, value: str) -> None:
    expected = by_the_driver({name: value})
    assert raw_document([text_piece(name, value)]).raw == expected
    assert raw_document([known_text_piece(name, value)]).raw == expected
    assert raw_document([any_piece(name, value)]).raw == expected


@given(NAMES, NUMBERS)
def test_whole_numbers_take_as_many_bytes_as_the_driver_gives_them(name: str, value: int) -> None:
    expected = by_the_driver({name: value})
    assert raw_document([number_piece(name, value)]).raw == expected
    assert raw_document([any_piece(name, value)]).raw == expected


@given(NAMES, st.uuids())
def test_ids_are_written_as_the_driver_writes_them(name: str, value: Any) -> None:
    assert raw_document([uuid_writer(name)(value)]).raw == by_the_driver({name: value})


@given(NAMES, INSTANTS)
def test_dates_are_written_as_the_driver_writes_them(name: str, value: int) -> None:
    assert raw_document([date_writer(name)(value)]).raw == by_the_driver({name: ns_to_datetime(value)})


@given(NAMES, MONEY)
def test_money_is_written_as_the_driver_writes_it(name: str, value: Decimal) -> None:
    expected = by_the_driver({name: Decimal128(value)})
    assert raw_document([money_piece(name, value)]).raw == expected
    assert raw_document([any_piece(name, value)]).raw == expected


@given(st.lists(st.tuples(NAMES, TEXTS, NUMBERS), max_size=8, unique_by=lambda each: each[0]))
def test_documents_within_documents_are_written_as_the_driver_writes_them(each: list[tuple[str, str, int]]) -> None:
    inner = {name: value for name, value, _ in each}
    pieces = [text_piece(name, value) for name, value in inner.items()]
    document = {"numbers": [number for _, _, number in each], "inner": inner}
    written = raw_document([fields_of({"numbers": document["numbers"]}), nested_piece("inner", pieces)])
    assert written.raw == by_the_driver(document)
    assert decoded(written) == document


def test_equal_figures_with_other_zeros_stay_apart() -> None:
    assert (
        raw_document([money_piece("price", Decimal("1.5"))]).raw
        != raw_document([money_piece("price", Decimal("1.50"))]).raw
    )


def test_decimals_at_any_depth_become_money() -> None:
    schedule = {"tiers": [{"per_share": Decimal("0.01")}], "minimum": None, "flat": False}
    expected = {"tiers": [{"per_share": Decimal128("0.01")}], "minimum": None, "flat": False}
    assert raw_document([any_piece("commission", schedule)]).raw == by_the_driver({"commission": expected})
