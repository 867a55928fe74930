"""Long answers, read piece by piece in the database's reader threads while somebody takes them.

Invariant: of an answer of any length memory holds one piece. The next one is read only when the last has left, no
thread is held while a slow client makes up its mind, and a client that goes away ends the reading.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from qsuite.domain.errors import TooMany
from qsuite.repos.database import Database

T = TypeVar("T")

RETRY_AFTER_S = 5.0


class Downloads:
    """Count what is under way, so that many slow clients together stay within bounds too."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self.under_way = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Take part while the block runs. TooMany when there are as many as may be."""
        if self.under_way >= self._at_once:
            raise TooMany(
                f"{self._at_once} downloads are under way, and no more are served at once",
                code="downloads.too_many",
                retry_after_s=RETRY_AFTER_S,
            )
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1


async def pulled(database: Database, open_pieces: Callable[[], Generator[T, None, None]]) -> AsyncGenerator[T, None]:
    """Yield what a generator yields that may run in threads only: each piece is one turn in a reader thread."""
    pieces = open_pieces()
    turn: asyncio.Future[T | None] | None = None
    try:
        while True:
            turn = asyncio.ensure_future(database.in_reader(next, pieces, None))
            piece = await asyncio.shield(turn)
            if piece is None:
                return
            yield piece
    finally:
        if turn is not None and not turn.done():
            await asyncio.wait([turn])  # a generator at work cannot be closed
        # Not in a reader thread: there may be none left when the process ends.
        await asyncio.to_thread(pieces.close)
