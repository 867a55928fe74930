"""Run every test: ``python -m tests [pytest's arguments]``, which is what ``make test`` calls.

Half of the time of the suite is processes that are killed and started again, so those tests and all the others run side
by side, each in a pytest of its own with databases of its own. With a path among the arguments, one pytest runs that.
"""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
APART = "crash"
NO_TESTS = 5
"""What pytest ends with when the arguments left it nothing to run."""


def main(arguments: list[str]) -> int:
    """Run the suite; return what to exit with."""
    pytest = [sys.executable, "-m", "pytest"]
    if any(not each.startswith("-") and Path(each.partition("::")[0]).exists() for each in arguments):
        return subprocess.call([*pytest, *arguments])
    folders = sorted(each.name for each in HERE.iterdir() if (each / "__init__.py").exists() and each.name != "support")
    others = [str(HERE / name) for name in folders if name not in (APART, "soak")]
    with tempfile.TemporaryFile() as output:
        apart = subprocess.Popen([*pytest, *arguments, str(HERE / APART)], stdout=output, stderr=subprocess.STDOUT)
        try:
            first = subprocess.call([*pytest, *arguments, *others])
            second = apart.wait()
        finally:
            if apart.poll() is None:  # interrupted: what it started ends with it
                apart.send_signal(signal.SIGINT)
                apart.wait()
        output.seek(0)
        sys.stdout.write(f"\n---- tests/{APART}, beside the others ----\n")
        sys.stdout.flush()
        sys.stdout.buffer.write(output.read())
    codes = [code for code in (first, second) if code != NO_TESTS]
    return max(codes, default=NO_TESTS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
