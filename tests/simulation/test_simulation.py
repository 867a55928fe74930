"""A thousand seeds of clients, crashes, takeovers and lost answers: nothing acknowledged is lost, nothing doubled."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.broken import BROKEN, Breaking
from tests.simulation.world import Failed, run_seed

SEEDS = 1_000 * int(os.environ.get("TEST_SCALE", "1"))
PART = 100
NOTICED_WITHIN = 60


@pytest.fixture(scope="module")
def met() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_the_books_survive_whatever_goes_wrong(first: int, met: Counter[str]) -> None:
    for seed in range(first, first + PART):
        met.update(run_seed(seed).counts)
        met["seeds"] += 1


def test_every_kind_of_fault_was_met(met: Counter[str], capsys: pytest.CaptureFixture[str]) -> None:
    if met["seeds"] < PART:
        pytest.skip("counts what the seeds before it met")
    for kind in ("died", "stopped", "usurped", "doubted", "broken", "recovered", "unknown", "fenced"):
        assert met[kind] >= met["seeds"] / 20, f"{kind} was hardly met"
    assert met["resets"] >= met["seeds"] / 50, "accounts hardly began anew"
    summary = ", ".join(f"{count:,} {what}" for what, count in sorted(met.items()))
    with capsys.disabled():
        print(f"\nsimulation: {summary}")  # noqa: T201  the figure to quote


def test_the_same_seed_runs_the_same_way_in_another_process() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "7"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert run_seed(7).digest in told[0]


@pytest.mark.parametrize("breaking", BROKEN, ids=lambda breaking: breaking.__name__)
def test_a_broken_engine_is_noticed(breaking: Breaking) -> None:
    with breaking():
        assert any(fails(seed) for seed in range(NOTICED_WITHIN))


def fails(seed: int) -> bool:
    try:
        run_seed(seed)
    except Failed:
        return True
    return False
