"""The one place that turns errors into RFC 9457 problems; found along the error's MRO."""

from typing import Any

from marshmallow import ValidationError
from tornado.web import HTTPError

from qsuite.domain import errors

STATUS: dict[type[Exception], int] = {
    errors.Malformed: 400,
    errors.Invalid: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.PreconditionFailed: 412,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}

HTTP_CODES = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    431: "header_too_large",
    500: "internal",
    503: "unavailable",
}


def status_of(error: BaseException) -> int:
    """Return the status of an error: its own row or its nearest ancestor's, else 500."""
    if isinstance(error, HTTPError):
        return error.status_code
    if isinstance(error, ValidationError):
        return 422
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(error: BaseException | None, status: int, reason: str) -> dict[str, Any]:
    """Build the members of the problem that depend on the error alone; of an unexpected one nothing is told."""
    if isinstance(error, errors.QSuiteError) and status != 500:
        body: dict[str, Any] = {"title": error.title, "detail": error.detail, "code": error.code}
        if isinstance(error, errors.Invalid) and error.errors:
            body["errors"] = error.errors
        body.update(error.facts)
        return body
    code = HTTP_CODES.get(status, "error")
    detail = "Something went wrong on our side." if status >= 500 else reason
    return {"title": reason, "detail": detail, "code": code}
