"""Answer a ``Listing`` from a collection: filter, search, total order, and one page by number or by cursor.

Every list of the API comes through here. Invariants: the order is total (``_id`` breaks ties), so pages never overlap
or skip; a page by cursor is a range query, so its cost does not grow with depth; a cursor is taken only by the listing
that gave it.

For that an index must hold the filtered fields, then the ordered ones, then ``_id`` in the direction of the last
ordered one: ``(("account", 1), ("created_at", -1), ("_id", -1))``.

    listing                        filter and sort
    status=FILLED, -created_at     {"status": {"$eq": "FILLED"}}, [("created_at", -1), ("_id", -1)]
    …, cursor after (t, u)         and {"created_at": {"$lte": t}}, {"$or": [{"created_at": {"$lt": t}},
                                       {"created_at": {"$eq": t}, "_id": {"$lt": u}}]}
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.times import NS_PER_MS, ns_to_datetime
from qsuite.repos.cursors import cursor_after, read_cursor
from qsuite.repos.database import Collection, Document, translated
from qsuite.repos.decimals import encode_optional

T = TypeVar("T")
Sort = list[tuple[str, int]]
OPERATORS: Mapping[str, str] = {name: f"${name}" for name in ("eq", "gte", "gt", "lte", "lt")}
"""What a condition may become: looked up here, so that no word from elsewhere is ever an operator."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Where a field of the API is stored (``path``, dotted) and how a value to compare with is written.

    ``nullable``: documents may lack the field or hold null there, which MongoDB orders before everything else; say so
    only for a field one may order by, since it costs the cursor its simple range.
    """

    path: str
    encode: Callable[[Any], Any] | None = None
    nullable: bool = False
    instant: bool = False


def plain(path: str, *, nullable: bool = False) -> FieldMap:
    """Map text, numbers, booleans and UUIDs, which are stored as they are."""
    return FieldMap(path, nullable=nullable)


def decimal(path: str, *, nullable: bool = False) -> FieldMap:
    """Map a Decimal stored as Decimal128."""
    return FieldMap(path, encode=encode_optional, nullable=nullable)


def instant(path: str, *, nullable: bool = False) -> FieldMap:
    """Map nanoseconds stored as a date. Dates hold milliseconds; comparing stays exact to the nanosecond."""
    return FieldMap(path, encode=ns_to_datetime, nullable=nullable, instant=True)


@dataclass(frozen=True, slots=True)
class Query:
    """A listing in MongoDB's terms. ``order`` holds the sort without its tie-break; ``scope`` is what it belongs to."""

    filter: Document
    sort: Sort
    nullable: tuple[bool, ...]
    scope: str


async def find_page(
    collection: Collection,
    listing: Listing,
    *,
    to_domain: Callable[[Document], T],
    fields: Mapping[str, FieldMap],
    search_fields: Iterable[str] = (),
    projection: Document | None = None,
) -> Page[T]:
    """Answer one page. Invalid for a cursor that is not this listing's; KeyError for a field not in ``fields``.

    ``search_fields`` are paths that a search looks into, as a case-insensitive part.
    """
    query = query_of(listing, fields, search_fields)
    if listing.cursor is None:
        return await _numbered_page(collection, listing, query, to_domain, projection)
    return await _cursor_page(collection, listing, query, to_domain, projection)


def query_of(listing: Listing, fields: Mapping[str, FieldMap], search_fields: Iterable[str] = ()) -> Query:
    """Translate a listing; a cursor is not looked at."""
    clauses = [_clause(condition, fields[condition.field]) for condition in listing.conditions]
    if listing.search:
        # An escaped pattern is plain text, so that nobody can send one that takes for ever.
        pattern = {"$regex": re.escape(listing.search), "$options": "i"}
        clauses.append({"$or": [{path: pattern} for path in search_fields]})
    maps = [(fields[name], descending) for name, descending in listing.order]
    sort = [(field.path, -1 if descending else 1) for field, descending in maps]
    nullable = tuple(field.nullable for field, _ in maps)
    if all(path != "_id" for path, _ in sort):
        sort.append(("_id", sort[-1][1] if sort else 1))
        nullable += (False,)
    scope = repr((listing.conditions, listing.search, sort))
    return Query(_all_of(clauses), sort, nullable, scope)


