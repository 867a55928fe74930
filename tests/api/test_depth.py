"""Depth of a market: over HTTP, on the stream, and where another process trades."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from qsuite.domain.market import Quote
from qsuite.domain.money import ZERO
from qsuite.domain.trading.book import Book
from qsuite.repos.orders import OrdersRepo
from qsuite.services.depth import DepthService
from qsuite.services.engine_jobs import EngineState
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually
from tests.support.ws import WsClient


async def new_ticker(api: Api, mode: str = "book") -> str:
    symbol = f"D{uuid4().hex[:8].upper()}"
    await api.services.reference.ensure_ticker(symbol, {"name": "for its depth", "execution_mode": mode})
    limits = {"scope": "ticker", "id": symbol, "limits": {"short_sale": True}, "reason": "somebody must begin"}
    assert (await api.risk_manager.put("/api/v1/risk/limits/", limits)).status == 200
    return symbol


async def place(client: ApiClient, symbol: str, side: str, quantity: int, price: str) -> str:
    asked = {"symbol": symbol, "side": side, "order_type": "LIMIT", "quantity": quantity, "price": price}
    answer = await client.post("/api/v1/orders/", asked)
    assert answer.status == 201, answer
    return str(answer.json["id"])


async def depth(api: Api, symbol: str, **query: Any) -> tuple[Any, Any]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    answer = await api.viewer.get(f"/api/v1/tickers/{symbol}/depth/?{asked}")
    assert answer.status == 200, answer
    assert answer.json["symbol"] == symbol
    return answer.json["bids"], answer.json["asks"]


@asynccontextmanager
async def listening(api: Api, symbol: str) -> AsyncIterator[tuple[WsClient, dict[str, Any]]]:
    """Subscribe to depth; the snapshot's one document comes along."""
    async with await WsClient.open(api.port, token=api.viewer.token) as socket:
        await socket.send({"action": "subscribe", "channels": [f"depth:{symbol}"]})
        snapshot = await socket.receive_type("snapshot")
        (document,) = snapshot["data"]
        assert document["full"] is True
        yield socket, document


