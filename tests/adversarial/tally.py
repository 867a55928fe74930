"""Counts what was sent and what came back, holds the answers to what every attack must meet, says how much it was."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.turns import TurnGauge

SCALE = int(os.environ.get("TEST_SCALE", "1"))
LONGEST_TURN_S = 0.1


class Tally:
    """What happened. ``wrong`` holds each thing let in that must not be."""

    def __init__(self) -> None:
        self.sent: Counter[int] = Counter()
        self.faults: list[str] = []
        self.wrong: list[str] = []

    def count(self, status: int, what: str) -> None:
        """Count an answer; ``what`` was asked is told if the answer is a fault of ours."""
        self.sent[status] += 1
        # 503 says that there is no room, or that the database is away: neither is the case here.
        if status >= 500:
            self.faults.append(f"{what}: {status}")

    def deny(self, what: object) -> None:
        """Note what was wrongly allowed."""
        self.wrong.append(str(what)[:600])


@contextmanager
def watched(named: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Tally]:
    """Count and measure for as long as it is entered; print the line, then hold all to account."""
    tally, gauge, begun_s = Tally(), TurnGauge(), time.process_time()
    with gauge:
        yield tally
    took_s = time.process_time() - begun_s
    answers = " ".join(f"{status}:{count}" for status, count in sorted(tally.sent.items()))
    with capsys.disabled():
        print(  # noqa: T201  n is part of the claim
            f"\n{named}: n={tally.sent.total():,}, 5xx={len(tally.faults)}, wrong allows={len(tally.wrong)}, "
            f"longest turn {gauge.longest_s * 1e3:.1f} ms, {took_s:.1f} s of CPU ({answers})"
        )
    assert not tally.faults, _shown(tally.faults)
    assert not tally.wrong, _shown(tally.wrong)
    assert gauge.longest_s < LONGEST_TURN_S, gauge.longest


def _shown(lines: list[str]) -> str:
    return f"{len(lines)}:\n" + "\n".join(lines[:30])
