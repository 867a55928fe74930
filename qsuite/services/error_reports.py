"""Errors of our own for Sentry: off unless a project's address is configured.

    log.error, log.exception ──> look ──> capture ──> before_send ──> a thread of Sentry's own ──> Sentry

What is a log line of level ``error`` is an event there, with its exception if it has one; nothing else is: no requests,
no bodies, no headers, no users, no variables of frames. Sentry's own hooks into other libraries stay out for that.

Invariants: what leaves was cleaned as log lines are, with every text in it, whatever put it there; a Sentry that is
away costs events, never an order or a slow stop.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qsuite import __version__
from qsuite.domain.errors import SetupError

if TYPE_CHECKING:
    from sentry_sdk import Client
    from structlog.typing import EventDict, WrappedLogger

    from qsuite.settings import Settings

LEVELS = frozenset({"error", "exception", "critical", "fatal"})
OURS = frozenset({"event", "exc_info", "timestamp", "level"})
"""Fields of a line that are told in their own places."""
LEFT_OUT = ("request", "user", "breadcrumbs", "modules")
STOP_S = 2.0
SAFE = frozenset({"event_id", "timestamp", "platform", "level", "sdk"})
"""What Sentry needs as it is: ids and words of its own making."""

Clean = Callable[[str, Any], Any]


class ErrorReports:
    """Send errors. ``look`` is a structlog processor."""

    def __init__(self, client: "Client", to_event: Callable[..., Any]) -> None:
        self._client = client
        self._to_event = to_event

    def look(self, _logger: "WrappedLogger", method: str, line: "EventDict") -> "EventDict":
        """Send a line if it is an error, before its exception is turned into text."""
        if method in LEVELS:
            self._send(line)
        return line

    def _send(self, line: "EventDict") -> None:
        error = line.get("exc_info")
        if error is True:
            error = sys.exc_info()
        if isinstance(error, BaseException):
            error = (type(error), error, error.__traceback__)
        event: dict[str, Any] = {"message": str(line.get("event", ""))}
        hint: dict[str, Any] = {}
        if isinstance(error, tuple) and error[0] is not None:
            described, hint = self._to_event(error, client_options=self._client.options)
            event |= described
        event |= {
            "level": "error",
            "transaction": str(line.get("event", "")),
            "extra": {name: str(value) for name, value in line.items() if name not in OURS and name[:1] != "_"},
        }
        self._client.capture_event(event, hint)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Send what waits, for two seconds at most."""
        self._client.close(timeout=STOP_S)


def make_error_reports(settings: "Settings", *, clean: Clean) -> ErrorReports | None:
    """Make what reports errors, or return None where no project is configured. SetupError without Sentry's library."""
    if settings.sentry.dsn is None:
        return None
    try:
        from sentry_sdk import Client
        from sentry_sdk.utils import BadDsn, event_from_exception
    except ImportError as error:
        raise SetupError(f"sentry.dsn needs Sentry's library: pip install 'qsuite[sentry]' ({error})") from None
    try:
        client = Client(
            settings.sentry.dsn,
            release=f"qsuite@{__version__}",
            environment=settings.sentry.environment or settings.profile,
            before_send=lambda event, _hint: scrubbed(event, clean),  # type: ignore[arg-type, return-value]
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            send_client_reports=False,
            auto_session_tracking=False,
            shutdown_timeout=STOP_S,
        )
    except BadDsn as error:
        raise SetupError(f"sentry.dsn is no address of a project: {error}") from None
    return ErrorReports(client, event_from_exception)


def scrubbed(event: dict[str, Any], clean: Clean) -> dict[str, Any]:
    """Return an event as it may leave: without what tells of requests and users, every text cleaned as in the log."""
    for name in LEFT_OUT:
        event.pop(name, None)
    for told in event.get("exception", {}).get("values", ()):
        for frame in (told.get("stacktrace") or {}).get("frames", ()):
            frame.pop("vars", None)
    return {name: value if name in SAFE else clean("", value) for name, value in event.items()}