class Mirror:
    """A reader's own book, kept as the messages say."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.sides: dict[str, dict[Decimal, list[Any]]] = {"bids": {}, "asks": {}}
        self.take(document)

    def take(self, message: Mapping[str, Any]) -> None:
        for name, levels in self.sides.items():
            if message["full"]:
                levels.clear()
            for level in message[name]:
                levels[Decimal(level[0])] = level
                if level[1] == "0":
                    del levels[Decimal(level[0])]

    @property
    def shown(self) -> tuple[Any, Any]:
        bids, asks = self.sides["bids"], self.sides["asks"]
        return [bids[price] for price in sorted(bids, reverse=True)], [asks[price] for price in sorted(asks)]


async def test_a_book_shows_its_levels_best_first(api: Api) -> None:
    symbol = await new_ticker(api)
    anna, bert = await api.new_client("trader"), await api.new_client("trader")
    assert await depth(api, symbol) == ([], [])
    for price, quantity in (("9.90", 5), ("9.80", 7), ("9.90", 1)):
        await place(anna, symbol, "BUY", quantity, price)
    expected = [["9.90", "6", 2], ["9.80", "7", 1]]
    assert await depth(api, symbol) == (expected, [])
    assert await depth(api, symbol, levels=1) == (expected[:1], [])
    await place(bert, symbol, "SELL", 20, "9.85")  # meets 6 at 9.90, and rests with 14
    assert await depth(api, symbol) == ([["9.80", "7", 1]], [["9.85", "14", 1]])


async def test_depth_is_asked_for_within_bounds_and_for_known_tickers(api: Api) -> None:
    symbol = await new_ticker(api)
    for levels in ("0", "1001", "all"):
        assert (await api.viewer.get(f"/api/v1/tickers/{symbol}/depth/?levels={levels}")).status == 422
    assert (await api.viewer.get("/api/v1/tickers/NOSUCH/depth/")).status == 404


async def test_the_changes_on_the_stream_rebuild_the_book(api: Api) -> None:
    symbol = await new_ticker(api)
    anna, bert = await api.new_client("trader"), await api.new_client("trader")
    await place(anna, symbol, "BUY", 5, "9.90")
    async with listening(api, symbol) as (socket, document):
        mirror = Mirror(document)
        assert mirror.shown == ([["9.90", "5", 1]], [])
        resting = await place(anna, symbol, "BUY", 3, "9.70")
        assert (await anna.delete(f"/api/v1/orders/{resting}/")).status == 200
        await place(bert, symbol, "SELL", 8, "9.90")
        expected = ([], [["9.90", "3", 1]])
        while mirror.shown != expected:
            message = await socket.receive_type("depth")
            assert (message["symbol"], message["full"]) == (symbol, False)
            mirror.take(message)
        assert await depth(api, symbol) == expected


async def test_a_paper_symbol_shows_the_quote_and_the_old_price_goes(api: Api) -> None:
    symbol = await new_ticker(api, "paper")

    async def quote(bid: str, ask: str) -> None:
        size = Decimal(300)
        await api.services.market.publish([Quote(symbol, time.time_ns(), Decimal(bid), Decimal(ask), size, None)])

    await quote("9.90", "10.10")
    assert await depth(api, symbol) == ([["9.90", "300", None]], [["10.10", None, None]])
    async with listening(api, symbol) as (socket, document):
        mirror = Mirror(document)
        await quote("9.95", "10.10")
        message = await socket.receive_type("depth")
        assert (message["bids"], message["asks"]) == ([["9.95", "300", None], ["9.90", "0", 0]], [])
        mirror.take(message)
        assert mirror.shown == await depth(api, symbol)


class Listener:
    """Stands in for the stream: everything is wanted, and kept."""

    def __init__(self) -> None:
        self.published: list[Mapping[str, Any]] = []
        self.sources: dict[str, Any] = {}

    def wanted(self, channel: str) -> bool:
        return True

    def publish(self, channel: str, message: Mapping[str, Any]) -> None:
        self.published.append(message)

    def snapshot_source(self, kind: str, source: Any) -> None:
        self.sources[kind] = source

    def whole_source(self, kind: str, source: Any) -> None:
        self.sources[f"whole {kind}"] = source


def service(api: Api, stream: Listener, state: EngineState, books: dict[str, Book[Decimal]]) -> DepthService:
    return DepthService(
        engine=SimpleNamespace(state=state, memory=SimpleNamespace(venues=SimpleNamespace(books=books))),  # type: ignore[arg-type]
        orders=OrdersRepo(api.database),
        market=api.services.market,
        reference=api.services.reference,
        stream=stream,  # type: ignore[arg-type]
        clock=time.time_ns,
    )


async def test_levels_that_a_recovered_book_no_longer_has_are_taken_away(api: Api) -> None:
    symbol = await new_ticker(api)
    stream, books = Listener(), {symbol: Book(ZERO)}
    depth_here = service(api, stream, EngineState.ACTIVE, books)
    mirror = Mirror({"full": True, "bids": [], "asks": []})
    for prices in (("9.90", "9.80"), ("9.80", "9.70")):
        book = books[symbol] = Book(ZERO)
        book.changes()
        for at, price in enumerate(map(Decimal, prices)):
            book.add(at, None, True, price, Decimal(5))
        depth_here.changed(symbol, book.changes())
        mirror.take(stream.published[-1])
        assert mirror.shown == ([[price, "5", 1] for price in prices], [])
        assert (await depth_here.show(symbol, 20))["bids"] == mirror.shown[0]


async def test_what_is_not_durable_yet_is_not_shown(api: Api) -> None:
    symbol = await new_ticker(api)
    books = {symbol: Book(ZERO)}
    depth_here = service(api, Listener(), EngineState.ACTIVE, books)
    books[symbol].changes()
    books[symbol].add(1, None, True, Decimal("9.90"), Decimal(5))
    depth_here.changed(symbol, books[symbol].changes())
    books[symbol].add(2, None, True, Decimal("9.95"), Decimal(5))
    assert (await depth_here.show(symbol, 20))["bids"] == [["9.90", "5", 1]]


async def test_where_another_process_trades_depth_is_what_is_stored(api: Api) -> None:
    symbol = await new_ticker(api)
    anna, bert = await api.new_client("trader"), await api.new_client("trader")
    stream = Listener()
    beside = service(api, stream, EngineState.STANDBY, {})
    await place(anna, symbol, "BUY", 5, "9.90")
    await place(anna, symbol, "BUY", 2, "9.90")
    (document,) = await stream.sources["depth"](None, f"depth:{symbol}")
    mirror = Mirror(document)
    assert mirror.shown == ([["9.90", "7", 2]], [])
    assert (await beside.show(symbol, 20))["bids"] == [["9.90", "7", 2]]
    stream.published.clear()
    await place(bert, symbol, "SELL", 9, "9.80")

    async def same() -> bool:
        await beside.run_once(time.time_ns())
        for message in stream.published:
            mirror.take(message)
        stream.published.clear()
        return mirror.shown == ([], [["9.80", "2", 1]])

    await eventually(same)
    assert Mirror(stream.sources["whole depth"](f"depth:{symbol}")).shown == mirror.shown
