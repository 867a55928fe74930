"""A real month traded through a whole QSuite with a driven clock: May 2014, EURUSD quotes and three equities' trades.

    files ── an instant at a time ──> clock, market ──> orders of three traders ──> engine ──> executions
                                         └─ midnight: the daily job, but for the days it was "down"

The orders are drawn from a seed: two traders through strategies and by hand, a third with two accounts. Nothing here
computes what a report should say.
"""

import asyncio
import csv
import gzip
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from qsuite.app import App, build
from qsuite.composition.parts import Parts
from qsuite.domain.errors import QSuiteError
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.roles import Caller, Role
from qsuite.domain.times import NS_PER_MS, NS_PER_S, parse_rfc3339
from qsuite.domain.trading.order import OrderType, Side, TimeInForce
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.database import Database
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.past_prices import PastPrices
from qsuite.repos.statements import StatementsRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.reports.statements import DailyStatements
from qsuite.settings import load_settings
from tests.support.client import ApiClient
from tests.support.contract import Contract
from tests.support.running_app import PASSWORD, SECRET

START, END = "2014-05-01T00:00:00Z", "2014-06-01T00:00:00Z"
EQUITIES = ("AAPL", "IBM", "SPY")
NEW_YORK, FXCM = ZoneInfo("America/New_York"), timezone(timedelta(hours=-5))
HOUR_NS = 3_600 * NS_PER_S
DOWN = range(10, 15)
"""Days of the month at whose end the daily job does not run."""


class Instant(NamedTuple):
    """What the market shows at a time."""

    ts_ns: int
    ticks: list[Tick]


def month(shared_data: Path, start: str = START, end: str = END) -> list[Instant]:
    """Read the hours' closes, as ticks of the hour's last millisecond."""
    start_ns, end_ns = parse_rfc3339(start), parse_rfc3339(end)
    ticks = sorted(
        (each for each in _ticks(shared_data / "daily") if start_ns <= each.ts_ns < end_ns),
        key=lambda each: (each.ts_ns, each.symbol),
    )
    return [Instant(ts_ns, list(together)) for ts_ns, together in groupby(ticks, key=lambda each: each.ts_ns)]


def _ticks(folder: Path) -> Iterator[Tick]:
    for row in _rows(folder / "eurusd_fxcm_hour.csv.gz"):
        if row["ts_utc_minus5"].startswith(("2014-04-30", "2014-05")):
            ts_ns = _closed(row["ts_utc_minus5"], FXCM)
            million = Decimal(1_000_000)
            yield Quote("EURUSD", ts_ns, Decimal(row["bid_close"]), Decimal(row["ask_close"]), million, million)
    for row in _rows(folder / "us_equities_lean_hour.csv.gz"):
        if row["symbol"] in EQUITIES and row["ts_new_york"].startswith("2014-05"):
            ts_ns = _closed(row["ts_new_york"], NEW_YORK)
            yield Trade(row["symbol"], ts_ns, Decimal(row["close"]), Decimal(row["volume"]))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        head = next(file)
        # Of a hundred thousand rows only these are taken apart.
        yield from csv.DictReader([head, *(line for line in file if "2014-05" in line or "2014-04-30" in line)])


def _closed(start: str, zone: Any) -> int:
    began = datetime.fromisoformat(start).replace(tzinfo=zone)
    return int(began.timestamp()) * NS_PER_S + HOUR_NS - NS_PER_MS


@dataclass
class Trader:
    """Who trades, on which accounts, through which strategies."""

    caller: Caller
    strategies: list[UUID] = field(default_factory=list)


