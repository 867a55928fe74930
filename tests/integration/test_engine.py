"""The engine on a real MongoDB: what is answered is stored, what fails leaves nothing behind."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tornado.ioloop import IOLoop
from uuid_utils.compat import uuid7

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.reference import Ticker
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.commands import CancelAll, CancelOrder, Halt, PlaceOrder, ReleaseOrder, Resume, Scope
from qsuite.domain.trading.decide import decide
from qsuite.domain.trading.order import OrderType, Side, Status, TimeInForce
from qsuite.domain.trading.paper import FillRules
from qsuite.domain.trading.risk import LimitBook, Limits, ReferencePrice
from qsuite.domain.trading.settle import InvariantBroken
from qsuite.domain.trading.state import TradingState
from qsuite.repos import (
    accounts,
    audit,
    engine_store,
    executions,
    orders,
    positions,
    risk_events,
    risk_limits,
    strategy_positions,
)
from qsuite.repos.accounts import account_document
from qsuite.repos.database import Database
from qsuite.repos.engine_store import CommitUnknown, EngineStore, NotCommitted
from qsuite.repos.schema import migrate
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState
from qsuite.services.follower import Follower
from qsuite.settings import EngineSettings
from tests.support.waiting import eventually

SPECS = tuple(
    module.SPEC
    for module in (
        accounts,
        audit,
        engine_store,
        executions,
        orders,
        positions,
        risk_events,
        risk_limits,
        strategy_positions,
    )
)
IBM = Ticker(id=uuid.uuid4(), symbol="IBM", name="IBM")
USER = uuid.uuid4()


class World:
    """An engine, the market it sees, and an account with 100,000."""

    def __init__(self, database: Database, io_loop: IOLoop) -> None:
        self.database = database
        self.later_ns = 0
        self.run = io_loop.run_sync
        self.market = Snapshot(
            Trade("IBM", 1, Decimal("181.50"), Decimal(100)),
            Quote("IBM", 2, Decimal("181.49"), Decimal("181.51"), Decimal(300), Decimal(200)),
        )
        self.account = Account(
            id=uuid7(), user=USER, name="t", currency="USD", cash=Decimal(100_000), deposited=Decimal(100_000),
            created_at=0, updated_at=0,
        )  # fmt: skip
        self.run(lambda: migrate(database, SPECS))
        database.sync.accounts.insert_one(account_document(self.account))
        self.store = EngineStore(database, lease_s=1, commit_timeout_s=3)
        self.engine = self.new_engine(self.store)
        self.heard: list[Any] = []
        self.engine.listen(self.heard.extend)

    def new_engine(self, store: EngineStore, *, follower: Follower | None = None, **settings: Any) -> TradingEngine:
        return TradingEngine(
            follower=follower,
            clock=lambda: time.time_ns() + self.later_ns,
            store=store,
            new_state=lambda: TradingState(
                limits=LimitBook(Limits()),
                reference=lambda symbol: ReferencePrice(),
                rules=FillRules(),
                ticker={"IBM": IBM}.get,
                market=lambda symbol: self.market if symbol == "IBM" else Snapshot(),
                new_id=uuid7,
            ),
            settings=EngineSettings(**({"lease_s": 1, "commit_timeout_s": 3} | settings)),
        )

    def order(self, **changed: Any) -> PlaceOrder:
        given: dict[str, Any] = dict(  # noqa: C408  a call's arguments
            id=uuid7(), account=self.account.id, user=USER, symbol="IBM", side=Side.BUY,
            order_type=OrderType.MARKET, quantity=Decimal(10), time_in_force=TimeInForce.DAY,
        )  # fmt: skip
        return PlaceOrder(**(given | changed))

    def limit(self, price: str, **changed: Any) -> PlaceOrder:
        return self.order(order_type=OrderType.LIMIT, price=Decimal(price), **changed)

    def stored(self, order_id: uuid.UUID) -> dict[str, Any]:
        found = self.database.sync.orders.find_one({"_id": order_id})
        assert found is not None
        return found

    def money(self) -> tuple[Decimal, Decimal]:
        account = self.database.sync.accounts.find_one({"_id": self.account.id})
        assert account is not None
        return account["cash"].to_decimal(), account["reserved"].to_decimal()


@pytest.fixture
def world(database: Database, io_loop: IOLoop) -> Iterator[World]:
    world = World(database, io_loop)
    world.run(world.engine.start)
    yield world
    world.run(world.engine.stop)


async def test_a_market_buy_takes_the_ask_and_is_booked_to_the_cent(world: World) -> None:
    outcome = await world.engine.submit(world.order())
    assert outcome.order is not None
    assert outcome.order.status is Status.FILLED
    stored = world.stored(outcome.order.id)
    assert stored["avg_fill_price"].to_decimal() == Decimal("181.51")
    # 100,000 - 10 x 181.51 - 10 x 0.005
    assert world.money() == (Decimal("98184.850"), Decimal(0))
    execution = world.database.sync.executions.find_one({"order": outcome.order.id})
    assert execution is not None
    assert execution["basis"]["ask"].to_decimal() == Decimal("181.51")
    assert [said.kind for said in world.heard] == ["order", "execution", "order", "position", "account"]


async def test_many_orders_at_once_share_transactions_and_add_up(world: World) -> None:
    outcomes = await asyncio.gather(*(world.engine.submit(world.order(quantity=Decimal(1))) for _ in range(300)))
    assert all(outcome.order is not None and outcome.order.status is Status.FILLED for outcome in outcomes)
    assert world.database.sync.orders.count_documents({}) == 300
    assert world.money()[0] == 100_000 - 300 * (Decimal("181.51") + Decimal("0.005"))
    assert world.engine.stats.batches < 300


async def test_more_orders_than_a_batch_takes_are_committed_in_several(world: World) -> None:
    await world.engine.stop()
    world.engine = world.new_engine(EngineStore(world.database, lease_s=1, commit_timeout_s=3), batch_max=8)
    await world.engine.start()
    await asyncio.gather(*(world.engine.submit(world.order(quantity=Decimal(1))) for _ in range(50)))
    assert world.database.sync.orders.count_documents({"status": "FILLED"}) == 50
    assert world.engine.stats.batches == 7


async def test_others_have_a_turn_of_the_loop_after_every_few_decisions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, decided_in = 0, Counter[int]()

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def counting(*arguments: Any) -> Any:
        decided_in[turn] += 1
        return decide(*arguments)

    monkeypatch.setattr("qsuite.services.engine.decide", counting)
    counter = asyncio.create_task(count_turns())
    await world.engine.submit_many([world.order(quantity=Decimal(1)) for _ in range(500)])
    counter.cancel()
    assert decided_in.total() == 500
    assert max(decided_in.values()) <= 64


async def test_a_resting_limit_reserves_cash_and_gives_it_back_when_cancelled(world: World) -> None:
    outcome = await world.engine.submit(world.limit("180.00"))
    assert outcome.order is not None
    assert outcome.order.status is Status.PENDING
    assert world.money() == (Decimal(100_000), Decimal("1800.050"))
    cancelled = await world.engine.submit(CancelOrder(order=outcome.order.id, user=USER, accounts=(world.account.id,)))
    assert cancelled.order is not None
    assert cancelled.order.status is Status.CANCELLED
    assert world.money() == (Decimal(100_000), Decimal(0))


async def test_a_resting_limit_fills_at_its_price_when_a_trade_touches_it(world: World) -> None:
    outcome = await world.engine.submit(world.limit("180.00"))
    assert outcome.order is not None
    world.engine.on_ticks([Trade("IBM", 3, Decimal("180.01"), Decimal(1))])
    world.engine.on_ticks([Trade("IBM", 4, Decimal("180.00"), Decimal(10))])
    order_id = outcome.order.id
    await eventually(lambda: world.stored(order_id)["status"] != "PENDING")
    assert world.stored(outcome.order.id)["avg_fill_price"].to_decimal() == Decimal("180.00")
    assert world.money() == (Decimal("98199.950"), Decimal(0))


async def test_ticks_that_come_while_an_order_waits_to_be_decided_are_met_by_it(world: World) -> None:
    placed = asyncio.ensure_future(world.engine.submit(world.limit("180.00")))
    await asyncio.sleep(0)
    before, tick = world.market, Trade("IBM", 3, Decimal("180.00"), Decimal(10))
    assert world.engine.queued == 1
    world.market = before.then(tick)
    world.engine.on_ticks([tick], lambda _: before)
    order = (await placed).order
    assert order is not None
    assert order.status is Status.PENDING
    await eventually(lambda: world.stored(order.id)["status"] == "FILLED")


async def test_the_same_client_order_id_gives_the_first_answer_even_after_a_restart(world: World) -> None:
    first = await world.engine.submit(world.limit("180.00", client_order_id="a", request_hash="h"))
    assert first.order is not None
    await world.engine.submit(CancelOrder(order=first.order.id, user=USER, accounts=(world.account.id,)))
    again = await world.engine.submit(world.limit("180.00", client_order_id="a", request_hash="h"))
    assert again.order is not None
    assert (again.order.id, again.order.status) == (first.order.id, Status.PENDING)
    other = await world.engine.submit(world.limit("179.00", client_order_id="a", request_hash="other"))
    assert other.error == "order.duplicate_id"
    await world.engine.stop()
    world.engine = world.new_engine(EngineStore(world.database, lease_s=1, commit_timeout_s=3))
    await world.engine.start()
    after = await world.engine.submit(world.limit("180.00", client_order_id="a", request_hash="h"))
    assert after.order is not None
    assert (after.order.id, after.order.status) == (first.order.id, Status.PENDING)


async def test_fifty_buys_that_only_together_exceed_the_cash_pass_exactly_as_many_as_fit(world: World) -> None:
    # Each reserves 20 x 181.00 + 0.10 = 3,620.10; 27 of them fit into 100,000.
    commands = [world.limit("181.00", quantity=Decimal(20)) for _ in range(50)]
    outcomes = await asyncio.gather(*(world.engine.submit(command) for command in commands))
    statuses = [outcome.order.status for outcome in outcomes if outcome.order is not None]
    assert statuses.count(Status.PENDING) == 27
    refused = [o.order for o in outcomes if o.order is not None and o.order.status is Status.REJECTED]
    assert {order.reject["code"] for order in refused if order.reject} == {"risk.buying_power"}


async def test_a_held_order_goes_to_the_market_once(world: World) -> None:
    held = await world.engine.submit(world.order(hold=True))
    assert held.order is not None
    assert held.order.status is Status.HELD
    release = ReleaseOrder(order=held.order.id, user=USER, accounts=(world.account.id,))
    outcomes = await asyncio.gather(*(world.engine.submit(release) for _ in range(20)))
    assert [outcome.error for outcome in outcomes].count(None) == 1
    assert [outcome.error for outcome in outcomes].count("order.already_processed") == 19
    assert world.database.sync.executions.count_documents({}) == 1


async def test_a_kill_switch_cancels_and_blocks_until_another_user_lifts_it(world: World) -> None:
    working = await world.engine.submit(world.limit("180.00"))
    await world.engine.submit(Halt(scope=Scope.GLOBAL, target=None, user=USER, reason="test"))
    assert working.order is not None
    assert world.stored(working.order.id)["status"] == "CANCELLED"
    blocked = await world.engine.submit(world.order())
    assert blocked.order is not None
    assert (blocked.order.reject or {})["code"] == "risk.halted"
    await world.engine.stop()
    world.engine = world.new_engine(EngineStore(world.database, lease_s=1, commit_timeout_s=3))
    await world.engine.start()
    assert (await world.engine.submit(Resume(scope=Scope.GLOBAL, target=None, user=USER))).error == "forbidden"
    await world.engine.submit(Resume(scope=Scope.GLOBAL, target=None, user=uuid.uuid4()))
    passed = await world.engine.submit(world.order())
    assert passed.order is not None
    assert passed.order.status is Status.FILLED


async def test_a_fill_that_breaks_the_books_is_not_stored_and_stops_trading(world: World) -> None:
    good = await world.engine.submit(world.order())
    assert good.order is not None

    class Wrong(Position):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value + 1 if name == "quantity" else value)

    world.engine.memory.positions[world.account.id]["IBM"] = Wrong(account=world.account.id, symbol="IBM")
    with pytest.raises(InvariantBroken):
        await world.engine.submit(world.order())
    refused = await world.engine.submit(world.order())
    assert refused.order is not None
    assert (refused.order.reject or {})["code"] == "risk.halted"
    db = world.database.sync
    assert db.executions.count_documents({}) == 1
    assert db.positions.find_one({})["quantity"].to_decimal() == 10  # type: ignore[index]
    assert [event["code"] for event in db.risk_events.find({})][:2] == ["risk.invariant", "risk.halted"]


async def test_a_commit_that_failed_is_done_again_and_one_whose_answer_was_lost_is_not(world: World) -> None:
    real, faults = world.store.commit, ["before", "after"]

    def faulty(batch: Any) -> None:
        fault = faults.pop(0) if faults else None
        if fault == "before":
            raise NotCommitted("network")
        real(batch)
        if fault == "after":
            raise CommitUnknown("network")

    world.store.commit = faulty  # type: ignore[method-assign]
    for _ in range(3):
        outcome = await world.engine.submit(world.order(quantity=Decimal(1)))
        assert outcome.order is not None
        assert outcome.order.status is Status.FILLED
    assert world.database.sync.orders.count_documents({}) == 3
    assert world.money()[0] == 100_000 - 3 * (Decimal("181.51") + Decimal("0.005"))
    assert world.engine.stats.recoveries == 3


async def test_an_engine_whose_loop_ends_is_begun_again_and_answers_what_waited(world: World) -> None:
    engine = world.engine
    waiting = [asyncio.ensure_future(engine.submit(world.order(quantity=Decimal(1)))) for _ in range(30)]
    states = []
    for _ in range(3):
        await eventually(lambda: engine.active)
        await asyncio.sleep(0)
        (loop,) = [task for task in asyncio.all_tasks() if task.get_name() == "engine"]
        loop.cancel()
        await asyncio.wait([loop])
        states.append(engine.state)
    outcomes = await asyncio.gather(*waiting)
    assert states == [EngineState.RECOVERING] * 3
    assert engine.stats.deaths == 3
    assert [outcome.order.status for outcome in outcomes if outcome.order] == [Status.FILLED] * 30
    assert world.database.sync.orders.count_documents({}) == 30
    assert world.money()[0] == 100_000 - 30 * (Decimal("181.51") + Decimal("0.005"))


async def test_a_second_engine_stands_by_and_the_stale_one_is_fenced(world: World) -> None:
    store = EngineStore(world.database, lease_s=1, commit_timeout_s=3)
    other, in_thread = {"host": "other", "boot": "", "pid": 1}, world.database.in_thread
    assert await in_thread(store.acquire, other, lambda holder: False) is None
    assert await in_thread(store.acquire, other, lambda holder: True) is not None
    with pytest.raises(Unavailable):
        await world.engine.submit(world.order())
    assert world.engine.state is EngineState.STANDBY
    assert world.database.sync.orders.count_documents({}) == 0
    await in_thread(store.release)
    await eventually(lambda: world.engine.state is EngineState.ACTIVE)
    assert (await world.engine.submit(world.order())).order is not None


async def test_a_day_order_expires_with_its_day_before_anything_of_the_next_is_decided(world: World) -> None:
    day = await world.engine.submit(world.limit("180.00", quantity=Decimal(500)))
    assert day.order is not None
    world.later_ns = DAY_NS
    # 500 x 180 of the 100,000 were reserved: this one fits only once they are free again.
    next_day = await world.engine.submit(world.limit("180.00", quantity=Decimal(500)))
    assert next_day.order is not None
    assert next_day.order.status is Status.PENDING
    assert world.stored(day.order.id)["status"] == "EXPIRED"


async def test_a_quiet_engine_expires_orders_too(world: World) -> None:
    day = await world.engine.submit(world.limit("180.00"))
    assert day.order is not None
    order_id = day.order.id
    world.later_ns = DAY_NS
    await eventually(lambda: world.stored(order_id)["status"] == "EXPIRED")
    assert world.money() == (Decimal(100_000), Decimal(0))


async def test_cancel_all_cancels_what_is_open_and_nothing_else(world: World) -> None:
    await world.engine.submit(world.order())
    for price in ("180.00", "179.00"):
        await world.engine.submit(world.limit(price))
    outcome = await world.engine.submit(CancelAll(account=world.account.id, user=USER))
    assert len(outcome.orders) == 2
    assert world.database.sync.orders.count_documents({"status": "FILLED"}) == 1
    assert world.money()[1] == 0


async def test_looking_for_a_client_order_id_reads_no_other_order(world: World) -> None:
    await asyncio.gather(*(world.engine.submit(world.order(client_order_id=str(n))) for n in range(100)))
    wanted = {"account": world.account.id, "client_order_id": {"$in": ["1", "nobody's"]}}
    explained = world.database.sync.orders.find(wanted).explain()
    assert explained["executionStats"]["totalDocsExamined"] == 1
