"""Marshmallow fields of market data: symbols, intervals, the edges of ranges."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from qsuite.domain.intervals import parse_interval
from qsuite.domain.times import parse_rfc3339
from qsuite.handlers.fields import InstantField

# One spelling for all: what can be a ticker can be traded, asked for and limited.
SYMBOL = validate.Regexp(
    r"[A-Za-z0-9^.=@#][A-Za-z0-9^.=@#/_:&+-]{0,63}\Z", error="1 to 64 letters, digits or ^ . = @ # / _ : & + -"
)
# int64 nanoseconds end in the years 1677 and 2262.
TS_NS_MAX = 2**63 - 1
# Whole years inside them, so that the bar in which a range ends has an end, too.
FIRST_NS = parse_rfc3339("1678-01-01T00:00:00Z")
LAST_NS = parse_rfc3339("2262-01-01T00:00:00Z")


class IntervalField(fields.String):
    """The length of a bar, in its one spelling: ``60m`` is read as ``1h``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return parse_interval(super()._deserialize(value, attr, data, **kwargs)).name
        except ValueError as error:
            if isinstance(error, ValidationError):
                raise
            raise ValidationError(str(error)) from None


class EdgeField(InstantField):
    """The start or end of a range. Beyond the years 1678 to 2262 there is no market data, so it ends there."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return min(max(super()._deserialize(value, attr, data, **kwargs), FIRST_NS), LAST_NS)


class BarTimeField(InstantField):
    """The start of a bar: an instant that fits 64 bits of nanoseconds."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        ts_ns = super()._deserialize(value, attr, data, **kwargs)
        if abs(ts_ns) > TS_NS_MAX:
            raise ValidationError("outside the years 1678 to 2262")
        return ts_ns
