"""JSON in and out, exactly: what may come in is read without loss or refused, and what goes out never is a float.

Invariant: whatever bytes a client sends, reading them either gives a value that UTF-8 and BSON can hold or raises
``Malformed`` or ``Invalid``. Every body of every route passes here.
"""

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

import orjson
from marshmallow import Schema, ValidationError

from qsuite.domain.errors import Invalid, Malformed
from qsuite.domain.money import show
from qsuite.handlers.long_lists import refuse_long_lists
from qsuite.handlers.quick_load import quick_load

MAX_DEPTH = 64
MAX_MESSAGES = 100
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def encode(value: Any) -> bytes:
    """Write JSON bytes. Decimals become strings in plain notation."""
    return orjson.dumps(value, default=_encode_other)


def _encode_other(value: Any) -> Any:
    if isinstance(value, Decimal):
        return show(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, int):  # an IntEnum or the like is handled by orjson; this one is past 64 bits
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def read_json(body: bytes) -> Any:
    """Read a JSON body: numbers with a point become Decimal, a name given twice is refused like NaN and Infinity.

    Malformed for anything that is not one sane JSON value, whatever the parser trips over; Invalid for text that cannot
    be stored.
    """
    if not body:
        raise Malformed("a JSON body is required")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise Malformed("not readable as JSON: nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        raise Malformed(f"not readable as JSON: {str(error)[:200]}") from None
    # Only an escape can bring in what cannot be stored, and only many brackets can nest deeply: most bodies have
    # neither, and need not be walked through.
    if b"\\u" in body or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        refuse_unstorable(value)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object. Two readers of one body may choose differently between doubled names, so nobody does."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


# One decoder: json.loads with arguments builds a new one for every body.
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique)


def load(schema: Schema, raw: Any) -> Any:
    """Validate what was read with a schema. Invalid carries the messages by field."""
    arrays = schema.many or getattr(schema, "takes_arrays", False)
    if not isinstance(raw, dict) and not (arrays and isinstance(raw, list)):
        raise Invalid("a JSON object is required", errors={"_schema": ["not an object"]})
    try:
        refuse_long_lists(schema, raw)
        return quick_load(schema, raw)
    except ValidationError as error:
        raise Invalid("some fields are wrong", errors=flatten(error.messages)) from None


def refuse_unstorable(raw: Any, depth: int = 0) -> None:
    """Refuse what JSON can say but neither UTF-8 nor BSON can hold: lone surrogates, NUL, absurd depth."""
    if isinstance(raw, str):
        if _UNSTORABLE.search(raw) is not None:
            raise Invalid("text must be storable", errors={"_schema": ["a lone surrogate or NUL character"]})
    elif isinstance(raw, (dict, list)):
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        if isinstance(raw, dict):
            for key in raw:
                refuse_unstorable(key)
            raw = list(raw.values())
        for value in raw:
            refuse_unstorable(value, depth + 1)


def flatten(messages: Any, prefix: str = "") -> dict[str, list[str]]:
    """Flatten marshmallow's nested messages to ``{"a.b": [...]}``, the first hundred of them."""
    if isinstance(messages, dict):
        flat: dict[str, list[str]] = {}
        for key, value in messages.items():
            if len(flat) >= MAX_MESSAGES:
                break
            name = f"{prefix}.{key}" if prefix else str(key)
            flat.update(flatten(value, name))
        return flat
    shown = messages if isinstance(messages, list) else [messages]
    return {prefix or "_schema": [str(message) for message in shown]}
