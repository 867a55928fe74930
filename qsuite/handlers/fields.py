"""Marshmallow fields of QSuite: decimals as strings, instants as RFC 3339, flags that are true or false alone."""

import re
from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields

from qsuite.domain.money import parse_decimal, show
from qsuite.domain.scopes import parse_network
from qsuite.domain.times import format_rfc3339, parse_rfc3339

NETWORK_MAX = 64


class DecimalField(fields.Field[Decimal]):
    """A Decimal: string or number on input, string on output, exact both ways.

    ``above`` is an exclusive and ``least`` an inclusive lower bound; ``most`` is an inclusive upper one.
    """

    def __init__(
        self, *, above: int | None = None, least: int | None = None, most: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.above = above
        self.least = least
        self.most = most

    def _serialize(self, value: Decimal | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else show(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Decimal:
        try:
            number = parse_decimal(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        if self.above is not None and number <= self.above:
            raise ValidationError(f"must be above {self.above}")
        if self.least is not None and number < self.least:
            raise ValidationError(f"must be at least {self.least}")
        if self.most is not None and number > self.most:
            raise ValidationError(f"must be at most {self.most}")
        return number


class InstantField(fields.Field[int]):
    """Nanoseconds since the epoch, written as RFC 3339 in UTC; any offset is read, none is refused."""

    def _serialize(self, value: int | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else format_rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str):
            raise ValidationError("not a string")
        try:
            return parse_rfc3339(value)
        except (ValueError, OverflowError) as error:
            raise ValidationError(str(error)) from None


class NetworkField(fields.String):
    """An address or a network of addresses: ``203.0.113.7``, ``2001:db8::/32``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if len(text) > NETWORK_MAX or "%" in text:
            raise ValidationError("not an address or network")
        try:
            return parse_network(text)
        except ValueError:
            raise ValidationError("not an address or network") from None


class FlagField(fields.Boolean):
    """True or false, and no number or word that could mean either."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):  # 1 == True, so a set of allowed values would take it
            raise ValidationError("not true or false")
        return value


class WholeField(fields.Integer):
    """A whole number of a query, in plain digits: what else ``int`` reads (``1_000``, other scripts) is a slip."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or re.fullmatch(r"-?(0|[1-9][0-9]{0,15})", value) is None:
            raise ValidationError("not a whole number")
        return int(value)


class StatisticField(fields.Float):
    """A plain number of a query, which is no money; spelt as a decimal is."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        try:
            return float(parse_decimal(value))
        except ValueError as error:
            raise ValidationError(str(error)) from None
