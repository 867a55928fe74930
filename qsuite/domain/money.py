"""Money, prices and quantities: ``Decimal`` only, exact, bounded to what a Decimal128 holds.

A decimal from outside passes through ``parse_decimal``; nothing here ever sees a float.
"""

import decimal
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Any

ZERO = Decimal(0)
DECIMAL128_DIGITS = 34
# Wider than any price, volume or balance; far inside Decimal128's 10^6144 so that sums and products stay inside too.
# Exchanges publish sizes with 19 decimals (0.0038217599999999996): as many places as there are digits.
MAX_EXPONENT = 24
MIN_EXPONENT = -34
SHARE = Decimal("1E-15")

# 34 digits, half-even: the arithmetic of IEEE 754 decimal128. Products of bounded inputs are exact well before that.
MONEY = Context(prec=DECIMAL128_DIGITS, rounding=ROUND_HALF_EVEN)
# A remainder needs room for the whole quotient: of the largest magnitude by the smallest there can be, 59 digits.
_GRID = Context(prec=64)

# Operators use the context of their thread or task. Python's own has 28 digits, six fewer than a Decimal128 keeps: a
# balance read back from storage would be cut by the next addition. Set once here, before any task or thread starts.
decimal.DefaultContext.prec = DECIMAL128_DIGITS
decimal.getcontext().prec = DECIMAL128_DIGITS

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


def parse_decimal(raw: object) -> Decimal:
    """Read a decimal exactly from a string, an int or a Decimal.

    ValueError for booleans, floats, NaN, infinities, underscores, non-ASCII digits, more than 34 digits, or a
    magnitude outside 10^-34 .. 10^24.
    """
    if isinstance(raw, bool):
        raise ValueError("a boolean is not a number")  # noqa: TRY004  a bad value to the caller, whatever its type
    if isinstance(raw, str):
        if len(raw) > 80 or _NUMBER.fullmatch(raw) is None:
            raise ValueError("not a decimal number")
        value = Decimal(raw)
    elif isinstance(raw, (int, Decimal)):
        if isinstance(raw, int) and abs(raw) >= 10 ** (MAX_EXPONENT + 1):
            raise ValueError("number too large")
        value = Decimal(raw)
    else:
        raise ValueError("not a decimal number")  # noqa: TRY004
    return check_decimal(value)


def check_decimal(value: Decimal) -> Decimal:
    """Return the value if a Decimal128 holds it exactly and it is of a sane magnitude, else ValueError."""
    if not value.is_finite():
        raise ValueError("not a finite number")
    if value == 0:
        return ZERO
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if len(digits) > DECIMAL128_DIGITS:
        raise ValueError(f"more than {DECIMAL128_DIGITS} digits")
    if value.adjusted() > MAX_EXPONENT:
        raise ValueError("number too large")
    if exponent < MIN_EXPONENT:
        raise ValueError(f"more than {-MIN_EXPONENT} decimal places")
    return value


def show(value: Decimal) -> str:
    """Write a decimal in plain notation, never with an exponent: ``150.25``."""
    text = str(value)
    return format(value, "f") if "E" in text else text  # the same, at a third of the time


def show_all(value: Any) -> Any:
    """Write every decimal in a document's value, at any depth, in plain notation."""
    if isinstance(value, Decimal):
        return show(value)
    if isinstance(value, Mapping):
        return {name: show_all(each) for name, each in value.items()}
    return [show_all(each) for each in value] if isinstance(value, (list, tuple)) else value


def share_of(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the part's share of a total, rounded to 10^-15.

    A quotient left at its 34 digits would make the next sum inexact: what is taken and what is left would no longer add
    up to the total. Rounded this far above the last digit, both stay exact (totals below 10^19).
    """
    if part == whole:
        return total
    share = total * part / whole if part else ZERO
    return share if share == share.quantize(SHARE) else share.quantize(SHARE)


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Say whether the value lies on the grid of the step (a tick or lot size above zero)."""
    return _GRID.remainder(value, step) == 0


def round_to_tick(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """Move a price to the next multiple of the tick, upwards or downwards; a price on the grid stays."""
    steps = MONEY.divide(price, tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return MONEY.multiply(steps, tick)
