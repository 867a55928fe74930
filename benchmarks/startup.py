"""How long ``qsuite serve`` takes until it is ready, its embedded database included, on a directory used before."""

import tempfile
from pathlib import Path

from benchmarks.harness import Figure, alone
from benchmarks.server import running_qsuite


def figures() -> list[Figure]:
    """Measure the start."""
    with tempfile.TemporaryDirectory(prefix="qsuite-bench-") as directory:
        where = Path(directory)

        def start() -> float:
            with running_qsuite(where) as qsuite:
                return qsuite.ready_s

        start()  # the first start makes the database
        return [alone("qsuite serve to ready", unit="s", measure=start, first_bar="<= 4 s", aim="<= 2 s")]
