"""Lists against a real mongod: every page, in both ways of paging, agrees with sorting the documents in Python."""

import random
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from pymongo import IndexModel

from qsuite.domain.errors import Invalid
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.times import NS_PER_MS, ns_to_datetime
from qsuite.repos.cursors import read_cursor
from qsuite.repos.database import Database
from qsuite.repos.listing import FieldMap, after, decimal, find_page, instant, plain, query_of

T0 = 1_700_000_000_000_000_000  # a whole millisecond
FIELDS = {
    "symbol": plain("symbol"),
    "price": decimal("price", nullable=True),
    "created_at": instant("created_at"),
    "account": plain("account"),
    "reason": plain("reject.code", nullable=True),
}
Item = dict[str, Any]


def item_of(document: dict[str, Any]) -> Item:
    price = document.get("price")
    return {"id": document["_id"], "price": None if price is None else price.to_decimal(), "symbol": document["symbol"]}


async def page(database: Database, listing: Listing, fields: dict[str, FieldMap] = FIELDS) -> Page[Item]:
    return await find_page(
        database.collection("things"), listing, to_domain=item_of, fields=fields, search_fields=("symbol", "name")
    )


async def every_page(database: Database, listing: Listing) -> list[Item]:
    """Follow the cursors to the end."""
    items: list[Item] = []
    cursor: str | None = ""
    while cursor is not None:
        found = await page(database, Listing(listing.conditions, listing.search, listing.order, 1, 7, cursor))
        assert found.count is None
        assert found.has_next == (found.next_cursor is not None)
        items += found.items
        cursor = found.next_cursor
    return items


def some_documents(count: int = 60) -> list[dict[str, Any]]:
    """Documents with many ties, missing and null prices, all drawn from one seed."""
    draw = random.Random(5)
    documents: list[dict[str, Any]] = []
    for number in range(count):
        price = draw.choice([None, "1.10", "1.1", "2", "10", "1E+3"])
        document = {
            "_id": UUID(int=draw.getrandbits(128)),
            "symbol": draw.choice(["AAPL", "IBM", "MSFT", "a.c"]),
            "name": f"Company {number}",
            "account": UUID(int=draw.randint(1, 3)),
            "created_at": ns_to_datetime(T0 + draw.randint(0, 9) * NS_PER_MS),
        }
        if price is not None:
            document["price"] = Decimal128(price)
        elif draw.random() < 0.5:
            document["price"] = None
        documents.append(document)
    return documents


def expected_order(documents: list[dict[str, Any]], order: tuple[tuple[str, bool], ...]) -> list[UUID]:
    """Sort in Python, null first, the id last and in the direction of the last field."""
    ordered = sorted(documents, key=lambda document: document["_id"].bytes, reverse=bool(order and order[-1][1]))
    for name, descending in reversed(order):

        def key(document: dict[str, Any], name: str = name) -> tuple[bool, Any]:
            value = document.get(name)
            value = value.to_decimal() if isinstance(value, Decimal128) else value
            return (value is not None, value if value is not None else 0)

        ordered.sort(key=key, reverse=descending)
    return [document["_id"] for document in ordered]


@pytest.mark.parametrize(
    "order",
    [
        (),
        (("created_at", True),),
        (("created_at", False),),
        (("symbol", True), ("created_at", False)),
        (("price", False),),
        (("price", True),),
        (("price", True), ("symbol", False)),
        (("symbol", False), ("price", True)),
        (("symbol", False), ("price", False)),
    ],
)
async def test_cursors_and_numbers_walk_the_same_total_order(
    database: Database, order: tuple[tuple[str, bool], ...]
) -> None:
    documents = some_documents()
    await database.collection("things").insert_many(documents)
    wanted = expected_order(documents, order)
    assert [item["id"] for item in await every_page(database, Listing(order=order))] == wanted
    numbered: list[UUID] = []
    for number in range(1, 10):
        found = await page(database, Listing(order=order, page=number, page_size=7))
        assert found.count == 60
        assert found.has_next == (number < 9)
        numbered += [item["id"] for item in found.items]
    assert numbered == wanted


async def test_conditions_on_one_field_narrow_each_other(database: Database) -> None:
    await database.collection("things").insert_many(some_documents())
    mine = Condition("account", "eq", UUID(int=1))
    listing = Listing((mine, Condition("account", "eq", UUID(int=2))))
    assert (await page(database, listing)).items == []
    both = Listing((Condition("price", "gte", Decimal("1.1")), Condition("price", "lt", Decimal(10)))).where(mine)
    found = await page(database, both)
    assert found.items
    assert {item["price"] for item in found.items} <= {Decimal("1.10"), Decimal(2)}
    assert query_of(both, FIELDS).filter == {
        "price": {"$gte": Decimal128("1.1"), "$lt": Decimal128("10")},
        "account": {"$eq": UUID(int=1)},
    }


