"""The base of every API handler: caller, declared operation, query, body, list and resource answers.

Invariant: no method runs before its declared roles were checked, the limits of how often let it pass, and its query and
body were read and validated; whatever is answered was counted first, and says how the caller's limits stand. This
stands on every order's way: what it does for one request is counted in microseconds.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

import structlog
from tornado.web import HTTPError, RequestHandler

from qsuite.domain.errors import Forbidden, Invalid, QSuiteError, Unauthenticated, UnsupportedMedia
from qsuite.domain.listing import Listing, Page
from qsuite.domain.roles import Caller
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers import conditional
from qsuite.handlers.accept import choose
from qsuite.handlers.forwarding import ForwardingAnswers
from qsuite.handlers.keyed import HEADER as IDEMPOTENCY_KEY
from qsuite.handlers.limits import UnknownRoute
from qsuite.handlers.operations import JSON, Operation
from qsuite.handlers.payloads import encode, flatten, load, read_json
from qsuite.handlers.places import Entry
from qsuite.handlers.queries import Query, check_address, read_query, single_values
from qsuite.services.audit_trail import Origin, asked_by
from qsuite.services.forwarding.forwarder import Forwarder

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from qsuite.services.tracing import Traces

__all__ = ["ApiHandler", "UnknownRoute", "encode", "flatten", "load", "read_json"]

METHODS = ("get", "post", "put", "patch", "delete")
REFUSED = (401, 403)
OFF_LOOP_BYTES = 32_768
"""A body from here on is read in a thread, so that others' requests are not held up.

