"""The quick way to load a body is marshmallow's own, for every schema of the API and whatever is in the body."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate, validates_schema

from qsuite.handlers.quick_load import quick_load, steps_of
from qsuite.handlers.routes import all_routes
from tests.support.bad_input import WHOLE, inputs, valid_value

SCHEMAS = {
    type(declared.body).__name__: declared.body
    for route in all_routes()
    for declared in route.handler.operations.values()  # type: ignore[attr-defined]
    if declared.body is not None
}
ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2**70), st.decimals(), st.text(max_size=8), st.just({}), st.just([]),
    st.sampled_from(["10", "IBM", "2026-01-31T14:30:00Z", "BUY", Decimal("1E+400"), {"$ne": None}]),
)  # fmt: skip


def outcome(load: Any, schema: Schema, raw: Any) -> tuple[str, Any]:
    try:
        return "loaded", load(schema, raw)
    except ValidationError as error:
        return "refused", error.messages


def bodies(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    known = {name: st.one_of(st.just(valid_value(kind)), ANY) for name, kind in inputs(schema).items()}
    strangers = st.dictionaries(st.text(max_size=4), ANY, max_size=1)
    return st.builds(
        lambda some, more: {**more, **some}, st.fixed_dictionaries({}, optional=known), strangers
    )  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
@given(data=st.data())
def test_both_ways_load_or_refuse_alike(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    raw = data.draw(bodies(schema))
    quick = outcome(quick_load, schema, raw)
    assert quick == outcome(lambda schema, raw: schema.load(raw), schema, raw)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_good_body_loads_to_the_same_kinds(name: str) -> None:
    schema = SCHEMAS[name]
    raw = WHOLE.get(name) or {key: valid_value(kind) for key, kind in inputs(schema).items()}
    if schema.many:
        return
    quick, slow = quick_load(schema, raw), schema.load(raw)
    assert quick == slow
    assert {key: type(value) for key, value in quick.items()} == {key: type(value) for key, value in slow.items()}


class _Hooked(Schema):
    n = fields.Integer()

    @post_load
    def double(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"n": data["n"] * 2}


class _Checked(Schema):
    low = fields.Integer()
    high = fields.Integer()

    @validates_schema
    def in_order(self, data: dict[str, Any], **_: Any) -> None:
        if data["low"] > data["high"]:
            raise ValidationError("upside down")


class _Renamed(Schema):
    inner = fields.Integer(data_key="outer", attribute="elsewhere")


class _Plain(Schema):
    text = fields.String(load_default=lambda: "made", validate=validate.Length(max=3))


@pytest.mark.parametrize(
    "schema", [_Hooked(), _Checked(), _Renamed(), _Plain(many=True), _Plain(partial=True), _Plain(unknown=EXCLUDE)]
)
def test_what_it_does_not_know_is_left_to_marshmallow(schema: Schema) -> None:
    assert steps_of(schema) is None


def test_defaults_are_made_anew_each_time() -> None:
    assert steps_of(_Plain()) is not None
    assert quick_load(_Plain(), {}) == {"text": "made"}
    assert quick_load(_Hooked(), {"n": 2}) == {"n": 4}
