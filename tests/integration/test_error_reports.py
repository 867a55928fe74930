"""What Sentry is told of an error, and what it must never be told."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from qsuite.domain.errors import SetupError
from qsuite.services.error_reports import ErrorReports
from qsuite.services.logging import configure_logging
from qsuite.settings import SentrySettings, Settings
from tests.support.collector import Collector, collecting

SECRET = "canary-b1946ac92492d2347c6235b4d2611184"
URI = "mongodb://qsuite:canary-password@db.internal:27017/?replicaSet=rs0"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def reporting(settings: Settings, collector: Collector, logs: io.StringIO) -> ErrorReports:
    sentry = SentrySettings(dsn=f"http://publickey@127.0.0.1:{collector.port}/1")
    reports = configure_logging(replace(settings, sentry=sentry, secret_key=SECRET, mongodb_uri=URI), stream=logs)
    assert reports is not None
    return reports


def events(collector: Collector) -> list[dict[str, Any]]:
    """The events of the envelopes that came: header, item's header, item, one JSON document a line."""
    return [json.loads(body.split(b"\n")[2]) for path, body in collector.received if path == "/api/1/envelope/"]


def test_an_error_is_told_with_its_exception_its_facts_and_its_request(
    settings: Settings, collector: Collector, logs: io.StringIO
) -> None:
    reports = reporting(settings, collector, logs)
    structlog.contextvars.bind_contextvars(request_id="r-7")
    log = structlog.get_logger()
    log.info("nothing.special")
    log.warning("worth.a.look")
    try:
        raise RuntimeError("the wheel broke")
    except RuntimeError:
        log.exception("request.failed", symbol="AAPL")
    reports.stop()
    (event,) = events(collector)
    (told,) = event["exception"]["values"]
    assert (told["type"], told["value"]) == ("RuntimeError", "the wheel broke")
    assert told["stacktrace"]["frames"][-1]["function"].startswith("test_an_error_is_told")
    assert event["extra"]["request_id"] == "r-7"
    assert event["extra"]["symbol"] == "AAPL"
    assert (event["environment"], event["level"]) == ("test", "error")
    assert '"event":"request.failed"' in logs.getvalue(), "the log has it too"


def test_an_error_of_another_library_is_told_too(settings: Settings, collector: Collector, logs: io.StringIO) -> None:
    reports = reporting(settings, collector, logs)
    logging.getLogger("tornado.application").error("it broke: %s", "wheel")
    reports.stop()
    (event,) = events(collector)
    assert event["message"] == "it broke: wheel"


def test_no_secret_leaves_by_any_way(settings: Settings, collector: Collector, logs: io.StringIO) -> None:
    reports = reporting(settings, collector, logs)
    log = structlog.get_logger()

    def sign(password: str) -> None:
        body = {"password": password, "note": "canary-body"}
        raise ValueError(f"cannot sign with {SECRET} for {TOKEN} at {URI}, {len(body)} fields")

    try:
        sign("canary-typed")
    except ValueError:
        log.exception(f"signing failed with {SECRET}", authorization="Bearer canary-bearer", uri=URI, nested=[TOKEN])
    log.error("login.failed", password="canary-second")
    logging.getLogger("pymongo").error("cannot reach %s", URI)
    reports.stop()
    assert len(events(collector)) == 3
    for secret in (SECRET, TOKEN, "canary-password", "canary-typed", "canary-bearer", "canary-second"):
        assert secret not in collector.text, secret
    assert not any("vars" in frame for frame in frames(events(collector)))
    assert not any(name in event for event in events(collector) for name in ("request", "user", "breadcrumbs"))


def frames(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    values = [value for event in told for value in event.get("exception", {}).get("values", ())]
    return [frame for value in values for frame in value["stacktrace"]["frames"]]


def test_it_is_off_unless_configured_and_says_what_is_wrong_with_its_configuration(
    settings: Settings, logs: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configure_logging(settings, stream=logs) is None
    with pytest.raises(SetupError, match=r"sentry\.dsn is no address of a project"):
        configure_logging(replace(settings, sentry=SentrySettings(dsn="nonsense")), stream=logs)
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(SetupError, match=r"pip install 'qsuite\[sentry\]'"):
        configure_logging(replace(settings, sentry=SentrySettings(dsn="http://k@127.0.0.1:1/1")), stream=logs)
