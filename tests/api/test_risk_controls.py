"""Fifty orders at once that only together breach a limit: through the whole of QSuite, exactly as many pass as fit."""

import asyncio
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.market import Quote
from tests.support.client import Answer, ApiClient
from tests.support.running_app import Api

ORDERS = "/api/v1/orders/"
SYMBOL = "FIFTY"
FIT = 23


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: Any) -> None:
    async def open_market() -> None:
        await api.services.reference.ensure_ticker(SYMBOL, {"name": SYMBOL})
        await api.services.market.publish([Quote(SYMBOL, time.time_ns(), Decimal("99.98"), Decimal("100.02"))])

    io_loop.run_sync(open_market)


async def limited(api: Api, client: ApiClient, **figures: Any) -> str:
    """Set limits of the client's account; return its id."""
    account = str((await client.get("/api/v1/account/")).json["id"])
    asked = {"scope": "account", "id": account, "limits": figures, "reason": "a test"}
    answer = await api.risk_manager.put("/api/v1/risk/limits/", asked)
    assert answer.status == 200, answer
    return account


async def fifty(client: ApiClient, **changed: Any) -> list[Answer]:
    order = {"symbol": SYMBOL, "side": "BUY", "order_type": "LIMIT", "quantity": 1, "price": "90.00"} | changed
    return await asyncio.gather(*(client.post(ORDERS, order) for _ in range(50)))


def verdicts(answers: list[Answer]) -> Counter[str]:
    return Counter("passed" if answer.status == 201 else str(answer.code) for answer in answers)


@pytest.mark.parametrize(
    ("figures", "code", "status"),
    [
        ({"position_limit": FIT}, "risk.position_limit", 422),
        ({"gross_exposure": "0.00235"}, "risk.gross_exposure", 422),  # 2,350 of 1,000,000, each 1 x 100.00
        ({"max_open_orders": FIT}, "risk.max_open_orders", 422),
        ({"max_open_orders_ticker": FIT}, "risk.max_open_orders", 422),
        ({"order_rate": "0.001", "order_burst": FIT}, "risk.order_rate", 429),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
async def test_of_fifty_orders_at_once_as_many_pass_as_fit(
    api: Api, figures: dict[str, Any], code: str, status: int
) -> None:
    trader = await api.new_client("trader")
    await limited(api, trader, **figures)
    answers = await fifty(trader)
    assert verdicts(answers) == {"passed": FIT, code: 50 - FIT}
    assert {answer.status for answer in answers} == {201, status}
    stored = (await trader.get(f"{ORDERS}?page_size=100")).json["results"]
    assert Counter(order["status"] for order in stored) == {"PENDING": FIT, "REJECTED": 50 - FIT}
    assert {order["reject"]["code"] for order in stored if order["reject"]} == {code}


async def test_of_fifty_buys_at_once_as_many_fill_as_the_position_may_hold(api: Api) -> None:
    trader = await api.new_client("trader")
    await limited(api, trader, position_limit=FIT)
    answers = await fifty(trader, order_type="MARKET", price=None)
    assert verdicts(answers) == {"passed": FIT, "risk.position_limit": 50 - FIT}
    assert (await trader.get(f"/api/v1/positions/{SYMBOL}/")).json["quantity"] == str(FIT)


async def test_of_fifty_sells_at_once_as_many_pass_as_is_held(api: Api) -> None:
    trader = await api.new_client("trader")
    bought = await trader.post(ORDERS, {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": FIT})
    assert bought.status == 201
    answers = await fifty(trader, side="SELL", price="110.00")
    assert verdicts(answers) == {"passed": FIT, "risk.short_sale": 50 - FIT}


async def test_a_replace_meets_the_limit_that_was_just_set(api: Api) -> None:
    trader = await api.new_client("trader")
    order = (
        await trader.post(
            ORDERS, {"symbol": SYMBOL, "side": "BUY", "order_type": "LIMIT", "quantity": 5, "price": "90.00"}
        )
    ).json
    await limited(api, trader, max_quantity=10)
    for quantity, status in ((10, 200), (11, 422)):
        answer = await trader.patch(f"{ORDERS}{order['id']}/", {"quantity": quantity})
        assert answer.status == status, answer
    assert answer.code == "risk.max_quantity"
    assert (await trader.get(f"{ORDERS}{order['id']}/")).json["quantity"] == "10"


async def test_refusals_are_kept_as_risk_events_of_the_account(api: Api) -> None:
    trader = await api.new_client("trader")
    account = await limited(api, trader, max_quantity=10)
    refused = await trader.post(
        ORDERS, {"symbol": SYMBOL, "side": "BUY", "order_type": "LIMIT", "quantity": 11, "price": "90.00"}
    )
    assert refused.status == 422
    events = (await trader.get("/api/v1/risk/events/")).json["results"]
    found = {(event["code"], event["account"], event["order"], event["symbol"]) for event in events}
    assert ("risk.max_quantity", account, refused.json["order"]["id"], SYMBOL) in found
    of_another = (await trader.get("/api/v1/risk/events/?symbol=NONE")).json["results"]
    assert of_another == []
