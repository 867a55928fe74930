"""Which of the types a route offers does the client want (RFC 9110, section 12.5.1)?"""

import re
from collections.abc import Sequence

from qsuite.domain.errors import NotAcceptable

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """Return the offered type that is wanted most, the first one where there is no wish. NotAcceptable for none.

    The range that names a type most precisely tells how much it is wanted. Of types wanted alike the one that is named
    more precisely comes first, then the one offered first: ``text/csv, */*`` means CSV.
    """
    if accept is None or not accept.strip():
        return offered[0]
    wishes = [wish for wish in map(_read, accept.split(",")) if wish is not None]
    rated = [(*_rate(media, wishes), -place) for place, media in enumerate(offered)]
    quality, _, place = max(rated)
    if quality <= 0:
        raise NotAcceptable(f"this route answers in {', '.join(offered)}", offered=list(offered))
    return offered[-place]


def _rate(media: str, wishes: Sequence[tuple[str, float]]) -> tuple[float, int]:
    """Return how much a type is wanted, and how precisely that was said."""
    ranges = (media, f"{media.partition('/')[0]}/*", "*/*")
    for precision, wanted in zip((3, 2, 1), ranges, strict=True):
        qualities = [quality for name, quality in wishes if name == wanted]
        if qualities:
            return max(qualities), precision
    return 0.0, 0


def _read(part: str) -> tuple[str, float] | None:
    """Read one range; None for one whose weight is no weight, which then counts as not said."""
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            weight = value.strip()
            return (name, float(weight)) if _QUALITY.fullmatch(weight) else None
    return name, 1.0
