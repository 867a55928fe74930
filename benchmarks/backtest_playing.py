"""Peers of backtests, each in a process and a virtual environment of its own, asked for the seconds of a run."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PLAYER = Path(__file__).with_name("backtest_peers.py")
VECTORBT = ("1.2.0",)
BACKTESTING = ("0.6.6",)


@contextmanager
def playing(python: Path, name: str, folder: Path) -> Iterator[Callable[[], float]]:
    """Run a peer on what a folder holds; yield what asks it for one run's seconds. It ends with its standard input."""
    with subprocess.Popen(
        [python, "-W", "ignore", PLAYER, name, folder],
        env={**os.environ, "PYTHONPATH": ""},  # a peer's interpreter must not see our packages
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        given, told = process.stdin, process.stdout

        def ask() -> float:
            given.write("run\n")
            given.flush()
            return float(told.readline())

        try:
            assert told.readline() == "ready\n", f"{name} did not start"
            yield ask
        finally:
            given.close()
            process.wait(30)
