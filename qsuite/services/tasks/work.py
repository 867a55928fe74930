"""What a task gets: its job, a database, and whom to tell how far it is.

A task is an ``async def`` of a ``Work`` and the job's parameters, and returns a small mapping. It runs alone on the
event loop of a worker process, so it may compute as long as it likes. What it raises of ``QSuiteError`` becomes the
job's error, anything else its failure.

Invariant: a task may run twice (its worker was killed, or the server). So what it stores, it stores under the job's id,
and finds there what the first run left.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

from qsuite.repos.database import Database


class Work(Protocol):
    """A job under way, as its task sees it."""

    @property
    def job(self) -> UUID:
        """Return the job's id."""

    @property
    def owner(self) -> UUID:
        """Return the user who asked for it."""

    @property
    def database(self) -> Database:
        """Return a connection of this worker's own."""

    def progress(self, part: float) -> None:
        """Say how much is done, from 0 to 1; cheap. Raises what ends a job that was cancelled, so call it often."""


Task = Callable[[Work, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
