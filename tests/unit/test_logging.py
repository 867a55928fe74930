"""Log lines: their shape, and what must never stand in them."""

import io
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from qsuite.services.logging import HIDDEN, Redactor, configure_logging, configured_secrets
from qsuite.settings import LogSettings, Settings

SECRET = "canary-b1946ac92492d2347c6235b4d2611184"
URI = "mongodb://qsuite:canary-password@db.internal:27017/?replicaSet=rs0"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)


def configured(stream: io.StringIO, settings: Settings, shape: str = "json", level: str = "info") -> None:
    log = LogSettings(format=shape, level=level)
    configure_logging(replace(settings, log=log, secret_key=SECRET, mongodb_uri=URI), stream=stream)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_request_it_belongs_to(stream: io.StringIO, settings: Settings) -> None:
    configured(stream, settings)
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger().info("order.placed", symbol="AAPL", quantity="10")
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    process = {"role": "all", "pid": os.getpid()}
    expected = {"level": "info", "event": "order.placed", "request_id": "r-1", "symbol": "AAPL", "quantity": "10"}
    assert line == expected | process


def test_other_libraries_log_in_the_same_shape_and_with_the_request(stream: io.StringIO, settings: Settings) -> None:
    configured(stream, settings)
    structlog.contextvars.bind_contextvars(request_id="r-2")
    logging.getLogger("tornado.application").error("it broke: %s", "wheel")
    (line,) = lines(stream)
    assert (line["event"], line["request_id"], line["logger"]) == ("it broke: wheel", "r-2", "tornado.application")


@pytest.mark.parametrize("shape", ["json", "console"])
def test_no_secret_reaches_the_log_by_any_way(stream: io.StringIO, settings: Settings, shape: str) -> None:
    configured(stream, settings, shape)
    log = structlog.get_logger()
    log.info("started", uri=URI, nested={"token": "eyJ-canary", "list": [f"key={SECRET}"]})
    log.info("login", password="canary-typed", authorization="Bearer canary-bearer")
    logging.getLogger("pymongo").warning("cannot reach %s", URI)
    try:
        raise RuntimeError(f"signing with {SECRET}")
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("tornado.application").exception("failed with canary-password")
    assert "canary" not in stream.getvalue()
    assert stream.getvalue().count(HIDDEN) >= 7


def test_every_line_says_which_process_wrote_it(stream: io.StringIO, settings: Settings) -> None:
    configured(stream, replace(settings, role="gateway"))
    structlog.get_logger().info("first")
    logging.getLogger("of.another.library").warning("second")
    for line in lines(stream):
        assert {"timestamp", "level", "event"} <= line.keys()
        assert (line["role"], line["pid"]) == ("gateway", os.getpid())
    assert [line["event"] for line in lines(stream)] == ["first", "second"]


def test_lines_below_the_level_are_not_written(stream: io.StringIO, settings: Settings) -> None:
    configured(stream, settings, level="warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("x").info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_the_password_inside_an_address_is_a_secret_of_its_own(settings: Settings) -> None:
    found = configured_secrets(replace(settings, mongodb_uri=URI, redis_url="redis://:hunter2000@r:6379/0"))
    assert {"canary-password", "hunter2000", URI} <= set(found)


def test_a_secret_that_holds_another_leaves_nothing_of_itself() -> None:
    clean = Redactor(["inner-secret", "outer-inner-secret-outer"])
    event = clean(None, "info", {"event": "see outer-inner-secret-outer"})
    assert event == {"event": f"see {HIDDEN}"}


def test_what_is_no_secret_stays_as_it_is() -> None:
    event = {"event": "tick", "price": 1.5, "count": 3, "ok": True, "none": None, "names": ("a", 1)}
    assert Redactor([])(None, "info", dict(event)) == {**event, "names": ["a", 1]}
