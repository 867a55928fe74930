"""The base of every HTTP handler: request id, caller, declared operation, body, answer, problem.

Invariant: no answer leaves without ``X-Request-ID`` and the security headers, no error in any other shape than
problem+json, and no method runs before its declared roles were checked.
"""

import asyncio
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, NoReturn, cast
from urllib.parse import urlencode

import orjson
import structlog
from marshmallow import Schema, ValidationError
from tornado.web import HTTPError, RequestHandler

from qsuite.domain.errors import Forbidden, Invalid, Malformed, TooLarge, Unauthenticated, UnsupportedMedia
from qsuite.domain.listing import Listing, Page
from qsuite.domain.money import show
from qsuite.domain.roles import Caller
from qsuite.handlers.operations import JSON, Operation
from qsuite.handlers.problems import problem, status_of
from qsuite.services.container import Services

log = structlog.get_logger(__name__)

METHODS = ("get", "post", "put", "patch", "delete")
MAX_DEPTH = 64
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_DEEPER = re.compile(rb"[\[{]")


class ApiHandler(RequestHandler):
    """Handle one route. Subclasses declare each method with ``@operation`` and call a service."""

    operations: ClassVar[dict[str, Operation]] = {}
    body: Any = None
    query: Mapping[str, Any]
    caller: Caller

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared: dict[str, Operation] = {}
        for method in METHODS:
            function = getattr(cls, method)
            if function is getattr(RequestHandler, method):
                continue
            if not hasattr(function, "operation"):
                raise TypeError(f"{cls.__qualname__}.{method} declares no operation, so nobody may call it")
            declared[method.upper()] = function.operation
        cls.operations = declared

    # -- request ------------------------------------------------------------------------------------------------

    @property
    def services(self) -> Services:
        """Return what handlers may call."""
        return cast(Services, self.settings["services"])

    @property
    def request_id(self) -> str:
        """Return the caller's request id if it is sane, else one made here; the same for the whole request."""
        known: str | None = getattr(self.request, "qsuite_id", None)
        if known is None:
            given = self.request.headers.get("X-Request-ID", "")
            known = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
            self.request.qsuite_id = known  # type: ignore[attr-defined]
        return known

    async def prepare(self) -> None:
        """Check method, caller, role, query and body, in this order, from the operation's declaration."""
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=self.request_id)
        declared = self.operations.get("GET" if self.request.method == "HEAD" else self.request.method or "")
        if declared is None:
            if self.request.method == "OPTIONS":
                return
            raise HTTPError(405)
        if declared.roles:
            self.caller = await self._authenticate()
            if self.caller.role not in declared.roles:
                raise Forbidden(f"the role {self.caller.role.value} may not do this")
        if declared.query is not None:
            self.query = self._read_query(declared)
        elif declared.listing is None and self.request.query:
            raise Invalid("this route takes no query parameters", errors=_unknown(self.request.query_arguments))
        self._check_size(declared)
        if declared.body is not None and self._media_type(declared) == JSON:
            self.body = load(declared.body, read_json(self.request.body))

    async def _authenticate(self) -> Caller:
        header = self.request.headers.get("Authorization")
        if header is None:
            raise Unauthenticated("a bearer token is required")
        auth = self.services.auth
        return auth.remembered(header) or await auth.authenticate(header)

    def _media_type(self, declared: Operation) -> str:
        given = self.request.headers.get("Content-Type", JSON).partition(";")[0].strip().lower()
        if given not in declared.media:
            raise UnsupportedMedia(f"this route reads {', '.join(declared.media)}")
        return given

    def _check_size(self, declared: Operation) -> None:
        limits = self.services.settings.http
        allowed = limits.max_bulk_bytes if declared.bulk else limits.max_body_bytes
        if len(self.request.body) > allowed:
            raise TooLarge(f"at most {allowed} bytes")

    def _read_query(self, declared: Operation) -> Mapping[str, Any]:
        assert declared.query is not None
        given = self._query_strings()
        known = {name: values for name, values in given.items() if name in declared.query.fields}
        if declared.listing is None and len(known) < len(given):
            raise Invalid("unknown query parameters", errors=_unknown(given.keys() - known.keys()))
        doubled = {name: ["given more than once"] for name, values in known.items() if len(values) > 1}
        if doubled:
            raise Invalid("the query string has errors", errors=doubled)
        return cast(Mapping[str, Any], load(declared.query, {name: values[0] for name, values in known.items()}))

    def _query_strings(self) -> dict[str, list[str]]:
        try:
            return {
                name: [value.decode("utf-8") for value in values]
                for name, values in self.request.query_arguments.items()
            }
        except UnicodeDecodeError:
            raise Malformed("the query string is not UTF-8") from None

    def listing(self) -> Listing:
        """Read the list parameters as declared."""
        declared = self.operations["GET"]
        assert declared.listing is not None
        own = frozenset(declared.query.fields) if declared.query is not None else frozenset()
        return declared.listing.read(self._query_strings(), also=own)

    # -- answer -------------------------------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        """Set what every answer carries, problems included (``send_error`` clears all else)."""
        self.clear_header("Server")
        for name, value in self.settings["default_headers"]:
            self.set_header(name, value)
        self.set_header("X-Request-ID", self.request_id)
        allow_cross_origin(self)

    def answer(self, value: Any, status: int = 200) -> None:
        """Write JSON. Decimals become strings."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(encode(value))

    def answer_page(self, page: Page[Any], shown: Sequence[Any]) -> None:
        """Write one page of a list in its envelope, with links that keep the other parameters."""
        listing = self.listing()
        following = previous = None
        if listing.cursor is not None:
            following = self._link(cursor=page.next_cursor) if page.next_cursor else None
        else:
            following = self._link(page=listing.page + 1) if page.has_next else None
            previous = self._link(page=listing.page - 1) if listing.page > 1 else None
        self.answer({"count": page.count, "next": following, "previous": previous, "results": list(shown)})

    def _link(self, **changed: object) -> str:
        kept = {name: values[0] for name, values in self._query_strings().items()}
        kept.update({name: str(value) for name, value in changed.items()})
        return f"{self.request.protocol}://{self.request.host}{self.request.path}?{urlencode(kept)}"

    # -- problems -----------------------------------------------------------------------------------------------

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write the problem of an exception (Tornado says 500 of all it does not know), or of a bare status."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        status = status_code if error is None else status_of(error)
        self.set_status(status)
        self.send_problem(error, status)

    def send_problem(self, error: BaseException | None, status: int) -> None:
        """Finish the request with a problem."""
        body = problem(error, status, self._reason)
        if status == 405:
            self.set_header("Allow", ", ".join(sorted({*self.operations, "OPTIONS"})))
        if status == 401:
            self.set_header("WWW-Authenticate", 'Bearer realm="qsuite"')
        retry_after_s = getattr(error, "retry_after_s", None)
        if retry_after_s is not None:
            self.set_header("Retry-After", str(max(1, round(retry_after_s))))
        self.set_header("Content-Type", "application/problem+json; charset=utf-8")
        code = str(body["code"])
        members = {
            "type": f"/api/docs/errors/#{code}",
            "status": status,
            "instance": self.request.path,
            "request_id": self.request_id,
        }
        self.finish(encode({**members, **body}))

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log only what is ours: an unexpected error with its trace; a refused request is in the access log."""
        if value is not None and status_of(value) == 500:
            log.error("request.failed", path=self.request.path, exc_info=(typ, value, tb))

    def options(self, *args: str, **kwargs: str) -> None:
        """Answer a preflight; the allowed origins were looked at in the default headers."""
        self.set_header("Allow", ", ".join(sorted({*self.operations, "OPTIONS"})))
        self.set_status(204)
        self.finish()


