"""Logs: one line an event, JSON for machines or text for people, on standard error.

Invariant: every line of a request carries its ``request_id``, whoever writes it (Tornado and the driver included), and
no line carries a secret: the configured ones are cut out wherever they stand, and fields named like secrets are hidden.

Standard output stays free for what a command answers.
"""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO
from urllib.parse import urlsplit

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from qsuite.settings import Settings

HIDDEN = "***"
SECRET_FIELDS = re.compile(r"passw|secret|token|authorization|api_?key|cookie", re.IGNORECASE)
QUIET_LIBRARIES = ("pymongo", "asyncio", "tornado.access")


class Redactor:
    """Cut secrets out of log lines: known values in any text, and whole values of fields with a telling name."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first, so that a secret holding another one leaves nothing of itself behind.
        known = sorted({secret for secret in secrets if len(secret) >= 6}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Work as a structlog processor, after exceptions were turned into text."""
        return {key: self._clean(key, value) for key, value in event.items()}

    def _clean(self, key: str, value: Any) -> Any:
        if SECRET_FIELDS.search(key):
            return HIDDEN
        if isinstance(value, str):
            return self._known.sub(HIDDEN, value) if self._known else value
        if isinstance(value, Mapping):
            return {str(name): self._clean(str(name), inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._clean("", inner) for inner in value]
        return value if isinstance(value, (int, float, bool, type(None))) else self._clean("", str(value))


def configured_secrets(settings: Settings) -> list[str]:
    """Return every secret the settings hold, passwords inside addresses included."""
    secrets = [settings.secret_key]
    for address in (settings.mongodb_uri, settings.redis_url):
        if address is not None:
            secrets += [address, _password(address)]
    return [secret for secret in secrets if secret]


def _password(address: str) -> str | None:
    try:
        return urlsplit(address).password
    except ValueError:
        return None


def configure_logging(settings: Settings, *, extra_secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Set up structlog, and let the standard library's loggers end in the same stream (standard error) and shape."""
    stream = stream or sys.stderr
    redactor = Redactor([*configured_secrets(settings), *extra_secrets])
    level = getattr(logging, settings.log.level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
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


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return orjson.dumps({**first, **event}, default=str).decode()


def _console_renderer(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
    )
