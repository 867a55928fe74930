"""The one place that turns errors into RFC 9457 problems; the status is found along the error's MRO.

Invariant: of an error nobody expected nothing is told but that it happened and under which request id.
"""

from http import HTTPStatus
from math import ceil
from typing import Any

from marshmallow import ValidationError
from tornado.httputil import HTTPInputError
from tornado.web import HTTPError

from qsuite.domain import errors
from qsuite.handlers.payloads import encode

PROBLEM_TYPE = "application/problem+json; charset=utf-8"
ERRORS_PAGE = "/api/docs/errors/"

STATUS: dict[type[Exception], int] = {
    errors.QSuiteError: 500,
    errors.SetupError: 500,
    errors.Malformed: 400,
    errors.Invalid: 422,
    errors.OrderRefused: 422,
    errors.OrderTooFast: 429,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.PreconditionFailed: 412,
    errors.AlreadyExists: 409,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.NotAcceptable: 406,
    errors.TooMany: 429,
    errors.Throttled: 429,
    errors.Unavailable: 503,
    errors.OutcomeUnknown: 503,
    ValidationError: 422,
    HTTPInputError: 400,
}

HTTP_CODES: dict[int, tuple[str, str]] = {
    400: ("malformed", "the request could not be read"),
    401: ("unauthenticated", "a bearer token is required"),
    403: ("forbidden", "this is not allowed"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take that method; see Allow"),
    408: ("timeout", "the request did not arrive in time"),
    413: ("too_large", "the body is larger than this address takes"),
    415: ("unsupported_media_type", "this address does not read that type"),
    426: ("upgrade_required", "this address speaks WebSocket, version 13"),
    429: ("too_many_requests", "too many requests"),
    431: ("header_too_large", "the header is larger than this server takes"),
    500: ("internal", "something went wrong on our side; the request id helps us find it"),
    503: ("unavailable", "temporarily unavailable"),
}
"""Code and detail of the statuses that HTTP itself gives rise to, without an error of ours."""


def status_of(error: BaseException) -> int:
    """Return the status of an error: its own row or its nearest ancestor's, else 500."""
    if isinstance(error, HTTPError):
        return error.status_code
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(error: BaseException | None, status: int, *, instance: str, request_id: str) -> dict[str, Any]:
    """Build a problem. The error's facts are members after the fixed ones and never in place of them."""
    if isinstance(error, errors.QSuiteError) and status != 500:
        code, title, detail = error.code, error.title, error.detail
    else:
        title = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "Error"
        code, detail = HTTP_CODES.get(status, ("error", title))
        error = None
    fixed = {
        "type": f"{ERRORS_PAGE}#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
    }
    return fixed if error is None else with_facts(error, fixed)


def with_facts(error: errors.QSuiteError, fixed: dict[str, Any]) -> dict[str, Any]:
    """Return the fixed members, then the error's facts and wrong fields, which never take the place of those."""
    facts = dict(error.facts)
    if isinstance(error, errors.Invalid) and error.errors:
        facts["errors"] = error.errors
    # The fixed ones come first, for whoever reads it in a terminal: the order that a refusal carries is long.
    return fixed | facts | fixed


def problem_headers(error: BaseException | None, status: int) -> dict[str, str]:
    """Return the headers that go with a problem."""
    headers = {"Content-Type": PROBLEM_TYPE}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="qsuite"'
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is None and status == 503:
        retry_after_s = 1
    if retry_after_s is not None:
        headers["Retry-After"] = str(max(1, ceil(retry_after_s)))
    return headers


def problem_bytes(error: BaseException | None, status: int, *, instance: str, request_id: str) -> bytes:
    """Write a problem as JSON."""
    return encode(problem(error, status, instance=instance, request_id=request_id))
