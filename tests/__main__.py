"""Run every test: ``python -m tests [pytest's arguments]``, which is what ``make test`` calls.

Much of the time of the suite is processes that are killed and started again, and waiting for them. So parts of it run
side by side, each in a pytest of its own with databases of its own; when one has ended the next begins. One pytest runs
what a path among the arguments names, and everything where the first failure is to end it.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

from ops.stack.scratch import scratch

HERE = Path(__file__).parent
PARTS = (
    ("integration",),
    ("crash",),
    (".",),
    ("api",),
    ("failures",),
    ("simulation", "property"),
    ("adversarial",),
    ("api/test_schemathesis.py", "api/test_bad_input.py"),
)
"""Each in a pytest of its own, without what another part names; the longest first, so that the last to end is short."""
AT_ONCE = max(3, os.cpu_count() or 1)
"""Parts run at a time: one more than two cores, since most wait for other processes half of the time."""
POLL_S = 0.1
PYTEST = [sys.executable, "-m", "pytest"]
BYTECODE = HERE.parent / ".pytest_cache" / "bytecode"
"""Where compiled modules go on a machine that keeps none beside the sources."""
AT_FIRST_FAILURE = ("-x", "--exitfirst", "--maxfail", "--pdb")
NO_TESTS = 5
"""What pytest ends with when the arguments left it nothing to run."""


class Part(NamedTuple):
    """What it runs, its pytest, and where its output gathers; the first one's goes to the terminal."""

    named: str
    process: "subprocess.Popen[bytes]"
    output: IO[bytes] | None


def main(arguments: list[str]) -> int:
    """Run the suite; return what to exit with."""
    keep_bytecode()
    options = {each.partition("=")[0] for each in arguments}
    if options & set(AT_FIRST_FAILURE) or any(Path(each.partition("::")[0]).exists() for each in arguments):
        os.execv(sys.executable, [*PYTEST, *arguments])
    with scratch() as folder:
        os.environ["TMPDIR"] = folder
        codes = side_by_side([*arguments, "-o", "tmp_path_retention_policy=failed"])
    return next((code for code in codes if code not in (0, NO_TESTS)), min(codes))


def keep_bytecode() -> None:
    """Have the processes of the tests compile a module once, and not each of them anew.

    The suite starts hundreds. With PYTHONDONTWRITEBYTECODE, as many containers set it, a server took 1.6 times as
    long to start, and whatever imports pandas or scikit-learn three to five times as long.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(BYTECODE))


def side_by_side(arguments: list[str]) -> list[int]:
    """Run all parts to their end, show them one after the other, return what each ended with.

    What interrupts this process interrupts them.
    """
    waiting, running, ended = deque(PARTS), list[Part](), list[Part]()

    def interrupt(number: int, frame: FrameType | None) -> None:
        waiting.clear()
        for each in running:
            # The terminal itself tells the first part of Ctrl-C; told twice, pytest would not clean up.
            if each.output or number != signal.SIGINT:
                each.process.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    codes: list[int] = []
    while waiting or running or ended:
        while waiting and len(running) < AT_ONCE:
            running.append(begin(waiting.popleft(), arguments))
        time.sleep(POLL_S)
        ended += [each for each in running if each.process.poll() is not None]
        running[:] = [each for each in running if each not in ended]
        if all(each.output for each in running):  # nobody writes to the terminal any more
            codes += [show(each) for each in ended]
            if ended and running:
                say(f"still running: {'; '.join(each.named for each in running)}")
            ended.clear()
    return codes


def begin(paths: tuple[str, ...], arguments: list[str]) -> Part:
    """Begin a part; without a terminal, unless it is the first one."""
    # A cache of its own, since the last to end would overwrite what failed in the others.
    cache = [] if "no:cacheprovider" in arguments else ["-o", f"cache_dir=.pytest_cache/{Path(paths[0]).stem}"]
    found = [HERE / each for each in paths]
    others = [HERE / each for part in PARTS for each in part if each not in paths]
    left_out = [f"--ignore={each}" for each in others if any(each.is_relative_to(one) for one in found)]
    command = [*PYTEST, *arguments, *cache, *map(str, found), *left_out]
    named = " ".join(str(each.relative_to(HERE.parent)) for each in found)
    if paths is PARTS[0]:
        return Part(named, subprocess.Popen(command), None)
    output = tempfile.TemporaryFile()  # noqa: SIM115  closed when it was shown
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    return Part(named, process, output)


def show(part: Part) -> int:
    """Write what a part has written meanwhile; return what it ended with."""
    if part.output is not None:
        say(f"{part.named}, beside the others")
        with part.output as output:
            output.seek(0)
            shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()
    return part.process.returncode


def say(what: str) -> None:
    sys.stdout.write(f"\n---- {what} ----\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
