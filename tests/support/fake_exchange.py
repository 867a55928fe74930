"""An exchange on this machine that speaks as Binance does, and misbehaves when told to.

It numbers its trades, keeps all of them in ``log``, and gives those from a time on, so many at once. ``faults`` are
what its next answers are instead: ``error``, ``limit`` (429), ``rubbish``, ``half`` (cut off), ``stall``.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

MARKETS = {"BTCUSDT": ("BTC", "USDT"), "ETHUSDT": ("ETH", "USDT")}


class FakeExchange:
    """``url`` is what takes the place of the exchange's own host."""

    def __init__(self) -> None:
        self.log: dict[str, list[dict[str, Any]]] = {market: [] for market in MARKETS}
        self.tops: dict[str, tuple[str, str, str, str]] = {}
        self.faults: deque[str] = deque()
        self.asked: Counter[str] = Counter()
        self.stalled_s = 30.0
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["FakeExchange"]:
        """Serve on a free port."""
        names = {"exchangeInfo": Markets, "aggTrades": Trades, "depth": Book}
        server = HTTPServer(Application([(rf"/api/v3/{name}", kind, {"of": self}) for name, kind in names.items()]))
        (bound,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([bound])
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        try:
            yield self
        finally:
            server.stop()
            await server.close_all_connections()

    def trade(self, market: str, at_ms: int, price: str, size: str = "0.5") -> None:
        """Let a trade happen."""
        number = len(self.log[market]) + 1
        self.log[market].append(
            {"a": number, "p": price, "q": size, "f": number, "l": number, "T": at_ms, "m": False, "M": True}
        )


class Answer(RequestHandler):
    def initialize(self, of: FakeExchange) -> None:
        self.exchange = of

    async def get(self) -> None:
        exchange = self.exchange
        exchange.asked[type(self).__name__] += 1
        fault = exchange.faults.popleft() if exchange.faults else ""
        self.set_header("Content-Type", "application/json")
        if fault == "stall":
            await asyncio.sleep(exchange.stalled_s)
        elif fault == "error":
            self.set_status(502)
            self.finish("bad gateway")
        elif fault == "limit":
            self.set_status(429)
            self.finish('{"code": -1003, "msg": "Too many requests"}')
        elif fault == "rubbish":
            self.finish('<html>{"price": NaN')
        else:
            text = json.dumps(self.found())
            self.finish(text[: len(text) // 2] if fault == "half" else text)

    def found(self) -> Any:
        raise NotImplementedError


class Markets(Answer):
    def found(self) -> Any:
        return {
            "timezone": "UTC",
            "serverTime": 1_700_000_000_000,
            "rateLimits": [],
            "symbols": [
                {
                    "symbol": name, "status": "TRADING", "baseAsset": base, "quoteAsset": quote, "filters": [],
                    "baseAssetPrecision": 8, "quotePrecision": 8, "quoteAssetPrecision": 8, "orderTypes": ["LIMIT"],
                    "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "permissions": ["SPOT"],
                    "permissionSets": [["SPOT"]],
                }
                for name, (base, quote) in MARKETS.items()
            ],
        }  # fmt: skip


class Trades(Answer):
    def found(self) -> Any:
        log, most = self.exchange.log[self.get_argument("symbol")], int(self.get_argument("limit", "500"))
        since = self.get_argument("startTime", None)
        if since is None:
            return log[-most:]
        until = int(self.get_argument("endTime", str(2**62)))
        return [trade for trade in log if int(since) <= trade["T"] <= until][:most]


class Book(Answer):
    def found(self) -> Any:
        top = self.exchange.tops.get(self.get_argument("symbol"))
        if top is None:
            return {"lastUpdateId": 1, "bids": [], "asks": []}
        return {"lastUpdateId": 1, "bids": [list(top[:2])], "asks": [list(top[2:])]}
