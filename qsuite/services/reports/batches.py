"""What reports share: rows in batches, and what they are grouped by."""

from collections.abc import Generator, Iterable
from itertools import islice
from typing import TypeVar
from uuid import UUID

T = TypeVar("T")
Group = tuple[str | None, UUID | None]
"""A symbol and a strategy, None where they do not matter."""

ROWS_TOGETHER = 500


def batched(rows: Iterable[T]) -> Generator[list[T], None, None]:
    """Yield rows in lists that are not empty."""
    left = iter(rows)
    while batch := list(islice(left, ROWS_TOGETHER)):
        yield batch
