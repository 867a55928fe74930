"""What a list request asks for, free of HTTP and of MongoDB: conditions, search, order, and which page.

Handlers build a ``Listing`` from the query string, repos answer it with a ``Page``.
"""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

Operator = Literal["eq", "gte", "gt", "lte", "lt", "in"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Condition:
    """One filter: ``field operator value``; for ``in`` the value is a tuple."""

    field: str
    operator: Operator
    value: object


@dataclass(frozen=True, slots=True)
class Listing:
    """Ask for one page.

    ``order`` is ``(field, descending)`` pairs, most significant first; repos add the id as the last one so that the
    order is total. With ``cursor`` (``""`` asks for the first page by cursor) ``page`` is not used and nothing is
    counted; without it pages are numbered from 1.
    """

    conditions: tuple[Condition, ...] = ()
    search: str | None = None
    order: tuple[tuple[str, bool], ...] = ()
    page: int = 1
    page_size: int = 100
    cursor: str | None = None

    def where(self, *conditions: Condition) -> "Listing":
        """Narrow the listing by further conditions, such as whose it is."""
        return Listing(self.conditions + conditions, self.search, self.order, self.page, self.page_size, self.cursor)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Answer a listing: the items, the total when it was counted, and the cursor that continues."""

    items: list[T]
    count: int | None
    next_cursor: str | None = None
    has_next: bool = False
