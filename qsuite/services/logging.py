"""Logs: one line an event, JSON for machines or text for people, on standard error.

Invariant: every line of a request carries its ``request_id``, whoever writes it (Tornado and the driver included), and
no line carries a secret: the configured ones, and what has the shape of a token, are cut out wherever they stand, and
fields named like secrets are hidden.

Every line has ``timestamp`` (UTC), ``level``, ``event``, and ``role`` and ``pid`` of its process; a request's lines
have its ``request_id``, and where it is traced its ``trace_id``. What else there is are facts of the event.

Standard output stays free for what a command answers.
"""

import dataclasses
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import unquote, unquote_plus, urlsplit

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from qsuite.domain.access import KEY_PREFIX
from qsuite.services.error_reports import ErrorReports, make_error_reports
from qsuite.settings import Settings

HIDDEN = "***"
SECRET_FIELDS = re.compile(r"passw|secret|token|authorization|api_?key|cookie", re.IGNORECASE)
SECRET_SHAPES = (
    r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*",
    rf"{KEY_PREFIX}[\w.-]{{16,}}",
    r"(?<![\w-])[\w-]{22}\.[\w-]{43}(?![\w-])",
)
"""What a caller's access token, API key and refresh token look like: cut out wherever one was put by mistake."""
LONG = 16
QUIET_LIBRARIES = ("pymongo", "asyncio", "tornado.access")


class Redactor:
    """Cut secrets out of log lines: known values in any text, and whole values of fields with a telling name."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that a secret holding another one leaves nothing of itself behind.
        known = sorted({secret for secret in secrets if len(secret) >= 6}, key=len, reverse=True)
        self._known = re.compile("|".join([*map(re.escape, known), *SECRET_SHAPES]))

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Work as a structlog processor, after exceptions were turned into text."""
        return {key: self.clean(key, value) for key, value in event.items()}

    def clean(self, key: str, value: Any) -> Any:
        """Return a value without its secrets, what is inside it included; whole hidden where its name tells so."""
        if SECRET_FIELDS.search(key):
            return HIDDEN
        if isinstance(value, str):
            return self._known.sub(HIDDEN, value)
        if isinstance(value, Mapping):
            return {str(name): self.clean(str(name), inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.clean("", inner) for inner in value]
        return value if isinstance(value, (int, float, bool, type(None))) else self.clean("", str(value))


def configured_secrets(settings: Settings) -> list[str]:
    """Return every secret the settings hold, passwords inside addresses and values inside JSON included."""
    secrets = []
    for value in _hidden(settings):
        secrets += [value, *_passwords(value), *_inside_json(value)]
    return secrets


def _hidden(section: Any) -> Iterator[str]:
    """Yield the values of the settings that hide theirs."""
    for item in dataclasses.fields(section):
        value = getattr(section, item.name)
        if dataclasses.is_dataclass(value):
            yield from _hidden(value)
        elif item.metadata.get("secret") and value:
            yield from (value,) if isinstance(value, str) else value


def _passwords(address: str) -> list[str]:
    """Return an address's password as it is written there, and as libraries that read it write it."""
    try:
        password = urlsplit(address).password if "://" in address else None
    except ValueError:
        return []
    return [] if password is None else [password, unquote(password), unquote_plus(password)]


def _inside_json(text: str) -> Iterator[str]:
    """Yield the texts in a JSON setting that are secrets by their name or length; the rest are words like any other."""
    try:
        waiting = [("", orjson.loads(text))]
    except orjson.JSONDecodeError:
        return
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, str) and (SECRET_FIELDS.search(name) or len(value) >= LONG):
            yield value
        elif isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(name, each) for each in value]


def configure_logging(
    settings: Settings, *, extra_secrets: Iterable[str] = (), stream: TextIO | None = None
) -> ErrorReports | None:
    """Set up structlog, and let the standard library's loggers end in the same stream (standard error) and shape.

    Returns what sends errors to Sentry, for the caller to stop, where that is configured. SetupError without its
    library.
    """
    stream = stream or sys.stderr
    redactor = Redactor([*configured_secrets(settings), *extra_secrets])
    level = getattr(logging, settings.log.level.upper())
    reports = make_error_reports(settings, clean=redactor.clean)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _of_process(settings.role),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if reports is None else [reports.look]),
        structlog.processors.format_exc_info,
        redactor,
    ]
    render: Processor = _render_json if settings.log.format == "json" else _console_renderer(stream)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,  # loggers made at import must take the configuration made later
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:-1], structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redactor, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)
    return reports


def _of_process(role: str) -> Processor:
    """Return what says on each line which process wrote it."""
    pid = os.getpid()

    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("role", role)
        event.setdefault("pid", pid)
        return event

    return add


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event", "role", "pid") if name in event}
    return orjson.dumps({**first, **event}, default=str).decode()


def _console_renderer(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )
