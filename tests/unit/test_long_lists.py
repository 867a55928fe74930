"""A list longer than its field allows is refused before its items are looked at."""

from typing import Any

import pytest
from marshmallow import Schema, ValidationError, fields, validate

from qsuite.handlers.long_lists import bounds_of, refuse_long_lists
from qsuite.handlers.routes import all_routes

BODIES = {
    type(declared.body).__name__: declared.body
    for route in all_routes()
    for declared in route.handler.operations.values()  # type: ignore[attr-defined]
    if declared.body is not None
}


class _Looked(fields.String):
    looked = 0

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        _Looked.looked += 1
        return "x"


class _Inner(Schema):
    words = fields.List(_Looked(), validate=validate.Length(0, 3))


class _Outer(Schema):
    names = fields.List(_Looked(), validate=validate.Length(1, 2), data_key="Names")
    inner = fields.Nested(_Inner)
    rows = fields.List(fields.Nested(_Inner), validate=validate.Length(max=2))


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"Names": [1, 2, 3]}, ["Names"]),
        ({"inner": {"words": [1] * 4}}, ["inner"]),
        ({"rows": [{"words": [1] * 4}]}, ["rows"]),
        ({"rows": [{}] * 3, "Names": [1] * 3}, ["Names", "rows"]),
    ],
)
def test_a_list_too_long_is_refused_by_name_and_none_of_its_items_is_read(
    raw: dict[str, Any], where: list[str]
) -> None:
    before = _Looked.looked
    with pytest.raises(ValidationError) as refused:
        refuse_long_lists(_Outer(), raw)
    assert sorted(refused.value.messages_dict) == where
    assert "Length must be" in str(refused.value) or "Longer than" in str(refused.value)
    assert _Looked.looked == before


@pytest.mark.parametrize("raw", [{}, {"Names": [1, 2]}, {"Names": []}, {"names": [1] * 9}, {"inner": 1}, [], 1, None])
def test_what_is_not_too_long_is_the_schemas_to_judge(raw: Any) -> None:
    refuse_long_lists(_Outer(), raw)


def test_a_schema_without_lists_has_no_bounds() -> None:
    assert bounds_of(BODIES["PlaceOrderSchema"]) == ()


@pytest.mark.parametrize("schema", BODIES.values(), ids=BODIES)
def test_every_list_of_every_body_says_how_long_it_may_be(schema: Schema) -> None:
    _all_bounded(schema)


def _all_bounded(schema: Schema) -> None:
    for name, field in schema.load_fields.items():
        within = field.inner if isinstance(field, fields.List) else field
        if isinstance(field, fields.List) or (isinstance(field, fields.Nested) and field.many):
            lengths = [each for each in field.validators if isinstance(each, validate.Length)]
            assert any(length.max is not None for length in lengths), f"{type(schema).__name__}.{name}"
        if isinstance(within, fields.Nested):
            _all_bounded(within.schema)