async def _numbered_page(
    collection: Collection, listing: Listing, query: Query, to_domain: Callable[[Document], T], projection: Any
) -> Page[T]:
    skip = (listing.page - 1) * listing.page_size
    found = collection.find(query.filter, projection).sort(query.sort).skip(skip).limit(listing.page_size)
    with translated():
        documents, count = await asyncio.gather(
            found.to_list(listing.page_size), collection.count_documents(query.filter)
        )
    return Page([to_domain(document) for document in documents], count, has_next=skip + len(documents) < count)


async def _cursor_page(
    collection: Collection, listing: Listing, query: Query, to_domain: Callable[[Document], T], projection: Any
) -> Page[T]:
    conditions = query.filter
    if listing.cursor:
        conditions = _all_of([conditions, after(query, read_cursor(listing.cursor, query.scope, len(query.sort)))])
    # One more than asked for, to know whether there is more.
    found = collection.find(conditions, projection).sort(query.sort).limit(listing.page_size + 1)
    with translated():
        documents = await found.to_list(listing.page_size + 1)
    items = documents[: listing.page_size]
    if len(documents) == len(items):
        return Page([to_domain(document) for document in items], None)
    last = [_value_at(items[-1], path) for path, _ in query.sort]
    return Page([to_domain(document) for document in items], None, cursor_after(last, query.scope), has_next=True)


def after(query: Query, values: list[Any]) -> Document:
    """Return the condition that a document comes after one with these values of the sort fields."""
    branches: list[Document] = []
    equal: Document = {}
    for (path, direction), value, nullable in zip(query.sort, values, query.nullable, strict=True):
        branches += [{**equal, **beyond} for beyond in _beyond(path, direction, value, nullable)]
        equal[path] = {"$eq": value}
    (path, direction), value, nullable = query.sort[0], values[0], query.nullable[0]
    ties = _any_of(branches)
    if len(query.sort) == 1 or nullable or value is None:
        return ties
    # Bounds the index scan at its start; the ties alone would be filtered out one by one from the first document on.
    return {"$and": [{path: {"$gte" if direction > 0 else "$lte": value}}, ties]}


def _beyond(path: str, direction: int, value: Any, nullable: bool) -> list[Document]:
    """Return the alternatives for what sorts after ``value``. Null sorts before all else, and is never ``$gt``."""
    if value is None:
        return [{path: {"$ne": None}}] if direction > 0 else []
    further = [{path: {"$gt" if direction > 0 else "$lt": value}}]
    return [*further, {path: {"$eq": None}}] if nullable and direction < 0 else further


def _clause(condition: Condition, field: FieldMap) -> Document:
    operator, value = condition.operator, condition.value
    if field.instant:
        return _instant_clause(condition, field)
    encode = field.encode
    if operator == "in":
        assert isinstance(value, tuple)
        return {field.path: {"$in": list(value) if encode is None else [encode(one) for one in value]}}
    return {field.path: {OPERATORS[operator]: value if encode is None else encode(value)}}


def _instant_clause(condition: Condition, field: FieldMap) -> Document:
    """Compare exactly although a stored date holds whole milliseconds: none equals or lies between two of them."""
    assert field.encode is not None
    operator, value = condition.operator, condition.value
    if operator == "in":
        assert isinstance(value, tuple)
        return {field.path: {"$in": [field.encode(ns) for ns in value if ns % NS_PER_MS == 0]}}
    if value is None:
        return {field.path: {OPERATORS[operator]: None}}
    assert isinstance(value, int)
    if value % NS_PER_MS:
        if operator == "eq":
            return {field.path: {"$in": []}}
        operator = "gt" if operator in ("gt", "gte") else "lte"
    return {field.path: {OPERATORS[operator]: field.encode(value - value % NS_PER_MS)}}


def _all_of(clauses: list[Document]) -> Document:
    """Join conditions flatly where no key is used twice, as the shell would show them, else by ``$and``."""
    clauses = [clause for clause in clauses if clause]
    merged: Document = {}
    for clause in clauses:
        for path, test in clause.items():
            known = merged.setdefault(path, {} if isinstance(test, dict) else test)
            if known is test:
                continue
            if not isinstance(known, dict) or known.keys() & test.keys():
                return {"$and": clauses}
            merged[path] = {**known, **test}
    return merged


def _any_of(branches: list[Document]) -> Document:
    return branches[0] if len(branches) == 1 else {"$or": branches}


def _value_at(document: Document, path: str) -> Any:
    found: Any = document
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
