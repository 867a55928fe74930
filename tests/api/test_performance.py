"""``GET orders/performance_metrics/``, against round trips counted by hand."""

import time
from decimal import Decimal

import pytest

from qsuite.domain.market import Quote
from qsuite.domain.roles import Role
from tests.support.client import ApiClient
from tests.support.running_app import Api

PATH = "/api/v1/orders/performance_metrics/"


async def quote(api: Api, symbol: str, middle: str) -> None:
    """Quote a symbol two cents to either side."""
    await api.services.reference.ensure_ticker(symbol, {"name": symbol})
    bid, ask = Decimal(middle) - Decimal("0.02"), Decimal(middle) + Decimal("0.02")
    await api.services.market.publish([Quote(symbol, time.time_ns(), bid, ask)])


async def buy_and_sell(client: ApiClient, api: Api, symbol: str, bought: str, sold: str, quantity: int = 10) -> None:
    for side, price in (("BUY", bought), ("SELL", sold)):
        await quote(api, symbol, price)
        order = {"symbol": symbol, "side": side, "order_type": "MARKET", "quantity": quantity}
        answer = await client.post("/api/v1/orders/", order)
        assert (answer.status, answer.json["status"]) == (201, "FILLED"), answer


async def test_figures_are_those_counted_by_hand(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    empty = (await trader.get(PATH)).json
    assert (empty["total_orders"], empty["round_trips"], empty["success_rate"]) == (0, 0, None)
    assert (empty["avg_slippage_bps"], empty["fill_rate"], empty["avg_execution_ms"]) == (None, None, None)
    await buy_and_sell(trader, api, "PERFA", "100", "101")
    await buy_and_sell(trader, api, "PERFA", "100", "99")
    await buy_and_sell(trader, api, "PERFB", "50", "51")
    refused = {"symbol": "PERFA", "side": "BUY", "order_type": "MARKET", "quantity": 10_000_000}
    assert (await trader.post("/api/v1/orders/", refused)).status == 422
    found = (await trader.get(PATH)).json
    assert (found["total_orders"], found["executions"]) == (7, 6)
    assert (found["by_status"]["FILLED"], found["by_status"]["REJECTED"], found["by_status"]["EXPIRED"]) == (6, 1, 0)
    assert (found["round_trips"], found["winning"], found["losing"]) == (3, 2, 1)
    assert found["success_rate"] == pytest.approx(2 / 3)
    assert (found["fill_rate"], found["total_volume"]) == (1.0, "60")
    assert Decimal(found["commission"]) == Decimal("0.30")  # 60 x 0.005
    assert Decimal(found["unrealized_pnl"]) == 0
    account = (await trader.get("/api/v1/account/")).json
    assert Decimal(found["realized_pnl"]) == Decimal(account["realized_pnl"])
    # Every fill is two cents from the middle, six of 10: 1.20 of 10 x (100 + 101 + 100 + 99 + 50 + 51) = 5,010.
    assert found["avg_slippage_bps"] == pytest.approx(1.2 / 5010 * 10_000, abs=1e-4)
    # 9.60, -10.40 and 9.60: each way costs two cents.
    assert Decimal(found["realized_pnl"]) == Decimal("8.80")
    one = (await trader.get(PATH, query={"symbol": "PERFB"})).json
    assert (one["total_orders"], one["round_trips"], one["success_rate"]) == (2, 1, 1.0)


async def test_a_time_leaves_out_what_was_before_and_after(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    await buy_and_sell(trader, api, "PERFC", "10", "10.10")
    orders = (await trader.get("/api/v1/orders/", query={"ordering": "created_at"})).json["results"]
    first, second = (order["created_at"] for order in orders)
    if first != second:
        found = (await trader.get(PATH, query={"from": second})).json
        assert (found["total_orders"], found["executions"], found["round_trips"]) == (1, 1, 1)
        found = (await trader.get(PATH, query={"to": second})).json
        assert (found["total_orders"], found["executions"], found["round_trips"]) == (1, 1, 0)
    refused = await trader.get(PATH, query={"from": second, "to": second})
    assert (refused.status, refused.json["errors"]) == (422, {"to": ["must be after from"]})


async def test_others_see_nothing_of_it_but_those_who_read_all(api: Api) -> None:
    trader, other = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    await buy_and_sell(trader, api, "PERFD", "10", "10.10")
    account = (await trader.get("/api/v1/account/")).json["id"]
    assert (await other.get(PATH, query={"symbol": "PERFD"})).json["total_orders"] == 0
    assert (await other.get(PATH, query={"account": account})).status == 404
    for reader in (api.risk_manager, api.auditor, api.admin):
        assert (await reader.get(PATH, query={"account": account})).json["total_orders"] == 2
    assert (await api.risk_manager.get(PATH, query={"symbol": "PERFD"})).json["total_orders"] == 2
