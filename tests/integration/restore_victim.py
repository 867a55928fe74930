"""A restore that is killed at a named point: ``python -m tests.integration.restore_victim URI NAME FILE POINT``.

A point is a stage (``emptying``, ``filling``, ``comparing``, ``indexes``), ``part`` for a moment between two parts, or
``opening`` for the moment before the database is opened again.
"""

import os
import signal
import sys
from pathlib import Path

from qsuite.repos.database import connect
from qsuite.repos.restoring import Restoring
from qsuite.services.backup.put_back import put_back
from qsuite.services.backup.reading import open_archive

LEASE_S = 0.5


def main(uri: str, name: str, file: str, point: str) -> None:
    """Restore until the point is reached."""

    def die(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def progress(done: int, total: int) -> None:
        if done > total // 2:
            die("part")

    finish = Restoring.finish

    def finishing(self: Restoring, snapshot: str) -> None:
        die("opening")
        finish(self, snapshot)

    Restoring.finish = finishing  # type: ignore[method-assign]
    put_back(
        connect(uri, name, pool_size=4, timeout_s=30),
        open_archive(Path(file)),
        replace=False,
        heads_file=Path(file).with_suffix(".heads"),
        progress=progress,
        stage=die,
        lease_s=LEASE_S,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
