"""What every repo of versioned things does alike: get, find, add, save, delete, and one page of a list.

Invariant: ``version`` rises by one with each save, and a save names the version it was made from, so that of two
changes made from one reading the second is refused instead of undoing the first.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

from qsuite.domain.errors import NotFound, PreconditionFailed
from qsuite.domain.listing import Listing, Page
from qsuite.repos.database import Database, Document, Session, translated
from qsuite.repos.listing import FieldMap, find_page

T = TypeVar("T")


class DocumentRepo(Generic[T]):
    """Keep domain objects of one kind; ``what`` names one of them in errors."""

    def __init__(
        self,
        database: Database,
        name: str,
        what: str,
        *,
        to_document: Callable[[T], Document],
        to_domain: Callable[[Document], T],
        fields: Mapping[str, FieldMap],
        search_fields: Iterable[str] = (),
    ) -> None:
        self.database = database
        self.collection = database.collection(name)
        self.what = what
        self.to_document = to_document
        self.to_domain = to_domain
        self._fields = fields
        self._search_fields = tuple(search_fields)

    async def get(self, identity: UUID) -> T:
        """Return one by its id. NotFound if there is none."""
        found = await self.find(identity)
        if found is None:
            raise NotFound(f"no {self.what} {identity}")
        return found

    async def find(self, identity: UUID) -> T | None:
        """Return one by its id, or None."""
        return await self.find_by({"_id": identity})

    async def find_by(self, condition: Document) -> T | None:
        """Return the one that a unique condition names, or None."""
        with translated(self.what):
            found = await self.collection.find_one(condition)
        return None if found is None else self.to_domain(found)

    async def add(self, item: T, session: Session = None) -> None:
        """Store a new one. AlreadyExists when its unique name is taken."""
        with translated(self.what):
            await self.collection.insert_one(self.to_document(item), session=session)

    async def save(self, item: T, session: Session = None) -> None:
        """Store a changed one, whose version is one above the version read.

        PreconditionFailed when somebody changed or deleted it meanwhile, AlreadyExists when its new name is taken.
        """
        document = self.to_document(item)
        condition = {"_id": document["_id"], "version": document["version"] - 1}
        with translated(self.what):
            result = await self.collection.replace_one(condition, document, session=session)
        if not result.matched_count:
            raise PreconditionFailed(f"the {self.what} was changed meanwhile; read it again")

    async def delete(self, identity: UUID, version: int, session: Session = None) -> None:
        """Remove one as it was read. PreconditionFailed when somebody changed or deleted it meanwhile."""
        with translated(self.what):
            result = await self.collection.delete_one({"_id": identity, "version": version}, session=session)
        if not result.deleted_count:
            raise PreconditionFailed(f"the {self.what} was changed meanwhile; read it again")

    async def page(self, listing: Listing) -> Page[T]:
        """Return one page of a list."""
        return await find_page(
            self.collection,
            listing,
            to_domain=self.to_domain,
            fields=self._fields,
            search_fields=self._search_fields,
        )

    async def find_many(self, condition: Document, sort: list[tuple[str, int]] | None = None) -> list[T]:
        """Return all that meet a condition; for small collections and bounded conditions only."""
        with translated(self.what):
            cursor: Any = self.collection.find(condition)
            documents = await (cursor.sort(sort) if sort else cursor).to_list(None)
        return [self.to_domain(document) for document in documents]

    async def count(self) -> int:
        """Return about how many there are, from the collection's own books."""
        with translated(self.what):
            return int(await self.collection.estimated_document_count())
