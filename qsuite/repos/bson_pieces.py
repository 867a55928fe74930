"""Documents of the order path, written straight as BSON: a piece for each field, put together once.

The driver's encoder calls back into Python for every UUID, decimal and date, and what it encodes must first be made:
together that was a fifth of what an order costs. Here the values that come again and again are remembered as finished
pieces, and the others are a concatenation each. What is rare or irregular goes through the driver (``fields_of``).

Format: bsonspec.org, version 1.1. Invariant: the bytes are those that the driver writes for the same fields.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import bson
from bson.raw_bson import RawBSONDocument

from qsuite.domain.times import NS_PER_MS
from qsuite.repos.database import CODEC, Document
from qsuite.repos.decimals import encode_decimal, encode_decimals

_INT32 = struct.Struct("<i").pack
_INT64 = struct.Struct("<q").pack
_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1
_REMEMBERED = 1 << 12
_UUID_HEAD = b"\x10\x00\x00\x00\x04"  # 16 bytes of the subtype 4
_END = b"\x00"


def raw_document(pieces: Iterable[bytes]) -> RawBSONDocument:
    """Put a document together that the driver sends as it is."""
    return RawBSONDocument(_whole(pieces))


def decoded(document: RawBSONDocument) -> Document:
    """Return a document as it will be read back."""
    return bson.decode(document.raw, CODEC)


def uuid_writer(name: str) -> Callable[[UUID], bytes]:
    """Return what writes a field that is a UUID."""
    head = b"\x05" + _key(name) + _UUID_HEAD
    return lambda value: head + value.bytes


def date_writer(name: str) -> Callable[[int], bytes]:
    """Return what writes a field that is a date, from nanoseconds, cut to milliseconds."""
    head = b"\x09" + _key(name)
    return lru_cache(1024)(lambda ts_ns: head + _INT64(ts_ns // NS_PER_MS))  # a batch has one or two


@lru_cache(_REMEMBERED)
def _money_piece(name: str, text: str) -> bytes:
    return b"\x13" + _key(name) + encode_decimal(Decimal(text)).bid


def money_piece(name: str, value: Decimal) -> bytes:
    """Write a decimal field. ValueError above 34 digits."""
    return _money_piece(name, str(value))  # by text: 1.5 and 1.50 are equal, and are not the same


def text_piece(name: str, value: str) -> bytes:
    """Write a text field."""
    content = value.encode()
    return b"\x02" + _key(name) + _INT32(len(content) + 1) + content + _END


known_text_piece = lru_cache(_REMEMBERED)(text_piece)
"""Write a text field whose few values come again and again."""


def number_piece(name: str, value: int) -> bytes:
    """Write a whole number, as the driver does: in four bytes if it fits, else in eight."""
    if _INT32_MIN <= value <= _INT32_MAX:
        return b"\x10" + _key(name) + _INT32(value)
    return b"\x12" + _key(name) + _INT64(value)


_known_number_piece = lru_cache(1024)(number_piece)


def nested_piece(name: str, pieces: Iterable[bytes]) -> bytes:
    """Write a field that is a document."""
    return b"\x03" + _key(name) + _whole(pieces)


def any_piece(name: str, value: Any) -> bytes:
    """Write a field by the type of its value; decimals, at any depth, become Decimal128."""
    kind = type(value)
    if kind is Decimal:
        return _money_piece(name, str(value))
    if kind is str:
        return known_text_piece(name, value)
    if kind is int:
        return _known_number_piece(name, value)
    return fields_of({name: encode_decimals(value)})


def fields_of(document: Mapping[str, Any]) -> bytes:
    """Write fields as the driver does, to stand among others in a document."""
    return bson.encode(document, codec_options=CODEC)[4:-1]


@lru_cache(_REMEMBERED)
def _key(name: str) -> bytes:
    return name.encode() + _END


def _whole(pieces: Iterable[bytes]) -> bytes:
    content = b"".join(pieces)
    return _INT32(len(content) + 5) + content + _END