@pytest.mark.parametrize(
    ("operator", "offset_ns", "wanted"),
    [
        ("gte", 0, [1, 2]),
        ("gte", 1, [2]),
        ("gt", 0, [2]),
        ("gt", -1, [1, 2]),
        ("lte", 0, [0, 1]),
        ("lte", -1, [0]),
        ("lt", 0, [0]),
        ("lt", 1, [0, 1]),
        ("eq", 0, [1]),
        ("eq", 1, []),
    ],
)
async def test_an_instant_between_two_milliseconds_is_compared_exactly(
    database: Database, operator: Any, offset_ns: int, wanted: list[int]
) -> None:
    documents = [
        {"_id": number, "symbol": "IBM", "created_at": ns_to_datetime(T0 + number * NS_PER_MS)} for number in range(3)
    ]
    await database.collection("things").insert_many(documents)
    around_the_second = T0 + NS_PER_MS + offset_ns
    found = await page(database, Listing((Condition("created_at", operator, around_the_second),)))
    assert [item["id"] for item in found.items] == wanted
    several = Listing((Condition("created_at", "in", (around_the_second, T0)),))
    assert len((await page(database, several)).items) == (2 if offset_ns == 0 else 1)


async def test_a_search_takes_every_sign_literally_and_no_case(database: Database) -> None:
    documents = [
        {"_id": 1, "symbol": "A.C", "name": "one"},
        {"_id": 2, "symbol": "ABC", "name": "two (a.c)"},
        {"_id": 3, "symbol": "ABC", "name": "three"},
    ]
    await database.collection("things").insert_many(documents)
    assert [item["id"] for item in (await page(database, Listing(search="a.c"))).items] == [1, 2]
    assert (await page(database, Listing(search="(a+)+$"))).items == []


async def test_a_condition_on_a_value_that_looks_like_an_operator_finds_nothing(database: Database) -> None:
    await database.collection("things").insert_one({"_id": 1, "symbol": "IBM"})
    assert (await page(database, Listing((Condition("symbol", "eq", {"$ne": None}),)))).items == []


async def test_a_nested_field_that_is_often_absent_pages_by_cursor(database: Database) -> None:
    documents = [
        {"_id": n, "symbol": "IBM", **({"reject": {"code": f"risk.{n % 3}"}} if n % 2 else {})} for n in range(20)
    ]
    await database.collection("things").insert_many(documents)
    found = [item["id"] for item in await every_page(database, Listing(order=(("reason", True),)))]
    assert found == [17, 11, 5, 19, 13, 7, 1, 15, 9, 3, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0]


async def test_a_cursor_of_another_list_or_a_changed_one_is_refused(database: Database) -> None:
    await database.collection("things").insert_many(some_documents())
    newest = (("created_at", True),)
    cursor = (await page(database, Listing(order=newest, page_size=5, cursor=""))).next_cursor
    assert cursor is not None
    others = [
        Listing(order=(("created_at", False),), cursor=cursor),
        Listing((Condition("symbol", "eq", "IBM"),), order=newest, cursor=cursor),
        Listing(order=newest, search="a", cursor=cursor),
    ]
    for listing in others:
        with pytest.raises(Invalid):
            await page(database, listing)
    for at in range(len(cursor)):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        for bad in (changed, cursor[:at] or "=", cursor + "A", cursor + "="):
            with pytest.raises(Invalid):
                await page(database, Listing(order=newest, cursor=bad))


async def test_the_cost_of_a_page_by_cursor_does_not_grow_with_its_depth(database: Database) -> None:
    things = database.collection("things")
    await things.create_indexes([IndexModel([("account", 1), ("created_at", -1), ("_id", -1)], name="newest")])
    count, per_instant = 3_000, 10
    await things.insert_many(
        [
            {"_id": UUID(int=n), "symbol": "IBM", "account": 1, "created_at": ns_to_datetime(T0 + n // 10 * NS_PER_MS)}
            for n in range(count)
        ]
    )
    mine = Listing((Condition("account", "eq", 1),), order=(("created_at", True),), page_size=50, cursor="")
    examined: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        query = query_of(mine, FIELDS)
        conditions = query.filter
        if cursor:
            conditions = {**conditions, **after(query, read_cursor(cursor, query.scope, 2))}
        explained = await things.find(conditions).sort(query.sort).limit(51).explain()
        examined.append(explained["executionStats"]["totalKeysExamined"])
        cursor = (await page(database, Listing(mine.conditions, None, mine.order, 1, 50, cursor))).next_cursor
    assert len(examined) == count // 50
    assert max(examined) <= 51 + per_instant


async def test_the_fallback_in_memory_pages_too(memory_database: Database) -> None:
    documents = [{"_id": n, "symbol": ["IBM", "AAPL"][n % 2], "name": ""} for n in range(20)]
    await memory_database.collection("things").insert_many(documents)
    items = await every_page(memory_database, Listing(order=(("symbol", False),)))
    assert [item["id"] for item in items] == [*range(1, 20, 2), *range(0, 20, 2)]
    assert (await page(memory_database, Listing(search="ib", page_size=3))).count == 10
