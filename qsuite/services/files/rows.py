"""What reading market data gives, and the rules a row must meet to be market data at all.

Invariant: a row that breaks a rule is reported with its line and left out; it is never repaired. Crossed quotes and
one-sided quotes are real and kept.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

from qsuite.domain.market import Bar, Quote, Trade
from qsuite.domain.money import ZERO, parse_decimal

MarketRow = Trade | Quote | Bar
RowT = TypeVar("RowT", bound=MarketRow, covariant=True)

_SYMBOL = re.compile(r"[A-Za-z0-9^.=@#][A-Za-z0-9^.=@#/_:&+-]{0,63}")
# Longer text is not even stripped: what is remembered below must stay small.
_TEXT_MAX = 100
# int64 nanoseconds: 1677-09-21 to 2262-04-11.
_TS_NS_MAX = 2**63 - 1


class BadRow(NamedTuple):
    """A row left out: its line (1 is the header of a text file; a row's number elsewhere), why, and which field."""

    line: int
    reason: str
    field: str | None = None


class Chunk(NamedTuple, Generic[RowT]):
    """Consecutive rows of one file. ``last_line`` is where to go on; ``done`` the share of the file's bytes read."""

    rows: list[RowT]
    bad: list[BadRow]
    last_line: int
    done: float


class Decoded(NamedTuple, Generic[RowT]):
    """The rows of a request body, the line of each, and the rows left out."""

    rows: list[RowT]
    lines: list[int]
    bad: list[BadRow]


class RowError(ValueError):
    """Say what is wrong with one row, and in which field."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


def _read_number(text: str) -> Decimal:
    # Up to 19 digits and one point cannot break a bound of parse_decimal, whose full check costs six times as much.
    if len(text) < 20 and text.isascii() and text.replace(".", "", 1).isdigit():
        return Decimal(text) or ZERO
    if len(text) > _TEXT_MAX:
        raise ValueError("not a decimal number")
    return parse_decimal(text.strip())


# Prices and sizes repeat all day long: remembering their text saves most of the work of reading it.
@lru_cache(maxsize=1 << 16)
def read_price(text: str) -> Decimal:
    """Read a number above zero."""
    value = _read_number(text)
    if value <= 0:
        raise ValueError("must be above zero")
    return value


@lru_cache(maxsize=1 << 16)
def read_amount(text: str) -> Decimal:
    """Read a number that is zero or more."""
    value = _read_number(text)
    if value < 0:
        raise ValueError("must not be below zero")
    return value


def read_optional_price(text: str) -> Decimal | None:
    """Read a number above zero; an empty cell is None."""
    return read_price(text) if text else None


def read_optional_amount(text: str) -> Decimal | None:
    """Read a number of zero or more; an empty cell is None."""
    return read_amount(text) if text else None


@lru_cache(maxsize=4096)
def read_symbol(text: str) -> str:
    """Read a symbol: up to 64 letters, digits and ``^ . = @ # / _ : & + -``."""
    symbol = text.strip() if len(text) <= _TEXT_MAX else ""
    if _SYMBOL.fullmatch(symbol) is None:
        raise ValueError("not a symbol")
    return symbol


def check_time(ts_ns: int) -> int:
    """Return an instant that fits in 64 bits of nanoseconds."""
    if not -_TS_NS_MAX <= ts_ns <= _TS_NS_MAX:
        raise ValueError("outside the years 1678 to 2262")
    return ts_ns


def check_range(open_: Decimal, high: Decimal, low: Decimal, close: Decimal, prefix: str = "") -> None:
    """Raise RowError unless the high is the highest and the low the lowest of the four."""
    if high < open_ or high < close or high < low:
        raise RowError("the high is below the open, the low or the close", f"{prefix}high")
    if low > open_ or low > close:
        raise RowError("the low is above the open or the close", f"{prefix}low")
