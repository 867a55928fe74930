"""The head of an answer, as bytes: what is the same for every answer is rendered once, not for each.

Security headers, date and status line would otherwise cost a tenth of a small request. A handler's own headers win over
the defaults of the same name.
"""

import os
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from itertools import count

from qsuite.settings import HttpSettings

NOTHING_ELSE = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HSTS = "max-age=31536000; includeSubDomains"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class DefaultHeaders:
    """What every answer carries unless its handler says otherwise. Built once per application."""

    def __init__(self, http: HttpSettings) -> None:
        self.pairs: dict[str, str] = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": NOTHING_ELSE,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
        if http.hsts:
            self.pairs["Strict-Transport-Security"] = HSTS
        self._block = _render(self.pairs)
        self._cors_origins = frozenset(http.cors_origins)

    def render_beside(self, own: Mapping[str, list[str]]) -> bytes:
        """Render the defaults that ``own`` (canonical names) does not set."""
        if own.keys().isdisjoint(self.pairs):
            return self._block
        return _render({name: value for name, value in self.pairs.items() if name not in own})

    def cross_origin(self, origin: str) -> Mapping[str, str]:
        """Return the headers that let a site read the answer: for the configured origins, exactly, and no other."""
        if origin not in self._cors_origins:
            return {"Vary": "Origin"}
        return {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
            "Access-Control-Allow-Headers": (
                "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-ID"
            ),
            "Access-Control-Expose-Headers": "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID",
            "Access-Control-Max-Age": "600",
        }


def _render(pairs: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in pairs.items()).encode("latin-1")


def status_line(status: int) -> bytes:
    """Return ``HTTP/1.1 200 OK``, with its line end."""
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n".encode()


_date: tuple[int, bytes] = (0, b"")


def date_line() -> bytes:
    """Return the Date header, with its line end; written anew once a second."""
    global _date
    now = int(time.time())
    if _date[0] != now:
        _date = now, f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
    return _date[1]


_prefix = os.urandom(8).hex()
_numbers = count(1)


def new_request_id() -> str:
    """Return an id unlike any other's: this process' random part and a number. It is a name, not a secret."""
    return f"{_prefix}{next(_numbers):012x}"


_REQUEST_ID_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
MAX_REQUEST_ID = 128


def request_id_from(given: str | None) -> str:
    """Take over a caller's id if it is short and plain, so that it can stand in any log; else make one."""
    if given and len(given) <= MAX_REQUEST_ID and _REQUEST_ID_SIGNS.issuperset(given):
        return given
    return new_request_id()
