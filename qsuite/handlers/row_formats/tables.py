"""Rows as columns: what a row's fields are called, what they hold, and what writes them out."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
Batch = TypeVar("Batch", contravariant=True)


class Kind(Enum):
    """What a column holds. Every kind but WORD may be missing."""

    WORD = auto()
    """Text of which there are few, such as a symbol."""
    TEXT = auto()
    DECIMAL = auto()
    INSTANT = auto()
    WHOLE = auto()
    FLAG = auto()


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column: its name, what it holds, and how it is got from a row."""

    name: str
    kind: Kind
    of: Callable[[T], Any]


@dataclass(frozen=True, slots=True)
class RowTable(Generic[T]):
    """The columns of a kind of row, and the row as a JSON object."""

    columns: tuple[Column[T], ...]
    shown: Callable[[T], dict[str, Any]]


class RowWriter(Protocol[Batch]):
    """Write a head, batches of rows that are not empty, an end. Each call runs in a thread."""

    media: str

    def head(self) -> bytes:
        """Return what comes before the first row."""

    def rows(self, batch: Batch) -> bytes:
        """Return some rows."""

    def end(self) -> bytes:
        """Return what comes after the last row."""
