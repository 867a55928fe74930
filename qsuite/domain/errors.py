"""Every error QSuite raises on purpose: a fixed code, a title, and keyword facts. No HTTP here.

    QSuiteError
    ├── Invalid                what was sent cannot be accepted; ``errors`` names the fields
    │   └── Malformed          it could not even be read
    ├── OrderRefused           a control refused the order, which is stored as REJECTED; ``order`` shows it
    │   └── OrderTooFast       by a control of how often
    ├── Unauthenticated        nobody, or no longer who they say
    ├── Forbidden              known, but not allowed
    ├── NotFound               no such thing, or not theirs to see
    ├── Conflict               it would contradict what is there
    │   ├── AlreadyExists      a unique name or id is taken
    │   └── PreconditionFailed somebody changed it first (If-Match)
    ├── TooMany                a rate or a bound is exhausted; ``retry_after_s``
    │   └── Throttled          so many requests that a limit of how often is reached
    ├── TooLarge               more bytes than allowed
    ├── UnsupportedMedia       a body of a type that is not read here
    ├── NotAcceptable          an answer of a type that is not given here (Accept)
    ├── Unavailable            storage or engine away; nothing was done; ``retry_after_s``
    │   └── OutcomeUnknown     storage went away while committing: ask again with the id
    └── SetupError             a command cannot start or go on: one plain line for a person

A control's refusal is a value in the domain (``domain.trading.risk.Refusal``), stored and streamed; ``OrderRefused``
only carries it to whoever placed the order, so that no careless client takes it for placed.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class QSuiteError(Exception):
    """Carry a stable machine word (``code``), a title fixed per class, and the facts of this case."""

    code: str = "error"
    title: ClassVar[str] = "Error"

    def __init__(self, detail: str = "", *, code: str | None = None, **facts: object) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.facts = facts
        if code is not None:
            self.code = code


class Invalid(QSuiteError):
    """Refuse input whose fields are wrong; ``errors`` maps a field to its messages."""

    code = "validation"
    title = "Invalid input"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        code: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(detail, code=code, **facts)
        self.errors = {field: list(messages) for field, messages in (errors or {}).items()}


class Malformed(Invalid):
    """Refuse input that could not be read at all."""

    code = "malformed"
    title = "Unreadable input"


class OrderRefused(QSuiteError):
    """Tell whoever placed an order that a control refused it; the code is the control's."""

    code = "order_refused"
    title = "Order refused"


class OrderTooFast(OrderRefused):
    """Tell whoever placed an order that they place too many too fast; ``retry_after_s`` says how long."""

    title = "Too many orders"

    def __init__(self, detail: str = "", *, code: str, retry_after_s: float = 1.0, **facts: object) -> None:
        super().__init__(detail, code=code, **facts)
        self.retry_after_s = retry_after_s


class Unauthenticated(QSuiteError):
    """Refuse a caller who did not prove who they are."""

    code = "unauthenticated"
    title = "Authentication required"


class Forbidden(QSuiteError):
    """Refuse a known caller."""

    code = "forbidden"
    title = "Not allowed"


class NotFound(QSuiteError):
    """Say that nothing of that name is there for this caller."""

    code = "not_found"
    title = "Not found"


class Conflict(QSuiteError):
    """Refuse what contradicts the present state."""

    code = "conflict"
    title = "Conflict"


class AlreadyExists(Conflict):
    """Refuse a second thing of the same unique name."""

    code = "already_exists"
    title = "Already exists"


class PreconditionFailed(Conflict):
    """Refuse a change made against an older version."""

    code = "precondition_failed"
    title = "Changed since it was read"


class TooMany(QSuiteError):
    """Refuse for now; ``retry_after_s`` says for how long."""

    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, detail: str = "", *, retry_after_s: float = 1.0, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class Throttled(TooMany):
    """Refuse a request that comes too soon after too many; ``retry_after_s`` is also a fact, for who sees no header."""

    code = "throttled"
    title = "Too many requests for now"

    def __init__(self, detail: str = "", *, retry_after_s: int, **facts: object) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.facts = {"retry_after_s": retry_after_s, **facts}


class TooLarge(QSuiteError):
    """Refuse a body over the limit."""

    code = "too_large"
    title = "Too large"


class UnsupportedMedia(QSuiteError):
    """Refuse a body type this route does not read."""

    code = "unsupported_media_type"
    title = "Unsupported media type"


class NotAcceptable(QSuiteError):
    """Refuse to answer in a type this route does not write."""

    code = "not_acceptable"
    title = "No such representation"


class Unavailable(QSuiteError):
    """Say that storage or the engine is away and that nothing was done."""

    code = "unavailable"
    title = "Temporarily unavailable"

    def __init__(
        self, detail: str = "", *, retry_after_s: float = 1.0, code: str | None = None, **facts: object
    ) -> None:
        super().__init__(detail, code=code, **facts)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(Unavailable):
    """Say that a commit's result could not be learnt; facts hold the id to ask again with."""

    code = "outcome-unknown"
    title = "Outcome unknown"


class SetupError(QSuiteError):
    """Stop a command with one plain line for a person."""

    code = "setup"
    title = "Cannot start"
