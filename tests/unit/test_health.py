"""Health: what is read from memory, and that a frozen database cannot hold it."""

import asyncio

import pytest
import structlog

from qsuite.domain.errors import Unavailable
from qsuite.services.health import HealthService, Record, State
from qsuite.services.supervisor import Supervisor


async def answers() -> None:
    """Answer a ping."""


async def refuses() -> None:
    raise Unavailable("the database is away")


def service(ping: object = answers, *, engine: State = State.UP, **probes: State) -> HealthService:
    read = {"engine": lambda: engine, **{name: lambda state=state: state for name, state in probes.items()}}
    return HealthService(ping=ping, supervisor=Supervisor(), probes=read, ping_timeout_s=0.05)  # type: ignore[arg-type]


async def test_before_the_first_look_nothing_is_promised() -> None:
    health = service()
    assert health.now.status == "down"
    assert health.now.services["database"] is State.STARTING


async def test_with_all_well_it_serves() -> None:
    health = service()
    await health.run_once(0)
    assert (health.now.status, health.now.serves) == ("ok", True)
    assert health.now.services == {
        "database": State.UP,
        "redis": State.DISABLED,
        "engine": State.UP,
        "workers": State.UP,
        "feed": State.IDLE,
        "disk": State.UP,
        "clock": State.UP,
    }


async def test_a_record_that_somebody_changed_is_told_and_stops_no_trading() -> None:
    health = service()
    await health.run_once(0)
    for record in (Record.BROKEN, Record.UNSIGNED):
        health.audit = lambda record=record: record  # type: ignore[misc]
        assert (health.now.audit, health.now.status, health.now.serves) == (record, "degraded", True)
        assert health.now.services["database"] is State.UP


async def test_a_database_that_refuses_is_down_and_comes_back() -> None:
    outcomes = [refuses, answers]
    health = service(lambda: outcomes.pop(0)())
    with structlog.testing.capture_logs() as lines:
        await health.run_once(0)
        assert (health.now.status, health.now.services["database"]) == ("down", State.DOWN)
        await health.run_once(0)
    assert health.now.status == "ok"
    assert [line["state"] for line in lines] == ["down", "up"]


async def test_a_frozen_database_is_asked_once_and_holds_nobody() -> None:
    asked = []

    async def frozen() -> None:
        asked.append(1)
        await asyncio.Event().wait()

    health = service(frozen)
    with structlog.testing.capture_logs():
        for _ in range(3):
            await asyncio.wait_for(health.run_once(0), timeout=5)
            assert health.now.services["database"] is State.DOWN
    assert len(asked) == 1
    await health.stop()


async def test_a_late_answer_counts_at_the_next_look() -> None:
    thawed = asyncio.Event()

    async def slow() -> None:
        await thawed.wait()

    health = service(slow)
    with structlog.testing.capture_logs():
        await health.run_once(0)
        thawed.set()
        await health.run_once(0)
    assert health.now.services["database"] is State.UP


@pytest.mark.parametrize(
    ("engine", "status", "ready"),
    [
        (State.UP, "ok", True),
        (State.STANDBY, "degraded", False),
        (State.STARTING, "down", False),
        (State.DOWN, "down", False),
    ],
)
async def test_ready_means_that_this_process_takes_orders(engine: State, status: str, ready: bool) -> None:
    health = service(engine=engine)
    await health.run_once(0)
    health.serving(now=True)
    assert (health.now.status, health.ready) == (status, ready)


async def test_a_process_that_stops_is_not_ready_though_all_is_well() -> None:
    health = service()
    await health.run_once(0)
    assert not health.ready
    health.serving(now=True)
    assert health.ready
    health.serving(now=False)
    assert not health.ready


@pytest.mark.parametrize(("probe", "state"), [("feed", State.STALE), ("redis", State.DOWN), ("workers", State.AWAY)])
async def test_what_is_optional_only_degrades(probe: str, state: State) -> None:
    health = service(**{probe: state})
    await health.run_once(0)
    assert (health.now.status, health.now.serves) == ("degraded", True)


async def test_a_loop_that_keeps_failing_shows_as_workers_down() -> None:
    supervisor = Supervisor()
    health = HealthService(ping=answers, supervisor=supervisor, probes={"engine": lambda: State.UP})
    supervisor.add(health)
    await health.run_once(0)
    supervisor.states["health"].failures = 3
    assert health.now.services["workers"] is State.DOWN
    assert health.now.status == "down"


async def test_a_process_pool_that_cannot_start_a_process_shows_as_workers_down() -> None:
    health = service(workers=State.DOWN)
    await health.run_once(0)
    assert (health.now.status, health.now.services["workers"]) == ("down", State.DOWN)


async def test_a_gateway_is_well_and_ready_without_an_engine() -> None:
    probes = {"engine": lambda: State.STANDBY}
    for gateway, found in ((True, ("ok", True, "gateway")), (False, ("degraded", False, "all"))):
        health = HealthService(ping=answers, supervisor=Supervisor(), probes=probes, gateway=gateway)
        await health.run_once(0)
        health.serving(now=True)
        assert (health.now.status, health.ready, health.now.role) == found
