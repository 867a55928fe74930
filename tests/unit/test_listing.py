"""The query string of a list, read strictly, and cursors that come back unchanged or not at all."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import fields

from qsuite.domain.errors import Invalid
from qsuite.domain.listing import Condition, Listing
from qsuite.handlers.fields import DecimalField, InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, MAX_IN, MAX_PAGE, MAX_PAGE_SIZE, ListingSpec
from qsuite.repos.cursors import cursor_after, read_cursor

SPEC = ListingSpec(
    filters={
        "symbol": (fields.String(), EQUALITY),
        "price": (DecimalField(), COMPARISONS),
        "created_at": (InstantField(), COMPARISONS),
        "under__score": (fields.Integer(), ("eq", "gte")),
    },
    search=True,
    orderings=("symbol", "created_at"),
    default_order=("-created_at",),
    cursor=True,
)


def read(spec: ListingSpec = SPEC, **query: str) -> Listing:
    return spec.read({name: [value] for name, value in query.items()})


def errors_of(spec: ListingSpec = SPEC, **query: str) -> set[str]:
    with pytest.raises(Invalid) as caught:
        read(spec, **query)
    return set(caught.value.errors)


def test_without_parameters_it_is_the_first_page_in_the_default_order() -> None:
    assert read() == Listing(order=(("created_at", True),), page=1, page_size=100)


def test_conditions_are_read_as_their_kind() -> None:
    listing = read(price__gte="1.50", symbol__in="IBM,AAPL", created_at__lt="1970-01-01T00:00:01Z", under__score="3")
    assert set(listing.conditions) == {
        Condition("price", "gte", DecimalField().deserialize("1.50")),
        Condition("symbol", "in", ("IBM", "AAPL")),
        Condition("created_at", "lt", 1_000_000_000),
        Condition("under__score", "eq", 3),
    }


def test_order_is_read_most_significant_first() -> None:
    assert read(ordering="symbol,-created_at").order == (("symbol", False), ("created_at", True))


@pytest.mark.parametrize(
    "query",
    [
        {"page": "0"}, {"page": "-1"}, {"page": "1.0"}, {"page": "1e2"}, {"page": ""}, {"page": " 1"}, {"page": "+1"},
        {"page": "١"}, {"page": str(MAX_PAGE + 1)}, {"page": "9" * 5_000}, {"page_size": "0"},
        {"page_size": str(MAX_PAGE_SIZE + 1)}, {"ordering": ""}, {"ordering": "price"}, {"ordering": "--symbol"},
        {"ordering": "symbol,symbol"}, {"ordering": "symbol,-symbol"}, {"ordering": "symbol,"}, {"ordering": "_id"},
        {"search": "a\x00"}, {"search": "x" * 201}, {"price": "NaN"}, {"price__gte": "1_0"}, {"price__in": "1,"},
        {"price__in": ",".join("1" * (MAX_IN + 1))}, {"created_at__gte": "yesterday"}, {"symbol__gte": "A"},
        {"symbol__regex": ".*"}, {"symbol__": "A"}, {"__gte": "1"}, {"": "1"}, {"price__gte__lt": "1"},
        {"nonsense": "1"},
        {"under__score__lt": "1"}, {"cursor": "x", "page": "2"},
    ],
)  # fmt: skip
def test_what_is_unknown_or_malformed_is_named(query: dict[str, str]) -> None:
    assert errors_of(**query) & set(query)


def test_all_faults_are_told_at_once_and_a_doubled_parameter_is_one() -> None:
    with pytest.raises(Invalid) as caught:
        SPEC.read({"symbol": ["A", "B"], "page": ["0"], "nonsense": ["1"], "price": ["1"]})
    assert set(caught.value.errors) == {"symbol", "page", "nonsense"}


def test_a_list_takes_only_what_it_offers() -> None:
    bare = ListingSpec()
    assert read(bare, page="2").page == 2
    for query in ({"search": "a"}, {"ordering": "symbol"}, {"cursor": ""}, {"symbol": "A"}):
        assert errors_of(bare, **query) == set(query)


def test_parameters_of_the_route_itself_are_left_to_it() -> None:
    assert SPEC.read({"format": ["csv"], "page": ["2"]}, also=frozenset({"format"})).page == 2


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=30).filter(lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text)),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.uuids(),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20).map(Decimal128),
    st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
)


@given(st.lists(VALUES, min_size=1, max_size=4), st.text(max_size=20))
def test_a_cursor_gives_back_exactly_the_values_it_was_made_of(values: list[Any], scope: str) -> None:
    cursor = cursor_after(values, scope)
    assert cursor.isascii()
    assert "=" not in cursor
    again = read_cursor(cursor, scope, len(values))
    assert again == values
    assert [type(value) for value in again] == [type(value) for value in values]


@given(st.text(max_size=80))
def test_made_up_cursors_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_cursor(text, "scope", 1)


def test_a_cursor_is_only_good_for_its_list() -> None:
    cursor = cursor_after([UUID(int=1), datetime(2026, 1, 1, tzinfo=UTC)], "orders, newest first")
    with pytest.raises(Invalid):
        read_cursor(cursor, "orders, oldest first", 2)
    with pytest.raises(Invalid):
        read_cursor(cursor, "orders, newest first", 1)


def test_a_value_no_list_is_ordered_by_makes_no_cursor() -> None:
    with pytest.raises(TypeError):
        cursor_after([{"$gt": ""}], "scope")
