"""Where jobs are computed: a ``concurrent.futures.Executor`` each, with what the runner needs beyond that.

An executor knows nothing of jobs. It runs functions, says when what ran one is gone (``WorkerDied``), and ends one on
request as far as it can.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class WorkerDied(Exception):
    """What ran a function is gone, and nobody else is at it."""


class GridLost(Exception):
    """What ran a function cannot be asked any more: it may be gone, or still at it."""


class JobExecutor(Protocol):
    """A ``concurrent.futures.Executor`` for jobs. Any thread may call it, and must expect to wait."""

    @property
    def ready(self) -> bool:
        """Say whether a function would be run now; never waits."""

    @property
    def capacity(self) -> int:
        """Return how many functions can run at once."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run ``function(*args, **kwargs)``; all of it must pickle. The future may raise WorkerDied or GridLost."""

    def end(self, future: "Future[Any]") -> None:
        """Have a function end: its process where there is one of its own, else where it asks whether it should."""

    def look(self) -> None:
        """See whether it can be used, and try to mend it if not. Called every few seconds."""

    def shutdown(self, wait: bool = True) -> None:
        """End everything; with ``wait`` nothing of it is left when this returns."""
