"""Run every test: ``python -m tests [pytest's arguments]``, which is what ``make test`` calls.

Much of the time of the suite is processes that are killed and started again, and waiting for them. So three parts that
take about as long run side by side, each in a pytest of its own with databases of its own. One pytest runs what a path
among the arguments names, and everything where the first failure is to end it.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

HERE = Path(__file__).parent
APART = (("crash", "adversarial"), ("api", "console", "property", "simulation"))
"""Each of these in a pytest of its own; whatever is not among them runs in the first one."""
PYTEST = [sys.executable, "-m", "pytest"]
AT_FIRST_FAILURE = ("-x", "--exitfirst", "--maxfail", "--pdb")
NO_TESTS = 5
"""What pytest ends with when the arguments left it nothing to run."""


class Part(NamedTuple):
    """A pytest beside the first one, what it runs, and where its output gathers."""

    named: str
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]


def main(arguments: list[str]) -> int:
    """Run the suite; return what to exit with."""
    options = {each.partition("=")[0] for each in arguments}
    if options & set(AT_FIRST_FAILURE) or any(Path(each.partition("::")[0]).exists() for each in arguments):
        os.execv(sys.executable, [*PYTEST, *arguments])
    codes = side_by_side(arguments)
    return next((code for code in codes if code not in (0, NO_TESTS)), min(codes))


def side_by_side(arguments: list[str]) -> list[int]:
    """Run all parts to their end, show them one after the other, return what each ended with.

    What interrupts this process interrupts them.
    """
    running: list[subprocess.Popen[bytes]] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        # The terminal itself tells the first part of Ctrl-C; told twice, pytest would not clean up.
        for each in running[1:] if number == signal.SIGINT else running:
            each.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    folders = [HERE / each for part in APART for each in part]
    running.append(subprocess.Popen([*PYTEST, *arguments, str(HERE), *(f"--ignore={each}" for each in folders)]))
    parts = []
    for part in APART:
        parts.append(begin(part, arguments))
        running.append(parts[-1].process)
    codes = [running[0].wait()]
    for named, process, output in parts:
        if process.poll() is None:
            say(f"waiting for {named}")
        codes.append(process.wait())
        say(f"{named}, beside the others")
        with output:
            output.seek(0)
            sys.stdout.buffer.write(output.read())
    return codes


def begin(part: tuple[str, ...], arguments: list[str]) -> Part:
    """Begin a part without a terminal, which is taken."""
    # A cache of its own, since the last to end would overwrite what failed in the others.
    cache = [] if "no:cacheprovider" in arguments else ["-o", f"cache_dir=.pytest_cache/{part[0]}"]
    command = [*PYTEST, *arguments, *cache, *(str(HERE / each) for each in part)]
    output = tempfile.TemporaryFile()  # noqa: SIM115  closed when it was shown
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    return Part(", ".join(f"tests/{each}" for each in part), process, output)


def say(what: str) -> None:
    sys.stdout.write(f"\n---- {what} ----\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
