"""The whole of QSuite as processes of this machine, as a cluster would have it.

    scheduler, workers ──┐
    Redis ───────────────┤
    three mongods ─ set ─┴─ engine ─ ready ─┬─ standby, gateways ─ ready ─┬─ done
                                            └─ users ─────────────────────┘

Whatever can begin beside something else does. Invariant: what was begun has ended when ``running_stack`` is left.
"""

import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ops.stack.grid import Grid
from ops.stack.kept import Kept
from ops.stack.people import User, make_admin, make_users, quote
from ops.stack.process import Process
from ops.stack.proxy import Proxies
from ops.stack.redis_server import RedisServer
from ops.stack.replica_set import Member, ReplicaSet, make_members
from ops.stack.scratch import scratch
from ops.stack.server import Server

NOTHING: Mapping[str, str] = {}
PASSWORD = secrets.token_urlsafe(24)
"""Of the users of stacks that are gone with this process; a stack that is kept keeps its own."""
OPERATOR = User("operator", PASSWORD, "admin")
TRADER = User("trader", PASSWORD, "trader")


@dataclass(frozen=True)
class Plan:
    """Which parts a stack has. ``settings`` are of all its QSuites, named without ``QSUITE_``."""

    members: int = 3
    redis: bool = True
    standby: bool = True
    gateways: int = 2
    workers: int = 2
    proxies: bool = False
    profile: str = "test"
    port: int = 0
    """Of the engine, 0 for any; the standby and the gateways have those behind it."""
    users: Sequence[User] = (OPERATOR, TRADER)
    """The first is an admin, who makes the others."""
    settings: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further variables of the environment of all QSuites."""


class Stack:
    """The processes of a plan in a folder, each to kill, freeze and start again. All of it blocks."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.kept = Kept(folder)
        if plan.port:
            servers = ["engine", "standby", *(f"gateway-{number}" for number in range(plan.gateways))]
            self.kept.set_ports(dict(zip(servers, itertools.count(plan.port))))
        self._ends = ExitStack()
        self.proxies = Proxies() if plan.proxies else None
        self.replica_set = ReplicaSet(self._members())
        self.redis = self._redis() if plan.redis else None
        self.grid = Grid(folder, self.kept.port("scheduler")) if plan.workers else None
        self.engine = self.server("engine")
        self.standby = self.server("standby") if plan.standby else None
        self.gateways = [self.server(f"gateway-{number}", role="gateway") for number in range(plan.gateways)]

    @property
    def members(self) -> list[Member]:
        """Return the mongods."""
        return self.replica_set.members

    @property
    def scheduler(self) -> Process:
        """Return the Dask scheduler."""
        assert self.grid is not None, "this stack has no grid"
        return self.grid.scheduler

    @property
    def workers(self) -> list[Process]:
        """Return the Dask workers."""
        assert self.grid is not None, "this stack has no grid"
        return self.grid.workers

    @property
    def servers(self) -> list[Server]:
        """Return every QSuite: the engine, the standby, the gateways."""
        return [self.engine, *([self.standby] if self.standby else []), *self.gateways]

    @property
    def processes(self) -> list[Process]:
        """Return every process, in the order in which they are stopped."""
        grid = [*self.workers, self.scheduler] if self.grid else []
        return [*self.servers[::-1], *grid, *([self.redis] if self.redis else []), *self.members]

    @property
    def settings(self) -> dict[str, str]:
        """Return what all QSuites of the stack are told, named without ``QSUITE_``; commands take it too."""
        told = {
            "PROFILE": self.plan.profile,
            "DATA_DIR": str(self.folder / "qsuite"),
            "MONGODB_URI": self.replica_set.uri,
            "LOG__LEVEL": "info",
            "LOG__FORMAT": "json",
        }
        if self.redis is not None:
            told["REDIS_URL"] = self.redis.url
        if self.grid is not None:
            told |= {"WORKERS__EXECUTOR": "dask", "WORKERS__DASK_SCHEDULER": self.grid.address}
        return {**told, **self.plan.settings}

    def server(self, name: str, role: str = "all", **settings: str) -> Server:
        """Make one more QSuite of this stack, not yet started."""
        told = {**self.settings, "ROLE": role, **settings}
        made = Server(name, self.folder, told, port=self.kept.port(name), variables=self.plan.variables)
        self._ends.callback(made.kill)
        return made

    def start(self) -> None:
        """Start all of it; every process is ready, and the set whole, when this returns."""
        self.kept.save()
        self.replica_set.launch()
        if self.redis is not None:
            self.redis.launch()
        if self.grid is not None:
            self._ends.callback(self.grid.stop)
            self.grid.launch(self.plan.workers)
        self.replica_set.initiate()
        if self.redis is not None:
            self.redis.wait_ready()
        self.engine.start()
        others = [one for one in self.servers if one is not self.engine]
        for one in others:
            one.launch()
        self._make_users()
        for one in others:
            one.wait_ready()
        self.replica_set.wait_whole()
        if self.grid is not None:
            self.grid.wait_ready()

    def token(self, user: User = TRADER) -> str:
        """Return a fresh access token, which every QSuite of the stack takes."""
        return self.engine.login(user.username, user.password)

    def quote(self, symbol: str, bid: str = "99.99", ask: str = "100.01") -> None:
        """Send a quote to the engine, for a ticker that is made if it is new."""
        quote(self.engine, self.token(self.plan.users[0]), symbol, bid, ask)

    def stop(self) -> dict[str, int]:
        """Stop all of it in order, the gateways first; return what each process ended with.

        The grid is killed: nothing is kept there, and a Dask worker told to end can take half a minute over it.
        """
        with ThreadPoolExecutor() as together:
            ended: dict[str, int] = {}
            for some in self._stages():
                running = [one for one in some if one.pid and one.exit_code is None]
                ended |= dict(zip([one.name for one in running], together.map(Process.stop, running), strict=True))
                if self.engine in some and self.grid is not None:
                    self.grid.stop()
        return ended

    def end(self) -> None:
        """End every process outright, those that were added too, and the proxies."""
        self._ends.close()

    def _stages(self) -> list[list[Process]]:
        databases: list[Process] = [*([self.redis] if self.redis else []), *self.members]
        return [[one for one in self.servers if one is not self.engine], [self.engine], databases]

    def _members(self) -> list[Member]:
        names = [f"mongod-{number}" for number in range(self.plan.members)]
        ports = [self.kept.port(name) for name in names]
        known = []
        if self.proxies is not None:
            self._ends.callback(self.proxies.stop)
            known = [self.kept.port(f"proxy of {name}") for name in names]
            self.proxies.members = [self.proxies.add(to, port) for to, port in zip(ports, known, strict=True)]
        members = make_members(self.folder, ports, known)
        for one in members:
            self._ends.callback(one.kill)
        return members

    def _redis(self) -> RedisServer:
        port, known = self.kept.port("redis"), 0
        if self.proxies is not None:
            known = self.kept.port("proxy of redis")
            self.proxies.redis = self.proxies.add(port, known)
        server = RedisServer(self.folder, port=port, known_port=known)
        self._ends.callback(server.kill)
        return server

    def _make_users(self) -> None:
        admin, *others = self.plan.users
        make_admin(admin, self.folder, self.settings)
        if others:
            make_users(self.engine, others, self.engine.login(admin.username, admin.password))


@contextmanager
def running_stack(
    folder: Path | None = None,
    *,
    members: int = 3,
    redis: bool = True,
    standby: bool = True,
    gateways: int = 2,
    workers: int = 2,
    proxies: bool = False,
    profile: str = "test",
    users: Sequence[User] = (OPERATOR, TRADER),
    settings: Mapping[str, str] = NOTHING,
    variables: Mapping[str, str] = NOTHING,
) -> Iterator[Stack]:
    """Run a stack, in a folder that is gone afterwards unless one is given; every process has ended in the end.

    SetupError where a program it needs is missing: mongod, and for ``redis`` and ``workers`` redis-server and Dask.
    """
    plan = Plan(
        members,
        redis,
        standby,
        gateways,
        workers,
        proxies,
        profile,
        users=users,
        settings=settings,
        variables=variables,
    )
    with ExitStack() as ends:
        place = folder or Path(ends.enter_context(scratch()))
        place.mkdir(parents=True, exist_ok=True)
        stack = Stack(place.absolute(), plan)
        ends.callback(stack.end)
        stack.start()
        yield stack