class UnknownRoute(ApiHandler):
    """Answer every path that no route claims."""

    async def prepare(self) -> None:
        """Refuse before anything else is looked at."""
        raise HTTPError(404)


def allow_cross_origin(handler: RequestHandler) -> None:
    """Let exactly the configured origins read the answer."""
    origin = handler.request.headers.get("Origin")
    if origin is None:
        return
    handler.set_header("Vary", "Origin")
    if origin in handler.settings["cors_origins"]:
        handler.set_header("Access-Control-Allow-Origin", origin)
        handler.set_header("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
        handler.set_header(
            "Access-Control-Allow-Headers",
            "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-ID",
        )
        handler.set_header("Access-Control-Expose-Headers", "ETag, Location, Retry-After, X-Request-ID")
        handler.set_header("Access-Control-Max-Age", "600")


def encode(value: Any) -> bytes:
    """Write JSON bytes."""
    return orjson.dumps(value, default=_encode_other)


def _encode_other(value: Any) -> str:
    if isinstance(value, Decimal):
        return show(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def read_json(body: bytes) -> Any:
    """Read a JSON body exactly: numbers with a point become Decimal; NaN, Infinity and odd bytes are refused.

    Malformed for anything that is not one sane JSON value, whatever the parser trips over.
    """
    if not body:
        raise Malformed("a JSON body is required")
    try:
        return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, ArithmeticError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Malformed(f"not readable as JSON: {reason}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def load(schema: Schema, raw: Any) -> Any:
    """Validate with a schema. Invalid carries the messages by field."""
    if not isinstance(raw, dict) and not schema.many:
        raise Invalid("a JSON object is required", errors={"_schema": ["not an object"]})
    _refuse_unstorable(raw)
    try:
        return schema.load(raw)
    except ValidationError as error:
        raise Invalid("some fields are wrong", errors=flatten(error.normalized_messages())) from None


def _refuse_unstorable(raw: Any, depth: int = 0) -> None:
    """Refuse what JSON can say but neither UTF-8 nor BSON can hold: lone surrogates, NUL, absurd depth and numbers."""
    if depth > MAX_DEPTH:
        raise Malformed("nested too deeply")
    if isinstance(raw, str):
        if not raw.isascii() and any("\ud800" <= char <= "\udfff" for char in raw) or "\x00" in raw:
            raise Invalid("text must be storable", errors={"_schema": ["a lone surrogate or NUL character"]})
    elif isinstance(raw, dict):
        for key, value in raw.items():
            _refuse_unstorable(key, depth + 1)
            _refuse_unstorable(value, depth + 1)
    elif isinstance(raw, list):
        for value in raw:
            _refuse_unstorable(value, depth + 1)


def flatten(messages: Any, prefix: str = "") -> dict[str, list[str]]:
    """Flatten marshmallow's nested messages to ``{"a.b": [...]}``."""
    if isinstance(messages, dict):
        flat: dict[str, list[str]] = {}
        for key, value in messages.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            flat.update(flatten(value, name))
        return flat
    return {prefix or "_schema": [str(message) for message in messages]}


def _unknown(names: Any) -> dict[str, list[str]]:
    return {str(name): ["unknown parameter"] for name in names}
