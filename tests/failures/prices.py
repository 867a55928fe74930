"""Prices that stopped, and prices that jumped: orders on them are refused, readers are told, and an alarm is on."""

import asyncio
import re
import time
from typing import Any
from uuid import uuid4

from ops.stack import OPERATOR
from qsuite.domain.times import format_rfc3339
from tests.crash.clients import Connection, log_in
from tests.failures.ground import WARDEN, Ground
from tests.failures.readers import reading
from tests.support.waiting import eventually

WILD = "WILD"
FIGURE = re.compile(r"^(qsuite_prices_\w+|qsuite_feed_alarm|qsuite_suspect_ticks_total) (\S+)", re.MULTILINE)


async def misbehave(ground: Ground) -> dict[str, float]:
    """Let a price stop, then jump, then be confirmed; return for how long each was told late."""
    token, admin = await log_in(ground.engine), await asyncio.to_thread(ground.stack.token, OPERATOR)
    await asyncio.to_thread(ground.stack.quote, WILD)
    await watch_over(ground)
    late: dict[str, float] = {}
    async with Connection.open(ground.engine, token) as trader, Connection.open(ground.engine, admin) as market:
        assert await mark(trader) == (False, False)
        begun = time.monotonic()
        await eventually(lambda: marked(trader, stale=True), what="a price marked as stale")
        late["stale"] = time.monotonic() - begun
        assert await refusal(trader) == "risk.reference_stale"
        assert (await figures(trader))["qsuite_prices_stale"] >= 1
        async with reading(ground.engine, token, f"trades:{WILD}") as reader:
            for price in ("100", "100"):
                await trade(market, price)
            begun = time.monotonic()
            await trade(market, "150")
            await eventually(lambda: reader.prices and reader.prices[-1].get("suspect"), what="a price marked as wild")
            late["suspect"] = time.monotonic() - begun
            assert await mark(trader) == (False, True)
            assert await refusal(trader) == "risk.reference_suspect"
            _, health = await trader.call("GET", "/health")
            assert (health["status"], health["services"]["feed"]) == ("degraded", "suspect")
            shown = await figures(trader)
            assert (shown["qsuite_prices_suspect"], shown["qsuite_suspect_ticks_total"]) == (1.0, 1.0)
            await trade(market, "151")
            await eventually(lambda: reader.prices[-1]["price"] == "151", what="the price that confirms")
            assert "suspect" not in reader.prices[-1]
        assert await refusal(trader) is None
        assert await mark(trader) == (False, False)
    return late


async def watch_over(ground: Ground) -> None:
    """Have orders in the symbol refused on prices older than a second, or that jumped by a tenth."""
    warden = await asyncio.to_thread(ground.stack.token, WARDEN)
    limits = {"reference_stale": "1", "reference_suspect": "0.10"}
    asked = {"scope": "ticker", "id": WILD, "limits": limits, "reason": "what is around the process fails"}
    async with Connection.open(ground.engine, warden) as connection:
        status, answer = await connection.call("PUT", "/api/v1/risk/limits/", asked)
    assert status == 200, answer


async def trade(market: Connection, price: str) -> None:
    """Send a trade, and a quote around it that orders are filled at."""
    tick = {"symbol": WILD, "ts": format_rfc3339(time.time_ns())}
    quote = {"bid": str(int(price) - 1), "ask": price, "bid_size": "1000", "ask_size": "1000"}
    ticks = [tick | {"kind": "quote"} | quote, tick | {"kind": "trade", "price": price, "size": "10"}]
    status, answer = await market.call("POST", "/api/v1/ticks/", ticks)
    assert (status, answer["rejected"]) == (200, 0), answer


async def mark(trader: Connection) -> tuple[bool, bool]:
    """Return whether the price is shown as stale, and as suspect."""
    _, latest = await trader.call("GET", f"/api/v1/tickers/{WILD}/latest_price/")
    return latest["stale"], latest["suspect"]


async def marked(trader: Connection, *, stale: bool) -> bool:
    """Say whether the price is shown as stale, or not, as asked."""
    return (await mark(trader))[0] is stale


async def refusal(trader: Connection) -> str | None:
    """Return the code that a market order is refused with, None where it is taken."""
    order = {"symbol": WILD, "side": "BUY", "order_type": "MARKET", "quantity": 1, "client_order_id": uuid4().hex}
    status, answer = await trader.call("POST", "/api/v1/orders/", order)
    return None if status == 201 else str(answer["code"])


async def figures(trader: Connection) -> dict[str, Any]:
    """Return the metrics about prices."""
    _, shown = await trader.text("GET", "/metrics")
    return {name: float(value) for name, value in FIGURE.findall(shown)}
