"""Two engines on one MongoDB: one has it, the other follows, and nothing is told or done twice when that changes."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.channels import RISK_DESK
from qsuite.domain.errors import QSuiteError, Unavailable
from qsuite.domain.market import Trade
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.commands import CancelOrder, Halt, ResetAccount, Resume, Scope
from qsuite.domain.trading.order import Status, TimeInForce
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.repos.engine_batch import Batch
from qsuite.repos.engine_store import CommitUnknown, EngineStore, Head
from qsuite.repos.journal import Journal
from qsuite.repos.positions import PositionsRepo
from qsuite.services.books import Disagreement, check_books
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState
from qsuite.services.follower import Follower
from qsuite.services.views import show_account, show_execution, show_order, show_position
from tests.integration.test_engine import USER, World
from tests.support.waiting import eventually

LEASE_S = 1


class Elsewhere(EngineStore):
    """A store whose engine seems to run on another machine, where nobody can see whether it lives."""

    def __init__(self, database: Database, host: str, lease_s: float = LEASE_S) -> None:
        super().__init__(database, lease_s=lease_s, commit_timeout_s=3)
        self._host = host

    def acquire(self, owner: dict[str, Any], is_dead: Any) -> Head | None:
        return super().acquire(owner | {"host": self._host}, lambda holder: False)


class Side:
    """One process's engine, and what its subscribers were told."""

    def __init__(self, world: World, host: str) -> None:
        self.cut_off = 0
        self.told: list[Announcement] = []
        self.store = Elsewhere(world.database, host)
        self.follower = Follower(Journal(world.database), owners=lambda: {world.account.id}, cut_off=self._cut)
        self.engine: TradingEngine = world.new_engine(self.store, follower=self.follower)
        self.engine.listen(self.told.extend)

    def _cut(self) -> None:
        self.cut_off += 1

    @property
    def active(self) -> bool:
        return self.engine.state is EngineState.ACTIVE

    def steps(self) -> list[Any]:
        """Return the versions of orders and the executions told, as a subscriber would see them."""
        shown = {"order": show_order, "execution": show_execution}
        return [(one.kind, shown[one.kind](one.what)) for one in self.told if one.kind in shown]  # type: ignore[operator]


class Pair:
    """A world with two sides; the first one has the engine."""

    def __init__(self, database: Database, io_loop: IOLoop) -> None:
        self.world = World(database, io_loop)
        self.here, self.there = Side(self.world, "here"), Side(self.world, "there")

    async def start(self) -> None:
        await self.here.engine.start()
        await self.there.engine.start()

    async def stop(self) -> None:
        await self.there.engine.stop()
        await self.here.engine.stop()

    async def all_told(self) -> None:
        head = await Journal(self.world.database).head()
        await eventually(lambda: self.there.follower.told == head)


@pytest.fixture
def pair(database: Database, io_loop: IOLoop) -> Iterator[Pair]:
    pair = Pair(database, io_loop)
    io_loop.run_sync(pair.start)
    yield pair
    io_loop.run_sync(pair.stop)


async def freeze(side: Side) -> asyncio.Event:
    """Let nothing of a side's storage go on until the event returned is set."""
    thaw, loop = asyncio.Event(), asyncio.get_running_loop()

    def frozen(work: Any) -> Any:
        def waits(*args: Any) -> Any:
            asyncio.run_coroutine_threadsafe(thaw.wait(), loop).result()
            return work(*args)

        return waits

    for name in ("acquire", "renew", "commit"):
        setattr(side.store, name, frozen(getattr(side.store, name)))
    return thaw


async def test_only_one_of_two_is_active_and_the_other_refuses_at_once(pair: Pair) -> None:
    assert pair.here.active
    assert pair.there.engine.state is EngineState.STANDBY
    with pytest.raises(Unavailable) as refused:
        await pair.there.engine.submit(pair.world.order())
    assert refused.value.code == "engine.standby"
    assert pair.world.database.sync.orders.count_documents({}) == 0


async def test_the_follower_tells_every_step_as_the_active_one_told_it(pair: Pair) -> None:
    world, engine = pair.world, pair.here.engine
    world.market = world.market._replace(quote=None)
    placed = await asyncio.gather(
        *(engine.submit(world.limit("180.00", quantity=Decimal(3))) for _ in range(5)),
        *(engine.submit(world.order(hold=True)) for _ in range(3)),
        *(engine.submit(world.order(quantity=Decimal(2))) for _ in range(20)),
        *(engine.submit(world.limit("1.00", time_in_force=TimeInForce.IOC)) for _ in range(3)),
        *(engine.submit(world.order(quantity=Decimal(10_000_000))) for _ in range(3)),
    )
    orders = [outcome.order for outcome in placed if outcome.order is not None]
    cancel = CancelOrder(order=orders[0].id, user=USER, accounts=(world.account.id,))
    engine.on_ticks([Trade("IBM", 9, Decimal("179.00"), Decimal(500))])
    await engine.submit(cancel)
    await eventually(lambda: all(world.stored(order.id)["status"] != "PENDING" for order in orders[1:5]))
    await pair.all_told()
    assert len(pair.here.steps()) > 60
    assert pair.there.steps() == pair.here.steps()


