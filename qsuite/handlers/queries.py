"""The address of a request, read strictly: what two readers could take differently is refused."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from qsuite.domain.errors import Invalid, Malformed

MAX_PARAMETERS = 100
Query = Mapping[str, list[str]]

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})|%00")


def check_address(uri: str) -> None:
    """Refuse an address that is not ASCII with whole percent escapes, or that holds a NUL. Malformed."""
    if not uri.isascii():
        raise Malformed("an address is ASCII; everything else in it is percent-encoded UTF-8")
    if "%" in uri and _BAD_ESCAPE.search(uri):
        raise Malformed("the address holds a percent escape that cannot be read")


def read_query(query: str) -> Query:
    """Read a query string into lists by name. Malformed if it is not UTF-8 or has too many parts."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except UnicodeDecodeError:
        raise Malformed("the query string is not UTF-8") from None
    except ValueError:
        raise Malformed(f"the query string has more than {MAX_PARAMETERS} parts") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def single_values(given: Query) -> dict[str, str]:
    """Return each parameter's one value. Invalid names those given more than once."""
    doubled = {name: ["given more than once"] for name, values in given.items() if len(values) > 1}
    if doubled:
        raise Invalid("the query string has errors", errors=doubled)
    return {name: values[0] for name, values in given.items()}
