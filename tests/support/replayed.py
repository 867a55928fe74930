"""A real trading day played into a whole QSuite, with orders resting against it: what they were filled at.

    files ── Replay at a speed ──> POST ticks/ ──> market, engine ──> executions
                  └─ at the market time of orders: POST orders/bulk/

Orders come between the ticks before their market time and those after, whatever the speed; all their figures follow
from the quotes and trades before them. Ids are counted, so that the same order draws the same slippage in every run.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.cli.replay import Feed
from qsuite.composition.parts import Parts
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.roles import Role
from qsuite.domain.times import NS_PER_S
from qsuite.repos.database import Database, connect
from qsuite.services.files import FileOptions, MarketFile, open_market_file
from qsuite.services.replay import Replay
from qsuite.services.replay_feed import first_rows
from qsuite.settings import Settings, load_settings
from tests.support.client import ApiClient
from tests.support.running_app import Api, running_api

CENT = Decimal("0.01")

Spot = tuple[Decimal, Decimal]
"""Bid and ask, or the last price twice where nobody quotes."""


class Asked(NamedTuple):
    """An order and the market time it comes at."""

    at_ns: int
    body: dict[str, Any]


class Fill(NamedTuple):
    """An execution, without what differs from run to run: ids and the time on the wall."""

    order: str
    side: str
    price: Decimal
    quantity: Decimal
    commission: Decimal
    rule: str
    market_ts: int
    slippage_bps: Decimal | None


class Outcome(NamedTuple):
    """What a play came to; ``ends`` are the orders' last states by client id, legs as their parent's and their type."""

    fills: list[Fill]
    ends: dict[str, tuple[str, Decimal]]
    ticks: int
    speed: float


def real_day(shared_data: Path) -> list[MarketFile]:
    """Return quotes and trades of IBM and, without quotes, trades of SPY."""
    names = {"ibm_nbbo_20131007_11": "IBM", "ibm_trades_20131007_11": "IBM", "spy_trades_20131007_08": "SPY"}
    folder = shared_data / "ticks"
    return [open_market_file(folder / f"{name}.csv.gz", FileOptions(symbol=symbol)) for name, symbol in names.items()]


def orders_for(files: Sequence[MarketFile], start_ns: int, end_ns: int, every_ns: int) -> list[Asked]:
    """Make an order of each kind in turn, one each ``every_ns`` of market time, near the market of its time."""
    made: list[Asked] = []
    spots: dict[str, Spot] = {}
    numbers = itertools.count()
    due_ns = start_ns + every_ns
    for tick in _merged(files, start_ns, end_ns):
        while due_ns <= tick.ts_ns:
            for symbol, spot in spots.items():
                body = _kind(next(numbers), spot)
                made.append(Asked(due_ns, {"symbol": symbol, "client_order_id": f"o{len(made)}", **body}))
            due_ns += every_ns
        spot = _spot(tick)
        if spot is not None and (isinstance(tick, Quote) or tick.symbol == "SPY"):
            spots[tick.symbol] = spot
    return made


def _merged(files: Sequence[MarketFile], start_ns: int, end_ns: int) -> Iterator[Tick]:
    ticks = Replay(files, _nobody, speed=0, start_ns=start_ns, end_ns=end_ns)._merged()
    return iter(ticks)


async def _nobody(ticks: list[Tick]) -> None: ...


def _spot(tick: Tick) -> Spot | None:
    if isinstance(tick, Trade):
        price = tick.price.quantize(CENT)
        return price, price
    return None if tick.bid is None or tick.ask is None else (tick.bid, tick.ask)


def _kind(number: int, spot: Spot) -> dict[str, Any]:
    """Return the next order in the round: what rests, what triggers, what trades in parts, what trades at once."""
    bid, ask = spot
    size = 100 * (1 + number % 7)
    kinds: list[dict[str, Any]] = [
        {"side": "BUY", "order_type": "LIMIT", "price": bid - 2 * CENT},
        {"side": "SELL", "order_type": "LIMIT", "price": ask + 3 * CENT},
        {"side": "BUY", "order_type": "MARKET", "quantity": 5 * size},
        {"side": "SELL", "order_type": "STOP", "stop_price": bid - 4 * CENT},
        {"side": "BUY", "order_type": "LIMIT", "price": bid - CENT, "take_profit": {"price": ask + 6 * CENT},
         "stop_loss": {"stop_price": bid - 8 * CENT}},
        {"side": "SELL", "order_type": "LIMIT", "price": bid, "time_in_force": "IOC", "quantity": 4 * size},
        {"side": "BUY", "order_type": "STOP_LIMIT", "stop_price": ask + 4 * CENT, "price": ask + 5 * CENT},
        {"side": "SELL", "order_type": "TRAILING_STOP", "trail_price": 7 * CENT},
        {"side": "SELL", "order_type": "MARKET", "quantity": 3 * size},
        {"side": "BUY", "order_type": "LIMIT", "price": ask, "time_in_force": "FOK"},
        {"side": "BUY", "order_type": "TRAILING_STOP", "trail_percent": "0.1"},
    ]  # fmt: skip
    body = {"quantity": size, "time_in_force": "GTC"} | kinds[number % len(kinds)]
    return {name: str(value) if isinstance(value, Decimal | int) else _written(value) for name, value in body.items()}


def _written(value: Any) -> Any:
    return {name: str(each) for name, each in value.items()} if isinstance(value, dict) else value


def replay_settings() -> Settings:
    """Return the test profile, where fills take a part of what is shown, and nothing but the market decides them."""
    return load_settings(
        {
            "QSUITE_PROFILE": "test",
            "QSUITE_TRADING__PARTICIPATION": "0.5",
            "QSUITE_TRADING__INITIAL_CASH": "1000000000",
            "QSUITE_RISK__PRICE_COLLAR_WINDOW": "0.0004",
            "QSUITE_RISK__MAX_VALUE": "off",
            "QSUITE_RISK__SHORT_SALE": "true",
            "QSUITE_RISK__SELF_TRADE": "false",
        },
        dotenv=None,
    )


async def play(uri: str, name: str, folder: Path, orders: list[Asked], files: list[MarketFile], **how: Any) -> Outcome:
    """Play a part of the files into a fresh QSuite on a database of that name, which is dropped afterwards."""
    database = connect(uri, name, pool_size=16)
    try:
        async with _fresh(database, folder) as api:
            trader = await _with_key(api, await api.new_client(Role.TRADER))
            admin = await _with_key(api, api.admin)
            ticks, took_s = await _play(api, admin, trader, orders, files, how)
            await api.services.market.stored()
            await api.app.engine.settled()
            span_s = (how["end_ns"] - how["start_ns"]) / NS_PER_S
            return Outcome(*await asyncio.to_thread(_came_of, database), ticks, span_s / took_s)
    finally:
        await asyncio.to_thread(_drop, database)


def _drop(database: Database) -> None:
    database.sync_client.drop_database(database.name)
    database.close()


@asynccontextmanager
async def _fresh(database: Database, folder: Path) -> AsyncIterator[Api]:
    numbers = itertools.count(1)
    parts = Parts(watched=False, new_id=lambda: UUID(int=next(numbers)))
    async with running_api(replay_settings(), database, folder, parts) as api:
        yield api


async def _with_key(api: Api, client: ApiClient) -> ApiClient:
    """Return a client with an API key: an access token ends with the hour."""
    answer = await client.post("/api/auth/api-keys/", {"name": "replay"})
    assert answer.status == 201, answer
    return api.anonymous.as_(answer.json["key"])


async def _play(
    api: Api, admin: ApiClient, trader: ApiClient, orders: list[Asked], files: list[MarketFile], how: dict[str, Any]
) -> tuple[int, float]:
    async def key() -> str:
        return str(admin.token)

    feed = Feed(f"http://127.0.0.1:{api.port}", key)
    waiting = iter(orders)
    coming = next(waiting, None)
    began_s: float | None = None

    async def publish(ticks: list[Tick]) -> None:
        nonlocal coming, began_s
        began_s = began_s or time.monotonic()  # finding the start in the files is no part of the play
        begin = 0
        for index, tick in enumerate(ticks):
            due: list[dict[str, Any]] = []
            while coming is not None and coming.at_ns <= tick.ts_ns:
                due.append(coming.body)
                coming = next(waiting, None)
            if due:
                if index > begin:
                    await feed.publish(ticks[begin:index])
                begin = index
                await _place(trader, due)
        await feed.publish(ticks[begin:])

    try:
        await feed.ensure_tickers(first_rows(files))
        played = await Replay(files, publish, **how).run()
    finally:
        feed.close()
    assert began_s is not None
    return played.ticks, time.monotonic() - began_s


async def _place(trader: ApiClient, orders: list[dict[str, Any]]) -> None:
    """Place what comes at one time, in its order; a refusal is an outcome, too."""
    answer = await trader.post("/api/v1/orders/bulk/", {"orders": orders})
    assert answer.status == 200, answer


def _came_of(database: Database) -> tuple[list[Fill], dict[str, tuple[str, Decimal]]]:
    """Read the executions in their order, and how the orders ended."""
    orders = {order["_id"]: order for order in database.sync.orders.find()}

    def label(order: dict[str, Any]) -> str:
        parent = orders.get(order.get("parent"))
        return str(order["client_order_id"]) if parent is None else f"{label(parent)} {order['order_type']}"

    def number(value: Any) -> Decimal:
        found: Decimal = value.to_decimal()
        return found

    fills = [
        Fill(
            label(orders[each["order"]]), each["side"], number(each["price"]), number(each["quantity"]),
            number(each["commission"]), each["basis"]["rule"], each["basis"]["market_ts"],
            number(each["basis"]["slippage_bps"]) if "slippage_bps" in each["basis"] else None,
        )
        for each in database.sync.executions.find().sort("_id")
    ]  # fmt: skip
    ends = {label(order): (order["status"], number(order["filled_quantity"])) for order in orders.values()}
    return fills, ends