async def test_the_follower_ends_with_the_same_money(pair: Pair) -> None:
    await asyncio.gather(*(pair.here.engine.submit(pair.world.order(quantity=Decimal(1))) for _ in range(10)))
    await pair.all_told()

    def last(side: Side, kind: str) -> Any:
        return next(one.what for one in reversed(side.told) if one.kind == kind)

    held = [last(side, "position") for side in (pair.here, pair.there)]
    assert [show_position(position, None)["quantity"] for position in held] == ["10", "10"]
    shown = []
    for side in (pair.here, pair.there):
        account, positions = last(side, "account")
        shown.append(show_account(account, [(position, Decimal(181)) for position in positions], 0))
    assert shown[0] == shown[1]


async def test_a_frozen_one_is_taken_over_from_and_fenced_when_it_wakes(pair: Pair) -> None:
    here, there, world = pair.here, pair.there, pair.world
    await here.engine.submit(world.limit("180.00"))
    thaw = await freeze(here)
    stale = asyncio.create_task(here.engine.submit(world.limit("170.00", client_order_id="stale", request_hash="h")))
    await eventually(lambda: there.active)
    outcome = await there.engine.submit(world.limit("171.00"))
    assert outcome.order is not None
    thaw.set()
    with pytest.raises(QSuiteError):
        await stale
    await eventually(lambda: here.engine.state is EngineState.STANDBY)
    assert world.database.sync.orders.count_documents({"client_order_id": "stale"}) == 0
    head = await Journal(world.database).head()
    await eventually(lambda: here.follower.told == head)
    assert here.steps() == there.steps()
    assert len(here.steps()) == 2


async def test_a_batch_of_anothers_under_the_same_number_is_not_taken_for_ones_own(pair: Pair) -> None:
    here, there, world = pair.here, pair.there, pair.world
    real = here.store.commit
    woken = asyncio.Event()
    loop = asyncio.get_running_loop()

    def lost(batch: Batch) -> None:
        here.store.commit = real  # type: ignore[method-assign]
        asyncio.run_coroutine_threadsafe(woken.wait(), loop).result()
        raise CommitUnknown("it never got there")

    here.store.commit = lost  # type: ignore[method-assign]
    asked = asyncio.create_task(here.engine.submit(world.order(quantity=Decimal(1))))
    await eventually(lambda: there.active)
    outcome = await there.engine.submit(world.order(quantity=Decimal(2)))
    assert outcome.order is not None
    await there.engine.stop()  # the lease is free again before the first one wakes
    woken.set()
    with pytest.raises(QSuiteError) as answer:
        await asked
    assert answer.value.code == "outcome-unknown"
    await eventually(lambda: here.active)
    assert [document["quantity"].to_decimal() for document in world.database.sync.orders.find()] == [Decimal(2)]
    assert [shown["version"] for kind, shown in here.steps() if kind == "order"] == [1, 2]


async def test_taking_over_tells_everything_before_anything_new(pair: Pair) -> None:
    here, there, world = pair.here, pair.there, pair.world
    there.follower._every_s = 60.0  # it would not look again before it takes over
    await there.follower.stop()
    there.follower.follow(there.engine._tell)
    await asyncio.gather(*(here.engine.submit(world.order(quantity=Decimal(1))) for _ in range(20)))
    await here.engine.stop()
    await eventually(lambda: there.active)
    before = len(here.steps())
    assert there.steps() == here.steps()
    await there.engine.submit(world.order(quantity=Decimal(1)))
    assert len(there.steps()) == before + 3


async def test_a_recovery_that_takes_longer_than_the_lease_keeps_it(pair: Pair) -> None:
    here, there, world = pair.here, pair.there, pair.world
    go_on, loop, load = asyncio.Event(), asyncio.get_running_loop(), there.store.load_open

    def slow() -> Any:
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return load()

    def lease() -> Any:
        state = world.database.sync.engine_state.find_one({"_id": "engine"})
        assert state is not None
        return state["epoch"], state["owner"]["host"], state["lease_until"]

    there.store.load_open = slow  # type: ignore[method-assign]
    await here.engine.stop()
    await eventually(lambda: lease()[1] == "there")
    third = Side(world, "elsewhere")
    await third.engine.start()
    first = lease()
    await eventually(lambda: (lease()[2] - first[2]).total_seconds() > 1.5 * LEASE_S)
    assert (lease()[0], third.engine.state) == (first[0], EngineState.STANDBY)
    go_on.set()
    await eventually(lambda: there.active)
    await third.engine.stop()


