"""Read a list request's query string into a ``Listing``, strictly: an unknown parameter is an error, not ignored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import ValidationError, fields

from qsuite.domain.errors import Invalid
from qsuite.domain.listing import Condition, Listing, Operator

PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
MAX_PAGE = 1_000_000
MAX_IN = 1_000
MAX_SEARCH = 200

_SUFFIX = re.compile(r"(?P<field>.+?)__(?P<operator>gte|gt|lte|lt|in)")

COMPARISONS: tuple[Operator, ...] = ("eq", "gte", "gt", "lte", "lt", "in")
EQUALITY: tuple[Operator, ...] = ("eq", "in")


@dataclass(frozen=True, slots=True)
class ListingSpec:
    """What one list route offers.

    ``filters`` maps a parameter to the marshmallow field that reads it and the operators it allows; ``orderings`` are
    the fields it may be ordered by, ``default_order`` such as ``("-created_at",)``; ``cursor`` says that the list is
    long and growing, so that it also pages by cursor.
    """

    filters: Mapping[str, tuple[fields.Field[Any], tuple[Operator, ...]]] = field(default_factory=dict)
    search: bool = False
    orderings: tuple[str, ...] = ()
    default_order: tuple[str, ...] = ()
    cursor: bool = False

    def read(self, query: Mapping[str, list[str]], *, also: frozenset[str] = frozenset()) -> Listing:
        """Build the listing. Invalid names every parameter that is unknown, doubled or malformed.

        ``also`` are parameters of the route that are not part of the listing.
        """
        errors: dict[str, list[str]] = {}
        conditions: list[Condition] = []
        values: dict[str, Any] = {}
        for name, given in query.items():
            if name in also:
                continue
            try:
                if len(given) != 1:
                    raise ValidationError("given more than once")
                if not self._read_common(name, given[0], values):
                    conditions.append(self._read_condition(name, given[0]))
            except ValidationError as error:
                errors[name] = [str(message) for message in error.messages]
        if "cursor" in values and "page" in values:
            errors["cursor"] = ["give a page or a cursor, not both"]
        if errors:
            raise Invalid("the query string has errors", errors=errors)
        order = values.pop("order", None) or tuple(_split_order(name) for name in self.default_order)
        return Listing(conditions=tuple(conditions), order=order, **values)

    def _read_common(self, name: str, raw: str, values: dict[str, Any]) -> bool:
        if name == "page":
            values["page"] = _bounded_int(raw, MAX_PAGE)
        elif name == "page_size":
            values["page_size"] = _bounded_int(raw, MAX_PAGE_SIZE)
        elif name == "cursor" and self.cursor:
            values["cursor"] = raw
        elif name == "search" and self.search:
            if len(raw) > MAX_SEARCH or "\x00" in raw:
                raise ValidationError(f"at most {MAX_SEARCH} characters, no NUL")
            values["search"] = raw or None
        elif name == "ordering" and self.orderings:
            order = tuple(_split_order(part) for part in raw.split(","))
            names = [field_name for field_name, _ in order]
            if len(set(names)) < len(names) or not set(names) <= set(self.orderings):
                raise ValidationError(f"order by {', '.join(self.orderings)}, with - in front for descending")
            values["order"] = order
        else:
            return False
        return True

    def _read_condition(self, name: str, raw: str) -> Condition:
        match = _SUFFIX.fullmatch(name)
        field_name, operator = (match["field"], match["operator"]) if match else (name, "eq")
        spec = self.filters.get(field_name)
        if spec is None or operator not in spec[1]:
            raise ValidationError("unknown parameter")
        reader, _ = spec
        if operator == "in":
            parts = raw.split(",")
            if len(parts) > MAX_IN:
                raise ValidationError(f"at most {MAX_IN} values")
            return Condition(field_name, "in", tuple(reader.deserialize(part) for part in parts))
        return Condition(field_name, operator, reader.deserialize(raw))


def _split_order(name: str) -> tuple[str, bool]:
    return (name[1:], True) if name.startswith("-") else (name, False)


def _bounded_int(raw: str, high: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", raw) or not 1 <= int(raw) <= high:
        raise ValidationError(f"a whole number from 1 to {high}")
    return int(raw)
