"""Run every test: ``python -m tests [pytest's arguments]``, which is what ``make test`` calls.

Much of the time of the suite is processes that are killed and started again. So those tests, with others that take as
long together as all the rest, and all the rest run side by side, each part in a pytest of its own with databases of its
own. One pytest runs what a path among the arguments names, and everything where the first failure is to end it.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

HERE = Path(__file__).parent
APART = [
    HERE / each
    for each in (
        "crash",
        "property",
        "simulation",
        "api/test_market_models.py",
        "api/test_schemathesis.py",
        "integration/test_jobs_on_a_grid.py",
        "integration/test_market_models.py",
    )
]
NAMED = ", ".join(f"tests/{each.relative_to(HERE)}" for each in APART)
PYTEST = [sys.executable, "-m", "pytest"]
AT_FIRST_FAILURE = ("-x", "--exitfirst", "--maxfail", "--pdb")
NO_TESTS = 5
"""What pytest ends with when the arguments left it nothing to run."""


def main(arguments: list[str]) -> int:
    """Run the suite; return what to exit with."""
    options = {each.partition("=")[0] for each in arguments}
    if options & set(AT_FIRST_FAILURE) or any(Path(each.partition("::")[0]).exists() for each in arguments):
        os.execv(sys.executable, [*PYTEST, *arguments])
    with tempfile.TemporaryFile() as output:
        codes = side_by_side(arguments, output.fileno())
        output.seek(0)
        say(f"{NAMED}, beside the others")
        sys.stdout.buffer.write(output.read())
    return next((code for code in codes if code not in (0, NO_TESTS)), min(codes))


def side_by_side(arguments: list[str], output: int) -> list[int]:
    """Run both parts to their end; return what each ended with. What interrupts this process interrupts them."""
    running: list[subprocess.Popen[bytes]] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        # The terminal itself tells the first part of Ctrl-C; told twice, pytest would not clean up.
        for each in running[1:] if number == signal.SIGINT else running:
            each.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    others = [*PYTEST, *arguments, str(HERE), *(f"--ignore={each}" for each in APART)]
    # A cache of its own, since the last to end would overwrite what failed in the other; no terminal, which is taken.
    cache = [] if "no:cacheprovider" in arguments else ["-o", "cache_dir=.pytest_cache/apart"]
    apart = [*PYTEST, *arguments, *cache, *map(str, APART)]
    running.append(subprocess.Popen(others))
    running.append(
        subprocess.Popen(
            apart, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    )
    first = running[0].wait()
    if running[1].poll() is None:
        say(f"waiting for {NAMED}")
    return [first, running[1].wait()]


def say(what: str) -> None:
    sys.stdout.write(f"\n---- {what} ----\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