async def test_ticks_while_nobody_has_the_engine_are_met_by_whoever_takes_it(pair: Pair) -> None:
    here, there, world = pair.here, pair.there, pair.world
    placed = [await here.engine.submit(world.limit(price)) for price in ("180.00", "170.00")]
    early = Trade("IBM", 8, Decimal("169.00"), Decimal(500))  # the one before may have acted on it
    there.engine._missed.add([early], time.monotonic() - 2.0)
    await here.engine.submit(world.limit("160.00"))
    thaw = await freeze(here)
    try:
        there.engine.on_ticks([Trade("IBM", 9, Decimal("179.00"), Decimal(500))])
        await eventually(lambda: there.active)
        found = [outcome.order.id for outcome in placed if outcome.order is not None]
        await eventually(lambda: world.stored(found[0])["status"] == "FILLED")
        assert world.stored(found[1])["status"] == "PENDING"
    finally:
        thaw.set()


async def test_too_much_to_tell_cuts_readers_off_instead(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsuite.repos.journal.ENTRIES_MAX", 10)
    here, there, world = pair.here, pair.there, pair.world
    await there.follower.stop()
    await asyncio.gather(*(here.engine.submit(world.order(quantity=Decimal(1))) for _ in range(20)))
    there.follower.follow(there.engine._tell)
    await eventually(lambda: there.cut_off == 1)
    assert there.steps() == []
    await pair.all_told()
    await here.engine.submit(world.limit("170.00"))
    await pair.all_told()
    assert [shown["status"] for _, shown in there.steps()] == ["PENDING"]


async def test_what_cannot_be_told_does_not_keep_anybody_from_taking_over(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stretch: Any) -> Any:
        raise KeyError("a document of a newer version")

    here, there, world = pair.here, pair.there, pair.world
    await there.follower.stop()
    monkeypatch.setattr("qsuite.repos.journal.retell", broken)
    await here.engine.submit(world.order())
    await here.engine.stop()
    await eventually(lambda: there.active)
    assert there.cut_off == 1


async def test_the_follower_tells_risk_events_once(pair: Pair) -> None:
    def told(side: Side) -> list[Any]:
        return [one.what for one in side.told if one.kind == "risk_event"]

    for _ in range(5):
        await pair.here.engine.submit(pair.world.order(quantity=Decimal(10_000_000)))
        await pair.all_told()
    assert len(told(pair.here)) == 5
    assert told(pair.there) == told(pair.here)


async def test_the_follower_tells_the_risk_desk_what_is_nobodys_too(pair: Pair) -> None:
    def told(side: Side) -> list[Any]:
        return [(one.account, one.what) for one in side.told if one.kind == "risk_event"]

    pair.there.follower._owners = lambda: {RISK_DESK}
    await pair.here.engine.submit(Halt(scope=Scope.GLOBAL, target=None, user=USER, reason="test"))
    await pair.here.engine.submit(Resume(scope=Scope.GLOBAL, target=None, user=uuid.uuid4()))
    await pair.all_told()
    assert [account for account, _ in told(pair.there)] == [None, None]
    assert told(pair.there) == told(pair.here)


async def test_a_kill_switch_is_known_where_nobody_trades_too(pair: Pair) -> None:
    key = (Scope.TICKER, "IBM")
    await pair.here.engine.submit(Halt(scope=key[0], target=key[1], user=USER, reason="test"))
    await eventually(lambda: key in pair.there.engine.memory.halts)
    await pair.here.engine.submit(Resume(scope=key[0], target=key[1], user=uuid.uuid4()))
    await eventually(lambda: key not in pair.there.engine.memory.halts)


async def test_nothing_is_read_for_accounts_nobody_listens_to(pair: Pair) -> None:
    there, world = pair.there, pair.world
    there.follower._owners = lambda: {uuid.uuid4()}
    await pair.here.engine.submit(world.order())
    await pair.all_told()
    assert there.told == []


async def test_an_account_that_begins_anew_is_told_and_stored_alike_and_stays_so_after_a_takeover(pair: Pair) -> None:
    world, account = pair.world, pair.world.account
    await pair.here.engine.submit(world.order())
    resting = (await pair.here.engine.submit(world.limit("170.00"))).order
    reset = ResetAccount(account=account.id, user=USER, cash=Decimal(5_000))
    assert (await pair.here.engine.submit(reset)).error is None
    await pair.all_told()
    stored = await AccountsRepo(world.database).get(account.id)
    held = await PositionsRepo(world.database).of([account.id])
    assert (stored.cash, stored.deposited, stored.reserved) == (5_000, 5_000, 0)
    assert [(one.symbol, one.quantity, one.cost) for one in held] == [("IBM", 0, 0)]
    for side in (pair.here, pair.there):
        told = {one.kind: one.what for one in side.told}
        assert (told["position"].quantity, told["account"][0].cash) == (0, 5_000)
        assert told["order"].status is Status.CANCELLED
    await pair.here.engine.stop()
    await eventually(lambda: pair.there.active)
    assert (await pair.there.engine.submit(world.order(quantity=Decimal(1)))).order is not None
    # 5,000 - 181.51 - 0.005
    assert world.money() == (Decimal("4818.485"), Decimal(0))
    assert resting is not None
    assert world.stored(resting.id)["status"] == "CANCELLED"
    found: list[Disagreement] = []

    def check() -> None:
        with open_books(world.database) as books:
            check_books(books, found.append)

    await asyncio.to_thread(check)
    assert found == []
