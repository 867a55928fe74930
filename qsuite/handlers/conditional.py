"""Versions of single resources over HTTP (RFC 9110 section 13): who changes what somebody else changed is told.

An entity tag is ``"<id>.<version>"``, made of what the resource carries anyway.
"""

import re
from typing import Any

from qsuite.domain.errors import Malformed, PreconditionFailed

_TAGS = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e]*"\s*)*')
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')


def etag(resource_id: Any, version: int) -> str:
    """Return the strong tag of a resource's version."""
    return f'"{resource_id}.{version}"'


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Say whether the client has this version already. Compared weakly, as the RFC wants it here."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or f"{tag}" in {f'"{found[1]}"' for found in _TAG.findall(if_none_match)}


def require_match(if_match: str | None, tag: str) -> None:
    """Refuse a change unless it was made against this version; without the header any version will do.

    PreconditionFailed if not; Malformed for a header that holds no tags.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if _TAGS.fullmatch(if_match) is None:
        raise Malformed("If-Match holds no entity tags")
    # Strongly: a weak tag promises too little to overwrite by.
    if tag not in {f'"{name}"' for weak, name in _TAG.findall(if_match) if not weak}:
        raise PreconditionFailed("it was changed since it was read: read it again", current=tag)


def expected_version(if_match: str | None, resource_id: Any) -> int | None:
    """Return the version a change was made against, for a service to compare and set; None where any will do.

    PreconditionFailed for tags of anything else, since they can never match.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    if _TAGS.fullmatch(if_match) is None:
        raise Malformed("If-Match holds no entity tags")
    prefix = f"{resource_id}."
    for weak, name in _TAG.findall(if_match):
        number = name.removeprefix(prefix)
        if not weak and number != name and number.isascii() and number.isdecimal() and len(number) < 18:
            return int(number)
    raise PreconditionFailed("it was changed since it was read: read it again")
