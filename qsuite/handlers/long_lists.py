"""Refuse a list that is longer than its field allows before any of its items is looked at.

A body of 128 KiB holds 60,000 items, and marshmallow says of each what is wrong with it before it counts them: seconds
on the loop for one request. Every list field of a body declares how long it may be (a test sees to that), so what an
item costs is paid at most so many times.
"""

from functools import cache
from typing import Any, NamedTuple

from marshmallow import Schema, ValidationError, fields, validate


class Bound(NamedTuple):
    """A field whose list is bounded, or that has such fields within."""

    key: str
    lengths: tuple[validate.Length, ...]
    inner: Schema | None


def refuse_long_lists(schema: Schema, raw: Any) -> None:
    """Raise ValidationError, by field, for each list that is too long; what is no list is left to the schema."""
    bounds = bounds_of(schema)
    if not bounds or not isinstance(raw, dict):
        return
    wrong: dict[str, Any] = {}
    for key, lengths, inner in bounds:
        value = raw.get(key)
        try:
            if isinstance(value, list):
                _check(lengths, value)
            if inner is not None:
                _look_within(inner, value)
        except ValidationError as error:
            wrong[key] = error.messages
    if wrong:
        raise ValidationError(wrong)


def _check(lengths: tuple[validate.Length, ...], value: list[Any]) -> None:
    for length in lengths:
        if length.max is not None and len(value) > length.max:
            length(value)


def _look_within(inner: Schema, value: Any) -> None:
    for each in value if isinstance(value, list) else [value]:
        refuse_long_lists(inner, each)


@cache
def bounds_of(schema: Schema) -> tuple[Bound, ...]:
    """Return a schema's bounds; none for most. Schemas are declared once."""
    found = []
    for name, field in schema.load_fields.items():
        lengths, inner = _bound_of(field)
        if lengths or (inner is not None and bounds_of(inner)):
            found.append(Bound(field.data_key or name, lengths, inner))
    return tuple(found)


def _bound_of(field: "fields.Field[Any]") -> tuple[tuple[validate.Length, ...], Schema | None]:
    within = field.inner if isinstance(field, fields.List) else field
    inner = within.schema if isinstance(within, fields.Nested) else None
    is_list = isinstance(field, fields.List) or (isinstance(field, fields.Nested) and field.many)
    lengths = tuple(each for each in field.validators if isinstance(each, validate.Length)) if is_list else ()
    return lengths, inner if isinstance(inner, Schema) else None
