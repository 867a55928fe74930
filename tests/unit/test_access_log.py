"""Which requests become a line in the log."""

from typing import Any

import pytest
import structlog

from qsuite.handlers.health import LiveHandler
from qsuite.handlers.metrics import access_log
from qsuite.handlers.routes import Route
from qsuite.services.metrics import Metrics

INFO, DEBUG = 20, 10


class Request:
    method = "GET"
    path = "/health/live?x=1"
    remote_ip = "127.0.0.1"
    qsuite_id = "r-1"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def request_time(self) -> float:
        return self.seconds


class Answered(LiveHandler):
    """A handler that has answered already."""

    def __init__(self, status: int, seconds: float, *, lasting: bool = False) -> None:
        self.request: Any = Request(seconds)
        self.status = status
        self.lasting = lasting

    def get_status(self) -> int:
        return self.status


def logged(status: int, seconds: float = 0.001, *, lowest: int = INFO, lasting: bool = False) -> list[dict[str, Any]]:
    note = access_log(Metrics(), [Route("/health/live/?", Answered)], lowest=lowest)
    with structlog.testing.capture_logs() as lines:
        note(Answered(status, seconds, lasting=lasting))
    return [dict(line) for line in lines]


@pytest.mark.parametrize(("status", "level"), [(400, "info"), (422, "info"), (500, "error"), (503, "warning")])
def test_a_request_that_was_refused_or_failed_is_a_line(status: int, level: str) -> None:
    (line,) = logged(status)
    assert (line["log_level"], line["status"], line["request_id"]) == (level, status, "r-1")


def test_a_request_that_went_well_is_a_line_only_when_it_was_slow() -> None:
    assert logged(200) == []
    (line,) = logged(200, seconds=1.5)
    assert line["ms"] == 1500


def test_at_debug_every_request_is_a_line() -> None:
    (line,) = logged(200, lowest=DEBUG)
    assert line["log_level"] == "debug"


@pytest.mark.parametrize(("status", "lasting"), [(101, False), (200, True)])
def test_a_stream_is_not_slow_for_having_lasted(status: int, lasting: bool) -> None:
    assert logged(status, seconds=3600, lasting=lasting) == []
