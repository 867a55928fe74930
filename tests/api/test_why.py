"""Why a fill is as it is, as a client sees it."""

import time
import uuid
from decimal import Decimal
from typing import Any

from qsuite.domain.market import Quote, Trade
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually


async def filled(api: Api, trader: ApiClient, tick: Quote | Trade, quantity: str, **terms: Any) -> dict[str, Any]:
    """Trade on one tick of a new ticker with these terms; return the execution's explanation."""
    made = {"symbol": tick.symbol, "name": "A ticker", **terms}
    assert (await api.admin.post("/api/v1/tickers/", made)).status == 201
    await api.services.market.publish([tick])
    asked = {"symbol": tick.symbol, "side": "BUY", "order_type": "MARKET", "quantity": quantity}
    order = await trader.post("/api/v1/orders/", asked)
    assert order.status == 201, order
    (execution,) = (await trader.get(f"/api/v1/orders/{order.json['id']}/executions/")).json["results"]
    answer = await trader.get(f"/api/v1/executions/{execution['id']}/why/")
    assert answer.status == 200, answer
    assert answer.json["execution"] == execution
    return dict(answer.json)


def symbol() -> str:
    return f"W{uuid.uuid4().hex[:8].upper()}"


async def test_a_fill_at_the_quote_is_explained_by_it_and_computed_again(api: Api) -> None:
    trader = await api.new_client("trader")
    quote = Quote(symbol(), time.time_ns(), Decimal("99.98"), Decimal("100.02"), Decimal(300), Decimal(200))
    shown = await filled(api, trader, quote, "10", commission={"model": "percent", "percent": "0.1"})
    assert (shown["model"], shown["rule"]) == ("paper-2", "quote")
    assert shown["text"] == "It paid the ask that the quote showed, 100.02."
    seen = {"price": "100.02", "bid": "99.98", "ask": "100.02", "bid_size": "300", "ask_size": "200"}
    assert shown["market"] == shown["market"] | seen
    assert (shown["slippage"], shown["available"]["available"]) == (None, "200")
    assert shown["charge"]["commission"] == {"model": "percent", "percent": "0.1"}
    # 0.1 % of 10 x 100.02
    assert Decimal(shown["recomputed"]["commission"]) == Decimal("1.0002")
    assert shown["recomputed"]["equal"] is True


async def test_a_fill_of_a_part_at_the_last_price_names_its_seed_and_what_could_be_had(api: Api) -> None:
    trader = await api.new_client("trader")
    last = Trade(symbol(), time.time_ns(), Decimal("50.00"), Decimal(80))
    terms = {"participation": "0.5", "slippage_min_bps": "3", "slippage_max_bps": "3", "latency_ms": "0"}
    shown = await filled(api, trader, last, "100", fill=terms)
    # Half of 80; 50.00 and 3 basis points of it are 50.015, on the next tick 50.02.
    assert (shown["execution"]["quantity"], shown["execution"]["price"]) == ("40", "50.02")
    assert shown["slippage"]["seed"] == f"{shown['execution']['order']}/0"
    assert (shown["slippage"]["slippage_bps"], shown["available"]["most"]) == ("3", "40")
    assert shown["text"].endswith("At most 40 of the 80 shown could be had; the rest waits for later prices.")
    assert shown["recomputed"]["equal"] is True


async def test_a_stored_digit_that_somebody_changed_is_seen(api: Api) -> None:
    trader = await api.new_client("trader")
    quote = Quote(symbol(), time.time_ns(), Decimal("9.98"), Decimal("10.02"))
    shown = await filled(api, trader, quote, "1")
    identity = uuid.UUID(shown["execution"]["id"])
    executions = api.database.collection("executions")
    stored = await executions.find_one({"_id": identity})
    assert stored is not None
    await executions.update_one({"_id": identity}, {"$set": {"price": type(stored["price"])("10.03")}})
    path = f"/api/v1/executions/{identity}/why/"

    async def seen() -> bool:
        return (await trader.get(path)).json["recomputed"]["equal"] is False

    await eventually(seen)
    await executions.update_one({"_id": identity}, {"$set": {"price": stored["price"]}})
    assert (await trader.get(path)).json["recomputed"]["equal"] is True


async def test_others_cannot_ask_about_a_fill_but_an_auditor_can(api: Api) -> None:
    trader, other = await api.new_client("trader"), await api.new_client("trader")
    quote = Quote(symbol(), time.time_ns(), Decimal("9.98"), Decimal("10.02"))
    shown = await filled(api, trader, quote, "1")
    path = f"/api/v1/executions/{shown['execution']['id']}/why/"
    assert (await other.get(path)).status == 404
    assert (await api.auditor.get(path)).json == shown
    assert (await trader.get("/api/v1/executions/nonsense/why/")).status == 404


async def test_a_fill_in_the_book_names_the_level_and_both_sides_can_be_computed_again(api: Api) -> None:
    seller, buyer = await api.new_client("trader"), await api.new_client("trader")
    name = symbol()
    made = {"symbol": name, "name": "Among users", "execution_mode": "paper"}
    assert (await api.admin.post("/api/v1/tickers/", made)).status == 201
    await api.services.market.publish([Trade(name, time.time_ns(), Decimal("20.00"), Decimal(500))])
    held = {"symbol": name, "side": "BUY", "order_type": "MARKET", "quantity": "50"}
    assert (await seller.post("/api/v1/orders/", held)).json["status"] == "FILLED"
    assert (await api.admin.patch(f"/api/v1/tickers/{name}/", {"execution_mode": "book"})).status == 200
    offered = {"symbol": name, "side": "SELL", "order_type": "LIMIT", "quantity": "50", "price": "20.50"}
    rested = await seller.post("/api/v1/orders/", offered)
    assert rested.json["status"] == "PENDING", rested
    wanted = offered | {"side": "BUY", "quantity": "30", "price": "20.60"}
    assert (await buyer.post("/api/v1/orders/", wanted)).json["avg_fill_price"] == "20.50"
    for client, text, maker in (
        (buyer, "came to the book", None),
        (seller, "rested in the book at 20.50", rested.json["id"]),
    ):
        (execution, *_) = (await client.get("/api/v1/executions/", query={"symbol": name})).json["results"]
        shown = (await client.get(f"/api/v1/executions/{execution['id']}/why/")).json
        assert (shown["model"], shown["maker"]) == ("book-1", maker)
        assert text in shown["text"]
        # 30 at half a cent
        assert shown["recomputed"] == {
            "price": "20.50", "quantity": "30", "commission": "0.150", "slippage_bps": None, "equal": True,
        }  # fmt: skip
