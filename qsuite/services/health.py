"""How the process and what it leans on are doing, kept so that asking costs nothing and never waits.

Invariant: an answer is read from memory. A loop refreshes it twice a second, with at most one question to the database
open at a time, so that a frozen database turns the answer to ``down`` and can neither delay it nor pile up threads.

    up         does its work            starting   not yet
    down       does not                 standby    another process has the engine; this one reads and streams
    stale      prices are old           idle       nothing to do: no feed was started
    suspect    a price jumped, and nothing confirmed it yet
    disabled   not configured              away       the grid that jobs run on; all else works
    low        a disk has little room      full       a disk has next to none: no new orders, cancels pass
    wrong      a clock tells another time than the database's
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from qsuite.domain.errors import QSuiteError
from qsuite.services.supervisor import Supervisor

log = structlog.get_logger(__name__)

REFRESH_S = 0.5
PING_TIMEOUT_S = 1.0


class Record(StrEnum):
    """How the audit record is: as it was signed, changed by somebody since, or not signed because no file takes it."""

    OK = "ok"
    BROKEN = "broken"
    UNSIGNED = "unsigned"


class State(StrEnum):
    """The words of the picture above."""

    UP = "up"
    DOWN = "down"
    STALE = "stale"
    SUSPECT = "suspect"
    IDLE = "idle"
    STARTING = "starting"
    STANDBY = "standby"
    DISABLED = "disabled"
    AWAY = "away"
    LOW = "low"
    FULL = "full"
    WRONG = "wrong"


FINE = frozenset({State.UP, State.IDLE, State.DISABLED, State.LOW})
NEEDED = ("database", "engine", "workers", "disk")

Probe = Callable[[], State]


@dataclass(frozen=True, slots=True)
class StreamSource:
    """Where the stream's messages come from: this process's ``engine``, another's through ``redis``, or ``database``.

    ``lag_s``: how long the newest ones were under way, as far as that is known.
    """

    name: str
    lag_s: float | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """One reading. ``status`` is ``ok``, ``degraded`` (serves, but something optional is not fine) or ``down``."""

    status: str
    services: Mapping[str, State]
    role: str
    stream: StreamSource
    audit: Record = Record.OK

    @property
    def serves(self) -> bool:
        """Say whether orders can be taken, or would be by the process that has the engine."""
        return self.status != "down"


class HealthService:
    """Keep the newest state of each service. A supervised loop.

    ``ping`` asks the database for a sign of life; ``probes`` are read at once and must not wait. A ``gateway`` has no
    engine and needs none.
    """

    name = "health"
    interval_s = REFRESH_S

    def __init__(
        self,
        *,
        ping: Callable[[], Awaitable[None]],
        supervisor: Supervisor,
        probes: Mapping[str, Probe] | None = None,
        gateway: bool = False,
        ping_timeout_s: float = PING_TIMEOUT_S,
    ) -> None:
        self._ping = ping
        self._ping_timeout_s = ping_timeout_s
        self._supervisor = supervisor
        self._probes: dict[str, Probe] = {
            "redis": lambda: State.DISABLED,
            "engine": lambda: State.STARTING,
            "feed": lambda: State.IDLE,
            "workers": lambda: State.UP,
            "disk": lambda: State.UP,
            "clock": lambda: State.UP,
            **(probes or {}),
        }
        self.stream: Callable[[], StreamSource] = lambda: StreamSource("engine")
        """Says where the stream's messages come from."""
        self.audit: Callable[[], Record] = lambda: Record.OK
        """Says how the audit record is. Trading goes on whatever it is; somebody must look."""
        self._gateway = gateway
        self._question: asyncio.Task[bool] | None = None
        self._database = State.STARTING
        self._serving = False

    def probe(self, service: str, read: Probe) -> None:
        """Read a service's state through ``read`` from now on."""
        self._probes[service] = read

    def serving(self, *, now: bool) -> None:
        """Say that this process takes requests, or that it no longer does because it stops."""
        self._serving = now

    async def run_once(self, now: int) -> None:
        """Ask the database, unless the last question is still open; then it is down."""
        if self._question is None:
            self._question = asyncio.create_task(self._ask())
        await asyncio.wait({self._question}, timeout=self._ping_timeout_s)
        answered = self._question.done()
        state = State.UP if answered and self._question.result() else State.DOWN
        if state is not self._database:
            log.log(30 if state is State.DOWN else 20, "health.database", state=state.value)
        self._database = state
        if answered:
            self._question = None

    async def stop(self) -> None:
        """Let go of a question still open."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.gather(self._question, return_exceptions=True)
            self._question = None

    async def _ask(self) -> bool:
        try:
            await self._ping()
        except QSuiteError:
            return False
        return True

    @property
    def now(self) -> Health:
        """Return the newest reading."""
        services = {
            "database": self._database,
            "redis": self._probes["redis"](),
            "engine": self._probes["engine"](),
            "workers": self._workers(),
            "feed": self._probes["feed"](),
            "disk": self._probes["disk"](),
            "clock": self._probes["clock"](),
        }
        fine = FINE | {State.STANDBY} if self._gateway else FINE
        audit = self.audit()
        well = audit is Record.OK and all(state in fine for state in services.values())
        status = "ok" if well else "degraded"
        if any(services[name] not in FINE | {State.STANDBY, State.AWAY} for name in NEEDED):
            status = "down"
        return Health(status, services, "gateway" if self._gateway else "all", self.stream(), audit)

    @property
    def ready(self) -> bool:
        """Say whether this process does its work: started, not stopping, with its database; and the engine, to take
        orders, which a gateway does not.
        """
        services = self.now.services
        able = self._gateway or services["engine"] is State.UP
        return self._serving and services["database"] is State.UP and able

    @property
    def database_away(self) -> bool:
        """Say whether the database did not answer when it was last asked."""
        return self._database is State.DOWN

    def _workers(self) -> State:
        """All supervised loops do their work, and so does the process pool."""
        if not all(state.up for state in self._supervisor.states.values()):
            return State.DOWN
        return self._probes["workers"]()
