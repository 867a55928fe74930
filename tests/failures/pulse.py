"""Asks QSuites for their health all the time, from a process of its own: what the test does must not count as theirs.

python -m tests.failures.pulse PORT…    until standard input ends; then what was answered, as one line of JSON
"""

import asyncio
import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).resolve().parents[2]
PAUSES_S = {"/health/live": 0.02, "/health": 0.05, "/health/ready": 0.05}
PATIENCE_S = 10.0


class Answer(NamedTuple):
    """One answer; times on the monotonic clock, which all processes of a machine share."""

    port: int
    path: str
    asked_s: float
    took_s: float
    status: int
    body: dict[str, Any]


class Pulse:
    """``async with Pulse(port, …) as pulse``; afterwards the answers."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports
        self.answers: list[Answer] = []

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.failures.pulse", *map(str, self._ports)]
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    async def __aenter__(self) -> Self:
        self._process = await asyncio.to_thread(self._start)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        try:
            told, _errors = await asyncio.to_thread(self._process.communicate, timeout=2 * PATIENCE_S)
        finally:
            self._process.kill()
        if kind is None:
            self.answers = [Answer(*each) for each in json.loads(told)]

    def waits_s(self) -> list[float]:
        """Return how long each answer of /health/live took."""
        return [each.took_s for each in self.answers if each.path == "/health/live"]

    def alive(self) -> bool:
        """Say whether all of them said that they live, each time they were asked."""
        told = {(each.port, each.status) for each in self.answers if each.path == "/health/live"}
        return told == {(port, 200) for port in self._ports}

    def said(self, port: int, since_s: float, until_s: float) -> list[Answer]:
        """Return what one of them answered to /health between two times."""
        asked = (each for each in self.answers if each.port == port and each.path == "/health")
        return [each for each in asked if since_s <= each.asked_s <= until_s]

    def ready(self, port: int, since_s: float, until_s: float) -> list[bool]:
        """Return whether one of them was ready, each time it was asked between two times."""
        asked = (each for each in self.answers if each.port == port and each.path == "/health/ready")
        return [each.status == 200 for each in asked if since_s <= each.asked_s <= until_s]


def watch(port: int, path: str, over: threading.Event, told: list[Answer]) -> None:
    """Ask until it is over, on one line."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    while not over.wait(PAUSES_S[path]):
        asked = time.monotonic()
        line.request("GET", path)
        answer = line.getresponse()
        body = json.loads(answer.read())
        told.append(Answer(port, path, asked, time.monotonic() - asked, answer.status, body))
    line.close()


def main(ports: list[int]) -> None:
    """Watch all of them until standard input ends."""
    over, told = threading.Event(), list[Answer]()
    threads = [threading.Thread(target=watch, args=(port, path, over, told)) for port in ports for path in PAUSES_S]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(told))  # noqa: T201  what it is asked for


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1:]])
