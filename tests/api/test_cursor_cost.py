"""What a page by cursor costs does not grow with how deep it lies: by MongoDB's own count, not by a clock."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from qsuite.domain.market import Tick
from qsuite.domain.times import format_rfc3339
from tests.api.test_downloads import BARS, RECORDS, T0_NS, TICKS, a_trade, new_symbol, store
from tests.support.client import Answer
from tests.support.market import quote
from tests.support.running_app import Api

SECOND_NS = 1_000_000_000
COUNT, PAGE = 3_000, 600
PRICES = ".*\\.(system\\.buckets\\.)?(ticks|tick_blocks|market_data)$"


async def examined(api: Api, work: Callable[[], Awaitable[Answer]]) -> tuple[int, Answer]:
    """Return how many keys and documents of prices the server looked at for the costliest question meanwhile.

    Not for all of them: the application's loops ask a little now and then too.
    """
    database = api.database.sync

    def begin() -> None:
        database.command("profile", 0)
        database.drop_collection("system.profile")
        database.command("profile", 2)

    def end() -> int:
        database.command("profile", 0)
        found = list(database["system.profile"].find({"ns": {"$regex": PRICES}}))
        assert found
        questions: Counter[int] = Counter()
        for number, each in enumerate(found):
            # All batches of one question name its cursor; one that was answered at once has none.
            questions[each.get("cursorid", -number)] += each.get("docsExamined", 0) + each.get("keysExamined", 0)
        return max(questions.values())

    await asyncio.to_thread(begin)
    answer = await work()
    return await asyncio.to_thread(end), answer


async def a_market(api: Api) -> str:
    symbol = await new_symbol(api)
    ticks: list[Tick] = []
    for number in range(COUNT):
        ticks += [a_trade(symbol, number), quote(T0_NS + number * SECOND_NS + 1, "9", "11", number, symbol)]
    await store(api, iter(ticks))
    bars = [
        {"symbol": symbol, "interval": "1m", "timestamp": format_rfc3339((number + 1) * 60 * SECOND_NS), "open": "1",
         "high": "2", "low": "1", "close": str(1 + Decimal(number % 10) / 10), "volume": "1"}
        for number in range(COUNT)
    ]  # fmt: skip
    assert (await api.admin.post("/api/v1/market-data/bulk_create/", bars)).json["created"] == len(bars)
    return symbol


@pytest.fixture(scope="module")
def symbol(api: Api, io_loop: Any) -> str:
    return str(io_loop.run_sync(lambda: a_market(api)))


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (TICKS, {}),
        (TICKS, {"kind": "trade"}),
        (TICKS, {"asof": "quote"}),
        (BARS, {"interval": "1s"}),
        (RECORDS, {"interval": "1m", "ordering": "timestamp"}),
        (RECORDS, {}),
    ],
)
async def test_a_deep_page_costs_no_more_than_the_first_one(
    api: Api, symbol: str, path: str, query: dict[str, str]
) -> None:
    asked: dict[str, Any] = {"symbol": symbol, "page_size": PAGE, "cursor": "", **query}
    costs: list[int] = []
    rows = 0
    following: str | None = path
    while following is not None:
        cost, answer = await examined(api, partial(api.viewer.get, following, query=asked))
        costs.append(cost)
        rows += len(answer.json["results"])
        following, asked = answer.json["next"], {}
    assert rows >= COUNT
    first, middle, deep = costs[0], costs[len(costs) // 2], costs[-1]
    assert min(first, middle, deep) > 0
    # A few more where a page begins amid a bucket.
    assert max(middle, deep) <= first + 8, costs
    if path != RECORDS:
        # And no more than a question that begins there, behind which nothing lies.
        row = answer.json["results"][0]
        begun = {
            "symbol": symbol,
            "page_size": PAGE,
            "cursor": "",
            **query,
            "start": row.get("ts", row.get("timestamp")),
        }
        fresh, answer = await examined(api, partial(api.viewer.get, path, query=begun))
        assert answer.json["results"][0] == row
        assert deep <= fresh + 8, (costs, fresh)
