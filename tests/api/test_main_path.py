"""The main path on a real market: an order sent while IBM's trades and quotes of October 2013 are played.

In this order: durable documents, positions, account, and only then the stream.
"""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qsuite.domain.market import Quote, Tick
from qsuite.services.files import FileOptions, open_market_file
from qsuite.services.replay import Replay
from tests.support.running_app import Api
from tests.support.waiting import eventually
from tests.support.ws import WsClient

TRADES, QUOTES = "ibm_trades_20131007_11.csv.gz", "ibm_nbbo_20131007_11.csv.gz"


class Recorder:
    """Pass ticks on and remember the quotes, so that a fill can be looked up in what was played."""

    def __init__(self, api: Api) -> None:
        self.market = api.services.market
        self.quotes: dict[int, list[Quote]] = {}

    async def __call__(self, ticks: list[Tick]) -> None:
        for tick in ticks:
            if isinstance(tick, Quote):
                self.quotes.setdefault(tick.ts_ns, []).append(tick)
        await self.market.publish(ticks)


@pytest.mark.timeout(120)
async def test_an_order_in_the_real_ibm_market_fills_at_a_price_its_quote_justifies(
    api: Api, shared_data: Path
) -> None:
    await api.services.reference.ensure_ticker("IBM", {"name": "IBM"})
    files = [open_market_file(shared_data / "ticks" / name, FileOptions(symbol="IBM")) for name in (TRADES, QUOTES)]
    recorder = Recorder(api)
    # An hour of the market a second; the first trading hour is dense.
    replay = Replay(files, recorder, speed=3600.0)
    playing = asyncio.create_task(replay.run())
    trader = await api.new_client("trader")
    assert trader.token is not None
    try:
        await eventually(lambda: len(recorder.quotes) > 2_000, timeout_s=60)
        async with await WsClient.open(api.port, token=trader.token) as stream:
            await stream.send({"action": "subscribe", "channels": ["orders", "executions", "account", "trades:IBM"]})
            await stream.receive_type("subscribed")
            order = (await trader.post("/api/v1/orders/", {
                "symbol": "IBM", "side": "BUY", "order_type": "MARKET", "quantity": "100",
            })).json  # fmt: skip
            assert order["status"] == "FILLED", order
            heard = await stream.receive_until(lambda message: message["type"] == "execution")
            live = await stream.receive_until(lambda message: message["type"] == "trade")
            assert live[-1]["symbol"] == "IBM"
    finally:
        replay.stop()
        await playing
    stored = api.database.sync.executions.find_one({"symbol": "IBM"})
    assert stored is not None
    check_fill(stored, order, recorder)
    assert heard[-1]["price"] == order["avg_fill_price"]
    await check_books(api, trader, order)


def check_fill(stored: dict[str, Any], order: dict[str, Any], recorder: Recorder) -> None:
    """The price is the ask of a quote that was played, or a bounded slip from a trade where no quote would do."""
    basis, price = stored["basis"], stored["price"].to_decimal()
    assert price == Decimal(order["avg_fill_price"])
    if basis["rule"] == "quote":
        assert price in {quote.ask for quote in recorder.quotes[basis["market_ts"]]}
    else:
        slip = price / basis["price"].to_decimal() - 1
        assert 0 <= slip <= Decimal("0.0006")


async def check_books(api: Api, trader: Any, order: dict[str, Any]) -> None:
    """Document, position and account tell the same, to the cent."""
    document = api.database.sync.orders.find_one({"symbol": "IBM", "status": "FILLED"})
    assert document is not None
    assert document["filled_quantity"].to_decimal() == 100
    cost = 100 * Decimal(order["avg_fill_price"])
    position = (await trader.get("/api/v1/positions/IBM/")).json
    assert (position["quantity"], Decimal(position["cost"])) == ("100", cost)
    account = (await trader.get("/api/v1/account/")).json
    assert Decimal(account["cash"]) == 1_000_000 - cost - Decimal("0.5")
    assert Decimal(account["equity"]) == Decimal(account["cash"]) + Decimal(position["market_value"])