class TradedMonth:
    """A running QSuite, its clock, and those who trade."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.now = parse_rfc3339(START) - HOUR_NS
        self.random = random.Random(seed)
        self.app: App
        self.daily: DailyStatements
        self.traders: list[Trader] = []
        self.refused = 0
        self.last: dict[str, Decimal] = {}
        self.clients: list[ApiClient] = []

    async def people(self) -> None:
        """Make tickers, traders, a further account and strategies."""
        services = self.app.services
        for symbol in EQUITIES:
            await services.reference.create_ticker({"symbol": symbol, "name": symbol, "lot_size": Decimal(1)})
        fx = {"symbol": "EURUSD", "name": "EURUSD", "tick_size": Decimal("0.00001"), "lot_size": Decimal(100)}
        await services.reference.create_ticker(fx)
        for name in ("anna", "ben", "cleo"):
            user = await services.users.create(name, PASSWORD, Role.TRADER)
            self.traders.append(Trader(Caller(user.id, name, Role.TRADER, user.accounts)))
        await services.users.create("audra", PASSWORD, Role.AUDITOR)
        await self._second_account(self.traders[2])
        for trader in self.traders[:2]:
            values = {
                "name": f"of {trader.caller.username}",
                "algorithm": "sma_cross",
                "symbols": ("IBM",),
                "parameters": {},
            }
            made = await services.strategies.create(trader.caller, values | {"risk_limit": Decimal(100_000_000)})
            trader.strategies.append(made.id)

    async def _second_account(self, trader: Trader) -> None:
        made = await self.app.services.accounts.open(trader.caller.user, "second", Decimal("250000.55"))
        accounts = (*trader.caller.accounts, UUID(made["id"]))
        trader.caller = replace(trader.caller, accounts=accounts)

    async def play(self, instants: list[Instant], orders: int) -> None:
        """Live through the instants, with so many orders of each trader at each; midnights come in between."""
        for instant in instants:
            await self._midnights(instant.ts_ns)
            self.now = instant.ts_ns
            await self.app.services.market.publish(instant.ticks)
            for tick in instant.ticks:
                self.last[tick.symbol] = tick.price if isinstance(tick, Trade) else (tick.bid or tick.ask or Decimal(1))
            symbols = [each.symbol for each in instant.ticks]
            await asyncio.gather(*(self._trade(trader, symbols, orders) for trader in self.traders))
        await self.app.engine.settled()
        await self.app.services.market.stored()

    async def _midnights(self, until_ns: int) -> None:
        while (after := (self.now // (24 * HOUR_NS) + 1) * 24 * HOUR_NS + 61 * NS_PER_S) < until_ns:
            self.now = after
            await self.app.services.market.stored()
            if datetime.fromtimestamp(after / NS_PER_S, UTC).day not in DOWN:
                await self.daily.run_once(after)

    async def client(self, username: str) -> ApiClient:
        """Log in over HTTP; every answer is held against the API's document."""
        if self.app.server is None:
            self.app.listen(0)
        assert self.app.server is not None
        contract = Contract(self.app.application.routes)
        client = ApiClient(f"http://127.0.0.1:{self.app.server.port}", on_answer=contract.check)
        answer = await client.post("/api/auth/login/", {"username": username, "password": PASSWORD})
        assert answer.status == 200, answer
        self.clients.append(client)
        # A login of 2014 is one that MongoDB, which has a clock of its own, soon deletes as expired.
        key = await client.as_(answer.json["access"]).post("/api/auth/api-keys/", {"name": "reports"})
        assert key.status == 201, key
        return client.as_(key.json["key"])

    async def end(self) -> None:
        """Let the last midnight pass."""
        self.now = parse_rfc3339(END) + 61 * NS_PER_S
        await self.app.services.market.stored()
        await self.daily.run_once(self.now)

    async def _trade(self, trader: Trader, symbols: list[str], count: int) -> None:
        asked = [self._order(trader, self.random.choice(symbols)) for _ in range(count)]
        made = await self.app.services.trading.place_many(trader.caller, asked)
        self.refused += sum(isinstance(each, QSuiteError) for each in made)

    def _order(self, trader: Trader, symbol: str) -> dict[str, Any]:
        draw, price = self.random, self.last[symbol]
        side = draw.choice((Side.BUY, Side.SELL))
        size = 100 * draw.randint(1, 90) if symbol == "EURUSD" else draw.randint(1, 150)
        asked: dict[str, Any] = {
            "account": draw.choice(trader.caller.accounts),
            "symbol": symbol,
            "side": side,
            "order_type": OrderType.MARKET,
            "quantity": Decimal(size),
            "time_in_force": TimeInForce.GTC,
        }
        if trader.strategies and draw.random() < 0.6:
            asked["strategy"] = draw.choice(trader.strategies)
        if draw.random() < 0.4:
            tick = Decimal("0.00001") if symbol == "EURUSD" else Decimal("0.01")
            away = (price * Decimal(draw.randint(-20, 30)) / 10_000).quantize(tick)
            limit = price.quantize(tick) + (-away if side is Side.BUY else away)
            asked |= {"order_type": OrderType.LIMIT, "price": limit}
        return asked


@asynccontextmanager
async def traded_month(database: Database, data_dir: Path, seed: int = 1) -> AsyncIterator[TradedMonth]:
    """Build, start, fill with people, and stop in the end."""
    world = TradedMonth(database, seed)
    settings = load_settings(
        {
            "QSUITE_PROFILE": "test",
            "QSUITE_TRADING__INITIAL_CASH": "1000000",
            "QSUITE_RISK__SHORT_SALE": "true",
            "QSUITE_RISK__DAILY_LOSS": "off",
            "QSUITE_RISK__DAILY_LOSS_HALT": "off",
        },
        dotenv=None,
    )
    settings = replace(settings, data_dir=data_dir, secret_key=SECRET)
    world.app = await build(settings, database, Parts(watched=False, clock=lambda: world.now))
    await world.app.start()
    try:
        world.daily = daily_of(world)
        await world.people()
        yield world
    finally:
        for client in world.clients:
            client.close()
        await world.app.stop()


def daily_of(world: TradedMonth) -> DailyStatements:
    """Make one more daily job, as a further process would."""
    database = world.database
    return DailyStatements(
        database=database,
        accounts=AccountsRepo(database),
        statements=StatementsRepo(database),
        prices=PastPrices(TicksRepo(database), MarketDataRepo(database)),
        engine=world.app.engine,
    )
