"""Two whole QSuites on one MongoDB: the same market at both, wherever a tick was sent, and orders at one alone."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from qsuite.app import App, build
from qsuite.composition.parts import Parts
from qsuite.domain.market import Trade
from qsuite.domain.roles import Role
from qsuite.domain.times import NS_PER_S
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.repos.tick_feed import SPEC, PlaceLost, TickFeed
from qsuite.services.engine_jobs import EngineState
from qsuite.settings import Settings
from tests.integration.test_standby import Elsewhere
from tests.support.client import ApiClient
from tests.support.market import open_market, quote, trade
from tests.support.running_app import PASSWORD, SECRET
from tests.support.waiting import eventually
from tests.support.ws import WsClient


@asynccontextmanager
async def started(settings: Settings, database: Database, data_dir: Path, host: str) -> AsyncIterator[App]:
    settings = replace(settings, data_dir=data_dir, secret_key=SECRET)
    app = await build(settings, database, Parts(watched=False, engine_store=Elsewhere(database, host, lease_s=10)))
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


class Two:
    """Two applications, the first one active, with a trader logged in at both."""

    def __init__(self, active: App, standby: App) -> None:
        self.active, self.standby = active, standby
        self.ports = [app.listen(0) for app in (active, standby)]
        self.clients = [ApiClient(f"http://127.0.0.1:{port}") for port in self.ports]

    async def log_in(self) -> None:
        await self.active.services.users.create("anna", PASSWORD, Role.TRADER)
        answer = await self.clients[0].post("/api/auth/login/", {"username": "anna", "password": PASSWORD})
        self.token = answer.json["access"]
        self.clients = [client.as_(self.token) for client in self.clients]
        await self.active.services.reference.ensure_ticker("IBM", {"name": "IBM"})
        await eventually(lambda: self.standby.services.reference.ticker("IBM"))

    @property
    def here(self) -> ApiClient:
        return self.clients[0]

    @property
    def there(self) -> ApiClient:
        return self.clients[1]

    async def reader(self) -> WsClient:
        return await WsClient.open(self.ports[1], token=self.token)

    async def tick(self, app: App, price: str) -> None:
        await app.services.market.publish([Trade("IBM", app.services.market.now(), Decimal(price), Decimal(500))])
        await app.services.market.stored()

    def price(self, app: App) -> Any:
        trade = app.services.market.snapshot("IBM").trade
        return None if trade is None else str(trade.price)


@asynccontextmanager
async def two(settings: Settings, database: Database, tmp_path: Path) -> AsyncIterator[Two]:
    async with (
        started(settings, database, tmp_path, "here") as active,
        started(settings, database, tmp_path, "there") as standby,
    ):
        pair = Two(active, standby)
        await pair.log_in()
        await eventually(lambda: active.services.market._ticks._feed.watched)
        yield pair


async def test_a_tick_sent_to_one_is_the_market_of_both_once(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    prices = [f"{number}.00" for number in range(1, 31)]
    async with (
        two(settings, database, tmp_path) as pair,
        await WsClient.open(pair.ports[1], token=pair.token) as reader,
    ):
        await reader.send({"action": "subscribe", "channels": ["trades:IBM"]})
        await reader.receive_type("snapshot")
        for number, price in enumerate(prices):
            await pair.tick(pair.standby if number % 3 else pair.active, price)
            await eventually(lambda price=price: {pair.price(pair.active), pair.price(pair.standby)} == {price})
        told = await reader.receive_until(lambda message: message.get("price") == prices[-1])
        assert [one["price"] for one in told if one["type"] == "trade"] == prices
        assert await pair.active.services.market._ticks.count() == len(prices)


async def test_an_order_sent_to_the_standby_rests_at_the_active_one_and_meets_a_tick_sent_to_the_standby(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    async with two(settings, database, tmp_path) as pair:
        await pair.tick(pair.active, "100.00")
        asked = {"symbol": "IBM", "side": "BUY", "order_type": "LIMIT", "quantity": "10", "price": "99.00"}
        placed = await pair.there.post("/api/v1/orders/", asked)
        assert placed.status == 201
        path = f"/api/v1/orders/{placed.json['id']}/"
        assert (await pair.there.get(path)).json["status"] == "PENDING"
        await pair.tick(pair.standby, "98.50")

        async def filled() -> bool:
            return bool((await pair.there.get(path)).json["status"] == "FILLED")

        await eventually(filled)
        assert (await pair.there.get("/api/v1/positions/IBM/")).json["quantity"] == "10"


async def test_health_says_which_of_the_two_has_the_engine(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    async with two(settings, database, tmp_path) as pair:
        states = [(await client.get("/health")).json["services"]["engine"] for client in pair.clients]
        assert states == ["up", "standby"]
        assert [(await client.get("/health/ready")).status for client in pair.clients] == [200, 503]
        assert pair.standby.engine.state is EngineState.STANDBY


async def test_a_process_that_was_asleep_catches_up_with_the_market_it_missed(database: Database) -> None:
    now = 1_700_000_000 * NS_PER_S
    awake = await open_market(database, now, "IBM")
    asleep = await open_market(database, now, "IBM")
    met: list[Any] = []
    asleep.market.on_ticks(met.extend)
    await asleep.market.publish([trade(now, "100.00")])
    await asleep.market.stored()
    await awake.market.follow([trade(now, "100.00", seq=met[0].seq)])
    await awake.market.publish([trade(now + 1, "99.00"), quote(now + 2, "98.00", "98.10"), trade(now + 3, "98.05")])
    await awake.market.stored()
    await asleep.market.refresh()
    assert asleep.market.snapshot("IBM") == awake.market.snapshot("IBM")
    assert [getattr(tick, "price", "quote") for tick in met] == [Decimal("100.00"), "quote", Decimal("98.05")]
    await asleep.market.refresh()
    assert len(met) == 3


# -- the feed alone -------------------------------------------------------------------------------------------------


def ticks(*prices: str) -> list[Trade]:
    return [Trade("IBM", 1_700_000_000 * NS_PER_S, Decimal(price), Decimal(1), seq) for seq, price in enumerate(prices)]


@asynccontextmanager
async def feeds(database: Database, *, size: int | None = None) -> AsyncIterator[tuple[TickFeed, TickFeed]]:
    await migrate(database, (replace(SPEC, options={"capped": True, "size": size}) if size else SPEC,))
    writer, reader = TickFeed(database, uuid.uuid4()), TickFeed(database, uuid.uuid4())
    writer.watched = True
    await writer.start()
    await reader.start()
    try:
        yield writer, reader
    finally:
        await reader.stop()
        await writer.stop()


async def read(reader: TickFeed, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        found += [str(tick.price) for tick in await reader.read() if isinstance(tick, Trade)]
    return found


async def test_a_reader_gets_what_was_appended_since_it_began_in_order(database: Database) -> None:
    async with feeds(database) as (writer, reader):
        for number in range(20):
            await database.in_thread(writer.append, ticks(f"{number}.1", f"{number}.2"))
        assert await read(reader, 40) == [f"{number}.{part}" for number in range(20) for part in (1, 2)]
        late = TickFeed(database, uuid.uuid4())
        await late.start()
        await database.in_thread(writer.append, ticks("7"))
        assert await read(late, 1) == ["7"]
        await late.stop()


async def test_nobody_reads_what_he_appended_himself(database: Database) -> None:
    async with feeds(database) as (writer, reader):
        await database.in_thread(writer.append, ticks("1"))
        assert await read(reader, 1) == ["1"]
        assert await writer.read() == []


async def test_ticks_appended_twice_after_a_lost_answer_are_read_once(database: Database) -> None:
    async with feeds(database) as (writer, reader):
        await database.in_thread(writer.append, ticks("1"))
        writer._number = 0
        await database.in_thread(writer.append, ticks("1"))
        await database.in_thread(writer.append, ticks("2"))
        assert await read(reader, 2) == ["1", "2"]


async def test_nothing_is_appended_while_nobody_is_there_to_read(database: Database) -> None:
    async with feeds(database) as (writer, _):
        writer.watched = False
        await database.in_thread(writer.append, ticks("1"))
        assert database.sync.tick_feed.count_documents({"ticks.0": {"$exists": True}}) == 0


async def test_a_reader_that_fell_too_far_behind_is_told_and_goes_on(database: Database) -> None:
    async with feeds(database, size=8_192) as (writer, reader):
        await database.in_thread(writer.append, ticks("1"))
        assert await read(reader, 1) == ["1"]
        reader._cursor = None
        for _ in range(200):
            await database.in_thread(writer.append, ticks(*["1"] * 5))
        with pytest.raises(PlaceLost):
            await read(reader, 1)
        await database.in_thread(writer.append, ticks("2"))
        assert await read(reader, 1) == ["2"]
