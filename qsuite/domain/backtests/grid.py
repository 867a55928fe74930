"""The parameter sets of a sweep: every combination of the values given for each parameter.

    {"fast": [5, 10], "slow": {"from": 20, "to": 60, "step": 20}, "quantity": "100"}    2 x 3 sets

Sets that an algorithm could not take (``fast`` not below ``slow``) are left out and counted. Invariant: the sets come
in the order of the values, the last parameter changing fastest, so that one request always means the same list.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import product
from math import prod
from typing import Any, NamedTuple

from qsuite.domain.errors import Invalid
from qsuite.domain.money import parse_decimal
from qsuite.domain.strategies import read_parameters

MOST_SETS = 20_000
_RANGE = {"from", "to", "step"}


class Grid(NamedTuple):
    """Checked sets, and how many combinations were left out."""

    sets: tuple[dict[str, Any], ...]
    left_out: int


def expand(algorithm: str, raw: Mapping[str, Any]) -> Grid:
    """Return the sets that lists and ranges describe.

    Invalid for more than 20,000 combinations, for a value that no combination could make right, and where none is left.
    """
    values: dict[str, list[Any]] = {}
    wrong: dict[str, list[str]] = {}
    for name, given in raw.items():
        try:
            values[name] = _values(given)
        except ValueError as error:
            wrong[f"parameters.{name}"] = [str(error)]
    if wrong:
        raise Invalid("some fields are wrong", errors=wrong)
    count = prod(len(each) for each in values.values())
    if count > MOST_SETS:
        message = f"{count:,} combinations, at most {MOST_SETS:,}"
        raise Invalid("too many parameter sets", errors={"parameters": [message]})
    return _checked(algorithm, values)


def _checked(algorithm: str, values: Mapping[str, Sequence[Any]]) -> Grid:
    sets, refused = [], None
    left_out = 0
    for combination in product(*values.values()):
        try:
            sets.append(read_parameters(algorithm, dict(zip(values, combination, strict=True))))
        except Invalid as error:
            if list(error.errors) != ["parameters"]:  # a value that is wrong by itself, in whatever company
                raise
            refused, left_out = error, left_out + 1
    if not sets and refused is not None:
        raise refused
    return Grid(tuple(sets), left_out)


def _values(given: Any) -> list[Any]:
    if isinstance(given, Mapping):
        return _range(given)
    if isinstance(given, (list, tuple)):
        if not given:
            raise ValueError("an empty list")
        return list(given)
    return [given]


def _range(given: Mapping[str, Any]) -> list[Any]:
    """Return the numbers from one to another, both in it if the step meets them; whole ones if all three are."""
    if set(given) != _RANGE:
        raise ValueError("a range has from, to and step")
    first, last, step = (_number(given[name], name) for name in ("from", "to", "step"))
    if step <= 0:
        raise ValueError("step must be above 0")
    count = int((last - first) / step) + 1 if last >= first else 0
    if not 0 < count <= MOST_SETS:
        raise ValueError(f"a range of {count:,} values")
    whole = all(isinstance(given[name], int) for name in _RANGE)
    return [int(each) if whole else str(each) for each in (first + number * step for number in range(count))]


def _number(value: Any, name: str) -> Decimal:
    try:
        # A float in JSON means the decimal that was written.
        return parse_decimal(repr(value) if isinstance(value, float) else value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
