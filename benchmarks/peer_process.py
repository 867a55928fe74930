"""A peer in a process and a virtual environment of its own, asked line by line for what it measures.

The peer prints ``ready``, then a number for each line it reads, and ends with its standard input.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Ask = Callable[[str], float]


@contextmanager
def asking(python: Path, script: Path, name: str, *arguments: object, warnings: bool = True) -> Iterator[Ask]:
    """Run a script as the peer of this name; yield what asks it for a figure by a word."""
    quiet = [] if warnings else ["-W", "ignore"]
    # Its own logs say nothing to who measures; a peer's interpreter must not see our packages.
    with subprocess.Popen(
        [python, *quiet, script, name, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        given, told = process.stdin, process.stdout

        def ask(what: str) -> float:
            given.write(f"{what}\n")
            given.flush()
            return float(told.readline())

        try:
            assert told.readline() == "ready\n", f"{name} did not start"
            yield ask
        finally:
            given.close()
            process.wait(30)