What is dearest to read, ten thousand empty objects, takes a microsecond a byte.
"""


class ApiHandler(ForwardingAnswers):
    """Handle one route. Subclasses declare each method with ``@operation`` and call a service."""

    operations: ClassVar[dict[str, Operation]] = {}
    body: Any = None
    query: Mapping[str, Any] = {}
    caller: Caller
    media: str = JSON
    """The type of the body that was sent."""
    shown_as: str = JSON
    """The type of the answer that the client wants."""

    placed: tuple[str, list[str]] | None = None
    """Orders this request had accepted: the way they came, and the venue of each."""

    traced: ClassVar[bool] = True
    """Whether requests are traced: not where one is a stream, open for as long as its client likes."""

    span: "Span | None" = None
    """Where it is traced."""

    _listing: Listing | None = None
    _given: Query = {}  # noqa: RUF012

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

    # -- request ----------------------------------------------------------------------------------------------------

    def prepare(self) -> Awaitable[None] | None:
        """Check caller, limits, address, method, role, scope, query and body, in this order, as declared.

        What only the engine's process can do is sent on there once the caller and the role are known.
        """
        # Each request runs in a task of its own, whose context this is: nothing needs to be cleared.
        structlog.contextvars.bind_contextvars(request_id=self.request_id)
        asked_by.set(self.origin)
        if self.services.traces is not None and self.traced:
            self._trace(self.services.traces)
        method = self.request.method or ""
        declared = self.operations.get("GET" if method == "HEAD" else method)
        if declared is None or not declared.roles:
            return self._let_in(declared, method)
        header = self.request.headers.get("Authorization")
        caller = None if header is None else self.services.auth.remembered(header)
        if caller is None:
            return self._authenticate(declared, header)
        return self._count(declared, caller)

    def _trace(self, traces: "Traces") -> None:
        self.span = span = traces.request(self.request.headers, self.request_id)
        structlog.contextvars.bind_contextvars(trace_id=traces.trace_id(span))

    def origin(self) -> Origin:
        """Return who asks, and from where, for the audit record."""
        caller: Caller | None = getattr(self, "caller", None)
        return Origin(
            actor=None if caller is None else caller.user,
            actor_name="" if caller is None else caller.username,
            request_id=self.request_id,
            address=self.request.remote_ip or "",
        )

    def send_problem(self, error: BaseException | None, status: int) -> None:
        """Finish the request with a problem; a refusal is recorded first."""
        if status in REFUSED:
            self._note_refusal(error, status)
        super().send_problem(error, status)

    def _note_refusal(self, error: BaseException | None, status: int) -> None:
        method = self.request.method or ""
        declared = self.operations.get(method)
        if declared is not None and not declared.roles:
            return  # a login or refresh that failed is recorded by whoever knows why
        # Of nobody in particular all refusals are one kind: else a path made up each time would make an entry.
        subject = "" if status == 401 else f"{method} {self.request.path}"
        facts = {"status": status, "code": getattr(error, "code", ""), "path": self.request.path}
        self.services.audit.note("request.refused", subject=subject, facts=facts)

    def _let_in(self, declared: Operation | None, method: str) -> Awaitable[None] | None:
        """Begin what needs no login, or is refused to anybody."""
        scope = ThrottleScope.DEFAULT if declared is None else declared.scope
        free = method == "OPTIONS" or self.forwarded is not None  # counted where it came in
        counting = self.count(scope, self.likely_caller(scope), cost=0 if free else 1)
        if counting is not None:
            return self._after(counting, lambda: self._enter(declared, method))
        return self._enter(declared, method)

    def _enter(self, declared: Operation | None, method: str) -> Awaitable[None] | None:
        check_address(self.request.uri or "")
        if declared is not None:
            return self._read(declared)
        if method != "OPTIONS":
            raise HTTPError(405)
        return None

    async def _authenticate(self, declared: Operation, header: str | None) -> None:
        """Find out who is calling. Who proves nothing is counted under their address, everybody else under their name.

        So a flood of bad tokens never keeps a user with a good one out, wherever it comes from.
        """
        try:
            if header is None:
                raise Unauthenticated("a bearer token is required")
            caller = await self.services.auth.authenticate(header)
        except QSuiteError as error:
            wrong = isinstance(error, Unauthenticated | Forbidden)  # else it is we who could not look
            counting = self.count(ThrottleScope.DEFAULT, self.request.remote_ip or "", cost=1 if wrong else 0)
            if counting is not None:
                await counting
            raise
        reading = self._count(declared, caller)
        if reading is not None:
            await reading

    def _count(self, declared: Operation, caller: Caller) -> Awaitable[None] | None:
        self.caller = caller
        if self.application.forward is not None and caller.role in declared.roles:
            elsewhere = self.elsewhere()
            if elsewhere is not None:
                return self._send_on(declared, caller, *elsewhere)
        return self._count_here(declared, caller)

    async def _send_on(self, declared: Operation, caller: Caller, forward: Forwarder, entry: Entry) -> None:
        """Have the engine's process answer; where it cannot, and need not, go on here."""
        if not await self.send_on(forward, entry):
            reading = self._count_here(declared, caller)
            if reading is not None:
                await reading

    def _count_here(self, declared: Operation, caller: Caller) -> Awaitable[None] | None:
        counting = self.count(declared.scope, caller, cost=0 if declared.counts_itself else 1, need=1)
        if counting is not None:
            return self._after(counting, lambda: self._admit(declared, caller))
        return self._admit(declared, caller)

    async def _after(self, counting: Awaitable[None], go_on: Callable[[], Awaitable[None] | None]) -> None:
        await counting
        going_on = go_on()
        if going_on is not None:
            await going_on

    def _admit(self, declared: Operation, caller: Caller) -> Awaitable[None] | None:
        check_address(self.request.uri or "")
        if caller.role not in declared.roles:
            raise Forbidden(f"the role {caller.role.value} may not do this")
        if caller.limits is not None:
            caller.limits.require(self.application.sufficient(type(self), self.request.method or ""))
            caller.limits.require_address(self.request.remote_ip or "")
        if self.request.method == "POST":
            key = self.request.headers.get(IDEMPOTENCY_KEY)
            if key is not None:
                return self._read_under_key(declared, key)
        return self._read(declared)

    async def _read_under_key(self, declared: Operation, key: str) -> None:
        reading = self._read(declared)
        if reading is not None:
            await reading
        await self.claim_key(self.caller, key, keeps_answer=not declared.shown_once)

    def _read(self, declared: Operation) -> Awaitable[None] | None:
        """Read query and body; an awaitable where the body is so long that a thread reads it."""
        if self.request.query:
            self._given = read_query(self.request.query)
        if declared.query is not None:
            self._read_own_query(declared)
        elif declared.listing is None and self._given:
            raise Invalid("this route takes no query parameters", errors=_unknown(self._given))
        if declared.listing is not None:
            self._listing = declared.listing.read(self._given, also=declared.query_names)
        if len(declared.shows) > 1:
            self._headers.add("Vary", "Accept")
            self.shown_as = choose(self.request.headers.get("Accept"), declared.shows)
        if declared.reads_body:
            # Of nothing the type does not matter: some clients call every empty body a form.
            self.media = JSON if not self.request.body and declared.body_optional else self._media_type(declared)
            if declared.body is not None and self.media == JSON:
                return self._read_body(declared)
        return None

    def _read_body(self, declared: Operation) -> Awaitable[None] | None:
        assert declared.body is not None
        if len(self.request.body) >= OFF_LOOP_BYTES:
            return self._read_long_body(declared)
        if not self.request.body and declared.body_optional:
            self.request.body = b"{}"
        self.body = load(declared.body, read_json(self.request.body))
        return None

    async def _read_long_body(self, declared: Operation) -> None:
        def work() -> Any:
            assert declared.body is not None
            return load(declared.body, read_json(self.request.body))

        self.body = await asyncio.to_thread(work)

    def _media_type(self, declared: Operation) -> str:
        """Return the body's type. UnsupportedMedia for another one, and for any encoding but plain UTF-8."""
        headers = self.request.headers
        said = headers.get("Content-Type", JSON)
        if said == JSON and JSON in declared.media and "Content-Encoding" not in headers:
            return JSON
        given, _, parameters = said.partition(";")
        media = given.strip().lower()
        charset = parameters.strip().lower().replace('"', "")
        if media not in declared.media or (charset.startswith("charset=") and charset not in _UTF8):
            raise UnsupportedMedia(f"this route reads {', '.join(declared.media)} in UTF-8")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMedia("compressed bodies are not read")
        return media

    def _read_own_query(self, declared: Operation) -> None:
        assert declared.query is not None
        names = declared.query_names
        known = {name: values for name, values in self._given.items() if name in names}
        if declared.listing is None and len(known) < len(self._given):
            raise Invalid("unknown query parameters", errors=_unknown(self._given.keys() - known.keys()))
        self.query = load(declared.query, single_values(known))

    def listing(self) -> Listing:
        """Return the list parameters, read as declared."""
        assert self._listing is not None, "the operation declares no listing"
        return self._listing

    # -- answer -----------------------------------------------------------------------------------------------------

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
        kept = {name: values[0] for name, values in self._given.items()}
        kept.update({name: str(value) for name, value in changed.items()})
        return f"{self.request.protocol}://{self.request.host}{self.request.path}?{urlencode(kept)}"

    def answer_resource(self, value: Mapping[str, Any], version: int, status: int = 200) -> None:
        """Write one resource under its ``ETag``, or 304 to a reader who has this version already.

        ``value`` holds the resource's ``id``.
        """
        tag = conditional.etag(value["id"], version)
        self._headers["ETag"] = tag
        known = self.request.headers.get("If-None-Match")
        if known is not None and self.request.method in ("GET", "HEAD") and conditional.is_known(known, tag):
            self._status_code = 304
            self.finish()
            return
        self.answer(value, status)

    def require_match(self, resource_id: object, version: int) -> None:
        """Refuse the change (412) if ``If-Match`` names another version than this, the present one."""
        conditional.require_match(self.request.headers.get("If-Match"), conditional.etag(resource_id, version))

    def expected_version(self, resource_id: object) -> int | None:
        """Return the version that ``If-Match`` asks for, None for any. Services compare it when they store."""
        return conditional.expected_version(self.request.headers.get("If-Match"), resource_id)

    # -- methods every route has --------------------------------------------------------------------------------------

    async def head(self, *args: str, **kwargs: str) -> None:
        """Answer as GET would, without the body."""
        answered = self.get(*args, **kwargs)
        if inspect.isawaitable(answered):
            await answered

    def options(self, *args: str, **kwargs: str) -> None:
        """Answer a preflight; the allowed origins were looked at in the default headers."""
        self._headers["Allow"] = self.allowed
        self.answer_nothing()


_UTF8 = ("charset=utf-8", "charset=utf8", "charset=us-ascii")


def _unknown(names: Any) -> dict[str, list[str]]:
    return {str(name): ["unknown parameter"] for name in names}
