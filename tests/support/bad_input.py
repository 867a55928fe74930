"""Bad input, made from the routes' declarations: every body field and parameter times every bad value of its kind.

``bad_requests`` gives requests that must be refused; what the declaration of a route allows is left out.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from marshmallow import Schema, ValidationError, fields, validate

from qsuite.domain.roles import Role
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import DecimalField, InstantField, NetworkField
from qsuite.handlers.operations import CSV, JSON, NDJSON, Operation
from qsuite.handlers.routes import Route

UUID_TEXT = "01920000-0000-7000-8000-000000000001"
MARK = "@@here@@"
"""Stands where a bad value is put as raw JSON, which may be something that json.dumps cannot write."""


@dataclass(frozen=True)
class BadRequest:
    """A request that must not be accepted, and why."""

    why: str
    method: str
    path: str
    role: Role | None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def deep(depth: int, opening: str = "[", closing: str = "]") -> str:
    """Nest brackets."""
    return opening * depth + closing * depth


# Raw JSON texts that no field of any kind takes, but for those that take any value at all.
NEVER = {
    "an operator": '{"$ne": null}',
    "another operator": '{"$gt": ""}',
    "code": '{"$where": "sleep(1000)"}',
    "a lone surrogate": r'"\ud800"',
    "a reversed pair": r'"\udc00\ud800"',
    "a NUL": r'"a\u0000b"',
    "a NUL in a key": r'{"a\u0000": 1}',
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "deep lists": deep(100),
    "very deep lists": deep(2_000),
    "deep objects": deep(2_000, '{"a":', "}").replace(":}", ":1}"),
    "a bare word": "undefined",
    "single quotes": "'x'",
    "an octal number": "010",
    "a hexadecimal number": "0x10",
    "a plus sign": "+1",
    "no fraction": "1.",
    "a long integer": "1" * 5_000,
    "a control character": '"a\nb"',
    "a bad escape": r'"\x41"',
}
NUMBERS_WRONG = {
    "a boolean": "true",
    "a list": "[1]",
    "nothing in it": '""',
    "a space": '" 1"',
    "a word": '"ten"',
    "underscores": '"1_000"',
    "thousands": '"1,000"',
    "Arabic digits": '"١٢٣"',
    "full-width digits": '"１２"',
    "hexadecimal": '"0x10"',
    "NaN in words": '"NaN"',
    "sNaN in words": '"sNaN"',
    "Infinity in words": '"Infinity"',
    "minus infinity in words": '"-inf"',
    "a trailing newline": r'"1\n"',
    "1e400": "1e400",
    "1e400 in words": '"1e400"',
    "a huge exponent": "1e999999999",
    "a tiny number": "1e-400",
    "a tiny number in words": '"1e-40"',
    "35 digits": "1." + "1" * 34,
    "35 digits in words": f'"{"1" * 35}"',
    "past 10^24": '"10000000000000000000000000"',
    "400 digits": "9" * 400,
}
BY_KIND: list[tuple[tuple[type[Any], ...], dict[str, str]]] = [
    ((DecimalField,), NUMBERS_WRONG),
    (
        (fields.Integer,),
        {why: text for why, text in NUMBERS_WRONG.items() if why not in ("a trailing newline", "a space")}
        | {"a fraction": "1.5", "a fraction in words": '"1.5"'},
    ),
    ((fields.Boolean,), {"a word": '"maybe"', "two": "2", "a list": "[]", "text": '"on off"'}),
    ((fields.Enum,), {"a number": "1", "a word": '"NONSENSE"', "a boolean": "true", "a list": "[]", "lower": '"x"'}),
    ((fields.UUID,), {"a word": '"x"', "a number": "1", "too long": f'"{UUID_TEXT}0"', "a list": "[]", "true": "true"}),
    (
        (InstantField,),
        {
            "no offset": '"2026-01-31T14:30:00"',
            "a number": "1700000000",
            "a word": '"yesterday"',
            "no such day": '"2026-02-30T00:00:00Z"',
            "year 0": '"0000-01-01T00:00:00Z"',
            "before year 1": '"0001-01-01T00:00:00+23:59"',
            "after year 9999": '"9999-12-31T23:59:60Z"',
            "a wild offset": '"2026-01-31T14:30:00+99:99"',
            "Arabic digits": '"٢٠٢٦-01-31T14:30:00Z"',
            "ten digits of a second": '"2026-01-31T14:30:00.1234567890Z"',
            "a trailing newline": r'"2026-01-31T14:30:00Z\n"',
            "true": "true",
        },
    ),
    ((fields.List,), {"an object": "{}", "text": '"x"', "a number": "1", "true": "true"}),
    ((fields.Nested,), {"text": '"x"', "a number": "1", "a list": "[1]", "an unknown field": '{"nonsense": 1}'}),
    ((fields.String,), {"a number": "1", "a fraction": "1.5", "true": "true", "a list": '["x"]', "an object": "{}"}),
]  # fmt: skip
ANYTHING = (fields.Raw, fields.Dict, fields.Mapping)

# Whole bodies. None of them is one JSON object in UTF-8 with fields that any route knows.
BODIES: dict[str, bytes] = {
    "a list": b"[]",
    "a list of objects": b"[{}]",
    "text": b'"x"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "half an object": b"{",
    "one brace too many": b"{}}",
    "two objects": b"{}{}",
    "a trailing comma": b'{"a": 1,}',
    "a comment": b"{} // x",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without a mark": b'{\x00"\x00a\x00"\x00:\x001\x00}\x00',
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "Latin-1": '{"ä": 1}'.encode("latin-1"),
    "cut UTF-8": b'{"a": "\xc3"}',
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "gzip": gzip.compress(b"{}"),
    "a form": b"username=x&password=y",
    "XML": b"<?xml version='1.0'?><a/>",
    "a name twice": b'{"a": 1, "a": 2}',
    "a NUL byte": b"\x00",
    "a NUL byte inside": b'{"a": "\x00"}',
    "spaces": b"   ",
    "deep lists": deep(2_000).encode(),
    "very deep lists": deep(100_000).encode(),
    "deep objects": b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    "an unknown field": b'{"nonsense": 1}',
    "an operator": b'{"$where": "1"}',
    "operators": b'{"$set": {"role": "admin"}, "$ne": null}',
    "a prototype": b'{"__proto__": {"role": "admin"}}',
    "a class": b'{"__class__": "x"}',
    "an id": b'{"_id": 1}',
    "an empty name": b'{"": 1}',
    "a dotted name": b'{"a.b": 1}',
    "a NUL in a name": rb'{"a\u0000b": 1}',
    "a surrogate in a name": rb'{"\ud800": 1}',
    "a long name": b'{"' + b"n" * 100_000 + b'": 1}',
    "many names": json.dumps({f"n{number}": number for number in range(5_000)}).encode(),
    "NaN": b'{"a": NaN}',
    "a long integer": b'{"a": ' + b"9" * 10_000 + b"}",
    "a wild exponent": b'{"a": 1e99999999999999999999}',
}
MEDIA_TYPES = [
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "image/png",
    "nonsense",
    "",
    ";",
    "json",
]
PATH_VALUES = [
    "$ne", "%7B%22$ne%22:null%7D", "null", "-1", "0", "..", "%2e%2e%2f%2e%2e%2fetc", "%00", "a%00b", "%ff%fe", "%zz",
    "%", "%C3%28", "a" * 3_000, "%F0%9F%92%A5", "%0d%0aSet-Cookie:x", "1' OR '1'='1", "NaN", "%D9%A1%D9%A2", "[$ne]=x",
]  # fmt: skip
LIST_QUERIES = [
    "page=0", "page=-1", "page=1.5", "page=NaN", "page=", "page=%D9%A1", "page=1_0", "page=99999999999999999999",
    "page=1&page=2", "page_size=0", "page_size=1001", "page_size=1e2", "page_size=%00", "page=$ne", "page[$ne]=1",
    "ordering=nonsense", "ordering=$where", "ordering=", "ordering=-", "ordering=--x", "nonsense=1", "$where=1",
    "_id=1", "%24ne=1", "%ff=1", "=1", "page=%", "page=%f", "page=%ff", "cursor=nonsense", "cursor=AAAA",
    "cursor=%00", "cursor=" + "A" * 2_000, "page=1&cursor=", "a=1&" * 200 + "b=1", "search=%00",
    "search=" + "x" * 201,
]  # fmt: skip


def valid_value(kind: "fields.Field[Any]") -> Any:
    """Make a value that a field of this kind may take."""
    if isinstance(kind, fields.Nested):
        return valid_object(kind.schema)
    if isinstance(kind, fields.List):
        return [valid_value(kind.inner)]
    if isinstance(kind, fields.Enum):
        first = next(iter(kind.enum))
        return first.value if kind.by_value else first.name
    for known, value in _EXAMPLES:
        if isinstance(kind, known):
            return next((each for each in (value, *_NUMBERS) if _takes(kind, each)), value)
    for validator in kind.validators:
        if isinstance(validator, validate.OneOf):
            return next(iter(validator.choices))
    return next((each for each in (*_TEXTS, *_NUMBERS) if _takes(kind, each)), "IBM")


def _takes(kind: "fields.Field[Any]", value: Any) -> bool:
    try:
        kind.deserialize(value)
    except ValidationError:
        return False
    return True


_TEXTS = ("IBM", "ibm", "USD", "1d", "paper", "trade", "long enough to be a password", "a@example.com")
_NUMBERS = ("1", "0.5", 2, 100, 0.5)
WHOLE: dict[str, dict[str, Any]] = {
    "TrainModelSchema": {"kind": "sentiment", "name": "mine", "rows": [{"text": "Profit rose", "label": "positive"}]}
}
"""Good bodies where which fields there are follows from one of them."""
_EXAMPLES: list[tuple[type[Any], Any]] = [
    (NetworkField, "203.0.113.0/24"),
    (DecimalField, "10"),
    (InstantField, "2026-01-31T14:30:00Z"),
    (fields.UUID, UUID_TEXT),
    (fields.Boolean, True),
    (fields.Integer, 1),
    (fields.Float, 1.5),
    (fields.Dict, {}),
]


def valid_object(schema: Schema) -> dict[str, Any]:
    """Make an object of the fields a schema requires, with values of the right kind."""
    required = {name: valid_value(each) for name, each in inputs(schema).items() if each.required}
    return dict(WHOLE.get(type(schema).__name__, required))


def inputs(schema: Schema) -> dict[str, "fields.Field[Any]"]:
    """Return the fields a body may have, by the name they have there."""
    return {each.data_key or name: each for name, each in schema.fields.items() if not each.dump_only}


def bad_values(kind: "fields.Field[Any]") -> Iterator[tuple[str, str]]:
    """Give raw JSON texts that a field must refuse."""
    if isinstance(kind, ANYTHING):
        yield from ((why, text) for why, text in NEVER.items() if "operator" not in why and why != "code")
        return
    yield from NEVER.items()
    for kinds, values in BY_KIND:
        if isinstance(kind, kinds):
            yield from values.items()
            break
    if not kind.allow_none:
        yield "null", "null"
    if isinstance(kind, DecimalField) and kind.above is not None:
        yield "not above", f'"{kind.above}"'
        yield "negative", str(kind.above - 1)


def bad_bodies(schema: Schema) -> Iterator[tuple[str, bytes]]:
    """Give bodies with exactly one thing wrong, for every field; nested ones too."""
    base = valid_object(schema)
    for name, kind in inputs(schema).items():
        for why, text in bad_values(kind):
            yield f"{name}: {why}", _with(base, name, text)
        if isinstance(kind, fields.Nested) and not kind.many:
            for why, body in bad_bodies(kind.schema):
                yield f"{name}.{why}", _with(base, name, body.decode())
        if isinstance(kind, fields.List) and not isinstance(kind.inner, ANYTHING):
            for why, text in bad_values(kind.inner):
                yield f"{name}[]: {why}", _with(base, name, f"[{text}]")
        if kind.required:
            missing = {key: value for key, value in base.items() if key != name}
            yield f"{name}: missing", json.dumps(missing).encode()
    yield "an unknown field beside", json.dumps({**base, "nonsense": 1}).encode()


def _with(base: dict[str, Any], name: str, text: str) -> bytes:
    return json.dumps({**base, name: MARK}).replace(f'"{MARK}"', text).encode()


def bad_requests(route: Route) -> Iterator[BadRequest]:
    """Give every bad request of a route."""
    assert issubclass(route.handler, ApiHandler)
    for method, declared in route.handler.operations.items():
        role = sorted(declared.roles)[0] if declared.roles else None
        path = route.template.replace("{id}", UUID_TEXT).replace("{name}", "x").replace("{symbol}", "IBM")
        plain = BadRequest("", method, path, role)
        yield from _bad_addresses(route, plain)
        yield from _bad_queries(declared, plain)
        if declared.reads_body:
            yield from _bad_payloads(declared, plain)


def _bad_addresses(route: Route, plain: BadRequest) -> Iterator[BadRequest]:
    if "{" in route.template:
        before, _, rest = route.template.partition("{")
        after = rest.partition("}")[2].replace("{id}", UUID_TEXT)
        for value in PATH_VALUES:
            body = b"{}" if plain.method in ("POST", "PUT", "PATCH") else None
            yield replace(plain, why=f"path {value[:30]}", path=f"{before}{quote(value, safe='%')}{after}", body=body)


def _bad_queries(declared: Operation, plain: BadRequest) -> Iterator[BadRequest]:
    queries = ["nonsense=1", "$where=1", "%ff=%ff", "a[$ne]=1"]
    if declared.listing is not None:
        queries += LIST_QUERIES
        for name, (kind, operators) in declared.listing.filters.items():
            queries += [f"{name}__regex=.*", f"{name}[$ne]=x", f"{name}=1&{name}=2", f"{name}__in__in=1", f"{name}__=1"]
            for _, text in _texts(kind):
                queries += [f"{name}{'' if op == 'eq' else '__' + op}={quote(text)}" for op in operators]
    if declared.query is not None:
        for name, kind in inputs(declared.query).items():
            queries += [f"{name}={quote(text)}" for _, text in _texts(kind)]
    body = b"{}" if plain.method in ("POST", "PUT", "PATCH") else None
    for query in queries:
        yield replace(plain, why=f"query {query[:40]}", path=f"{plain.path}?{query}", body=body)


def _texts(kind: "fields.Field[Any]") -> Iterator[tuple[str, str]]:
    """Give bad values as a query string can hold them."""
    for kinds, values in BY_KIND[:-1]:
        if isinstance(kind, kinds):
            for why, text in values.items():
                if text.startswith('"') and "\\" not in text and "\n" not in text:
                    yield why, text.strip('"')


def _bad_payloads(declared: Operation, plain: BadRequest) -> Iterator[BadRequest]:
    json_header = {"Content-Type": JSON}
    if JSON in declared.media and declared.body is not None:
        for why, body in BODIES.items():
            arrays = declared.body.many or getattr(declared.body, "takes_arrays", False)
            if not (arrays and body.startswith(b"[{")):
                yield replace(plain, why=f"body {why}", body=body, headers=json_header)
        if not declared.body_optional:
            yield replace(plain, why="body empty", body=b"", headers=json_header)
            yield replace(plain, why="body {}", body=b"{}", headers=json_header)
        for why, body in bad_bodies(declared.body):
            wrapped = b"[%b]" % body if declared.body.many else body
            yield replace(plain, why=why, body=wrapped, headers=json_header)
        base = json.dumps(valid_object(declared.body)).encode()
        yield replace(
            plain, why="gzip said", body=gzip.compress(base), headers={**json_header, "Content-Encoding": "gzip"}
        )
        yield replace(plain, why="latin-1 said", body=base, headers={"Content-Type": f"{JSON}; charset=latin-1"})
    for media in MEDIA_TYPES:
        yield replace(plain, why=f"type {media!r}", body=b"{}", headers={"Content-Type": media})


BAR = {
    "symbol": "IBM", "interval": "1d", "timestamp": "2026-01-31T00:00:00Z",
    "open": "10", "high": "12", "low": "9", "close": "11", "volume": "100",
}  # fmt: skip
TRADE = {"symbol": "IBM", "kind": "trade", "ts": "2026-01-31T14:30:00.123456789Z", "price": "10", "size": "100"}
ROWS = {"/api/v1/market-data/bulk_create/": BAR, "/api/v1/ticks/": TRADE}
TIMES = ("timestamp", "ts")
WORDS = ("symbol", "interval", "kind")


def bad_rows(row: dict[str, str]) -> Iterator[tuple[str, str, bytes]]:
    """Give bodies of one row with one bad value, as (why, media type, body)."""
    for name in row:
        values = dict(NEVER)
        values |= BY_KIND[5][1] if name in TIMES else BY_KIND[-1][1] if name in WORDS else NUMBERS_WRONG
        for why, text in values.items():
            if name in TIMES and why == "a number":  # nanoseconds since the epoch are a time in these bodies
                continue
            written = _with(row, name, text)
            yield f"{name}: {why}", JSON, b"[%b]" % written
            yield f"{name}: {why}", NDJSON, written + b"\n"
        for why, text in values.items():
            # Spaces around a cell are not part of it.
            if (
                name not in WORDS
                and why != "a space"
                and text.startswith('"')
                and "\\" not in text
                and "\n" not in text
            ):
                cell = '"' + text.strip('"') + '"'
                cells = [cell if key == name else value for key, value in row.items()]
                yield f"{name}: {why}", CSV, f"{','.join(row)}\n{','.join(cells)}\n".encode()
        if name == "kind":  # a price makes it a trade
            continue
        without = {key: value for key, value in row.items() if key != name}
        yield f"{name}: missing", JSON, json.dumps([without]).encode()
        yield f"{name}: missing", CSV, f"{','.join(without)}\n{','.join(without.values())}\n".encode()
