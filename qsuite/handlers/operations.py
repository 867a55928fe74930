"""What every route declares about each method, in one place: who may call it, what it takes, what it answers.

The declaration is executed, not described: the base handler authorises, parses and validates from it, and OpenAPI is
derived from it, so the three cannot disagree. A handler method without a declaration fails at import.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from marshmallow import Schema

from qsuite.domain.roles import Roles
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.listing import ListingSpec

F = TypeVar("F", bound=Callable[..., Any])

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route."""

    summary: str
    roles: Roles
    returns: Mapping[int, Schema | str | None]
    """Status to the schema of the answer; a string is a media type without a schema, None an empty answer.

    With ``listing`` the schema is that of one item: the envelope around the items is added.
    """
    body: Schema | None = None
    query: Schema | None = None
    listing: ListingSpec | None = None
    raises: tuple[int, ...] = ()
    """Statuses of problems beyond those every route can have (400, 401, 403, 404, 405, 422, 429, 500, 503)."""
    media: tuple[str, ...] = (JSON,)
    """Body types read; anything but JSON is left to the handler as bytes."""
    bulk: bool = False
    """The body may be as large as ``http.max_bulk_bytes``."""
    shown_once: bool = False
    """The answer holds a secret: under an ``Idempotency-Key`` it is given once and not kept."""
    shows: tuple[str, ...] = (JSON,)
    """Types of the 200 answer, chosen by ``Accept``; the first where the client has no wish."""
    tag: str = ""
    scope: ThrottleScope = ThrottleScope.DEFAULT
    """Which limits of how often it counts under."""
    counts_itself: bool = False
    """The method takes its tokens itself, once it knows how many: one must be there before the body is read."""

    @property
    def reads_body(self) -> bool:
        """Say whether a body is expected, parsed by its schema or left to the handler."""
        return self.body is not None or self.media != (JSON,)

    @property
    def query_names(self) -> frozenset[str]:
        """Return its own query parameters, as they are written."""
        if self.query is None:
            return frozenset()
        return frozenset(field.data_key or name for name, field in self.query.fields.items())

    @property
    def body_optional(self) -> bool:
        """Say whether no body at all stands for an empty object, as where none of its fields is required."""
        if self.body is None or self.body.many or self.media != (JSON,):
            return False
        return bool(self.body.partial) or not any(field.required for field in self.body.fields.values())


def operation(
    summary: str,
    *,
    roles: Roles,
    returns: Mapping[int, Schema | str | None],
    body: Schema | None = None,
    query: Schema | None = None,
    listing: ListingSpec | None = None,
    raises: tuple[int, ...] = (),
    media: tuple[str, ...] = (JSON,),
    bulk: bool = False,
    shown_once: bool = False,
    shows: tuple[str, ...] = (JSON,),
    tag: str = "",
    scope: ThrottleScope = ThrottleScope.DEFAULT,
    counts_itself: bool = False,
) -> Callable[[F], F]:
    """Declare a handler method."""
    declared = Operation(
        summary=summary,
        roles=roles,
        returns=returns,
        body=body,
        query=query,
        listing=listing,
        raises=raises,
        media=media,
        bulk=bulk,
        shown_once=shown_once,
        shows=shows,
        tag=tag,
        scope=scope,
        counts_itself=counts_itself,
    )

    def mark(method: F) -> F:
        method.operation = declared  # type: ignore[attr-defined]
        return method

    return mark
