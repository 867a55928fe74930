"""Money between the domain's ``Decimal`` and BSON's ``Decimal128``, exact both ways, trailing zeros kept.

The driver's own conversion costs 4 µs each way, a tenth of the order path when it was measured. Prices and sizes
repeat all day long, so both directions remember what they converted.
"""

import struct
from collections.abc import Mapping
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

from bson.decimal128 import Decimal128

from qsuite.domain.money import DECIMAL128_DIGITS

_BIAS = 6176
_SIGN = 1 << 63
_LOW = (1 << 64) - 1
_SPECIAL = 0b11 << 61  # infinities, NaN, and coefficients over 34 digits: none of them is money
_WORDS = struct.Struct("<QQ")
_EXACT = Context(prec=DECIMAL128_DIGITS)
_REMEMBERED = 1 << 13
"""Prices and sizes come again; sums of money seldom do, and would only fill a larger memory."""


def encode_decimal(value: Decimal) -> Decimal128:
    """Return the Decimal128 of a finite decimal; ValueError above 34 digits, because nothing is rounded here."""
    # Keyed by text: as keys 1.5 and 1.50 would be the same, and one would come back as the other.
    return _encode(str(value))


def encode_optional(value: Decimal | None) -> Decimal128 | None:
    """Return the Decimal128 of a decimal, None of None."""
    return None if value is None else _encode(str(value))


def decode_decimal(value: Decimal128) -> Decimal:
    """Return the decimal that was stored; ValueError for an infinity or NaN, which QSuite never stores."""
    return _decode(value.bid)


def decode_optional(value: Decimal128 | None) -> Decimal | None:
    """Return the decimal of a Decimal128, None of None."""
    return None if value is None else _decode(value.bid)


def encode_decimals(value: Any) -> Any:
    """Return a document's value with every decimal in it, at any depth, as a Decimal128."""
    if isinstance(value, Decimal):
        return _encode(str(value))
    if isinstance(value, Mapping):
        return {name: encode_decimals(each) for name, each in value.items()}
    return [encode_decimals(each) for each in value] if isinstance(value, (list, tuple)) else value


def decode_decimals(value: Any) -> Any:
    """Return what ``encode_decimals`` was given."""
    if isinstance(value, Decimal128):
        return _decode(value.bid)
    if isinstance(value, Mapping):
        return {name: decode_decimals(each) for name, each in value.items()}
    return [decode_decimals(each) for each in value] if isinstance(value, list) else value


@lru_cache(maxsize=_REMEMBERED)
def _encode(text: str) -> Decimal128:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(f"{text} is not money")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if len(digits) > DECIMAL128_DIGITS or not -_BIAS <= exponent <= 6111:
        raise ValueError(f"{text} does not fit a Decimal128")
    coefficient = int("".join(map(str, digits)))
    high = (exponent + _BIAS) << 49 | coefficient >> 64 | (_SIGN if sign else 0)
    return Decimal128.from_bid(_WORDS.pack(coefficient & _LOW, high))


@lru_cache(maxsize=_REMEMBERED)
def _decode(bid: bytes) -> Decimal:
    low, high = _WORDS.unpack(bid)
    if high & _SPECIAL == _SPECIAL:
        raise ValueError("not a finite Decimal128 of up to 34 digits")
    coefficient = (high & ((1 << 49) - 1)) << 64 | low
    value = Decimal(coefficient).scaleb((high >> 49 & 0x3FFF) - _BIAS, _EXACT)
    return value.copy_negate() if high & _SIGN else value
