"""Limits, switches and risk events on a real MongoDB: what was set holds after a restart, with its past."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.listing import Listing
from qsuite.domain.trading.commands import Halt, Resume, Scope, SetLimits, TradingMode
from qsuite.domain.trading.risk import Severity
from qsuite.repos.database import Database
from qsuite.repos.engine_store import EngineStore
from qsuite.repos.risk_events import RiskEventsRepo
from qsuite.services.engine import TradingEngine
from tests.integration.test_engine import USER, World

MANAGER, OTHER = UUID(int=71), UUID(int=72)


@pytest.fixture
def world(database: Database, io_loop: IOLoop) -> Iterator[World]:
    world = World(database, io_loop)
    world.run(world.engine.start)
    yield world
    world.run(world.engine.stop)


async def set_limits(world: World, **limits: Decimal | bool | None) -> None:
    account = str(world.account.id)
    command = SetLimits(scope=Scope.ACCOUNT, target=account, limits=limits, user=MANAGER, reason="a test")
    assert (await world.engine.submit(command)).error is None


async def restarted(world: World) -> TradingEngine:
    await world.engine.stop()
    world.engine = world.new_engine(EngineStore(world.database, lease_s=1, commit_timeout_s=3))
    await world.engine.start()
    return world.engine


async def code_of(world: World, quantity: int) -> str | None:
    order = (await world.engine.submit(world.limit("181.00", quantity=Decimal(quantity)))).order
    assert order is not None
    return None if order.reject is None else str(order.reject["code"])


async def test_limits_hold_after_a_restart_with_the_versions_before_them(world: World) -> None:
    await set_limits(world, max_quantity=Decimal(5), short_sale=True)
    await set_limits(world, max_quantity=Decimal("7.50"))
    assert [await code_of(world, quantity) for quantity in (7, 8)] == [None, "risk.max_quantity"]
    await restarted(world)
    assert [await code_of(world, quantity) for quantity in (7, 8)] == [None, "risk.max_quantity"]
    (stored,) = world.database.sync.risk_limits.find({})
    assert (stored["_id"], stored["version"], stored["set_by"]) == (f"limit:account:{world.account.id}", 2, MANAGER)
    assert {name: getattr(figure, "to_decimal", lambda: True)() for name, figure in stored["limits"].items()} == {
        "max_quantity": Decimal("7.50"),
        "short_sale": True,
    }
    assert [(before["version"], before["limits"]["max_quantity"].to_decimal()) for before in stored["history"]] == [
        (1, Decimal(5))
    ]
    await set_limits(world, max_quantity=None)
    assert await code_of(world, 8) is None


async def test_a_stored_limit_that_somebody_broke_refuses(world: World) -> None:
    await set_limits(world, max_quantity=Decimal(5))
    world.database.sync.risk_limits.update_one({}, {"$set": {"limits.max_quantity": "five"}})
    await restarted(world)
    assert await code_of(world, 1) == "risk.max_quantity"


async def test_switches_hold_after_a_restart_in_their_mode(world: World) -> None:
    for scope, target, mode in (
        (Scope.TICKER, "IBM", TradingMode.REDUCING),
        (Scope.STRATEGY, str(OTHER), TradingMode.HALTED),
    ):
        await world.engine.submit(Halt(scope=scope, target=target, user=MANAGER, reason="drill", mode=mode))
    engine = await restarted(world)
    assert {key: halt.mode for key, halt in engine.memory.halts.items()} == {
        (Scope.TICKER, "IBM"): TradingMode.REDUCING,
        (Scope.STRATEGY, str(OTHER)): TradingMode.HALTED,
    }
    assert await code_of(world, 1) == "risk.reducing"
    lift = Resume(scope=Scope.TICKER, target="IBM", user=MANAGER)
    assert (await engine.submit(lift)).error == "forbidden"
    assert (await engine.submit(Resume(scope=Scope.TICKER, target="IBM", user=OTHER))).error is None
    await restarted(world)
    assert await code_of(world, 1) is None


async def test_events_are_stored_with_what_was_compared_and_shown_to_whom_they_concern(world: World) -> None:
    await set_limits(world, max_quantity=Decimal(5))
    await code_of(world, 6)
    await world.engine.submit(Halt(scope=Scope.TICKER, target="IBM", user=MANAGER, reason="drill"))
    repo = RiskEventsRepo(world.database)
    listing = Listing(order=(("ts", False),), page_size=10, cursor="")
    everything = (await repo.page(listing, None)).items
    assert [event.code for event in everything] == ["risk.limits_set", "risk.max_quantity", "risk.halted"]
    refused, halted = everything[1], everything[2]
    assert (refused.limit, refused.value, refused.account, refused.actor) == (5, 6, world.account.id, USER)
    assert (halted.severity, halted.scope, halted.target, halted.account) == (
        Severity.CRITICAL, Scope.TICKER, "IBM", None
    )  # fmt: skip
    own = (await repo.page(listing, [world.account.id])).items
    assert [event.code for event in own] == ["risk.limits_set", "risk.max_quantity"]
    assert (await repo.page(listing, [OTHER])).items == []
