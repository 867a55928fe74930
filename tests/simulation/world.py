"""One run: a database, processes that come and go, clients, a market, and the weather, all drawn from one seed.

    clients ──> process (engine) ──> simulated database
       │             │                      │
       └── judge ────┴──────────────────────┘    sees what was asked, answered, announced and stored

The seed decides everything: every delay, fault, price and order. ``trace`` is what happened, line by line; the same
seed gives the same trace.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from hashlib import blake2b
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from qsuite.domain.market import Quote, Snapshot, Tick, Trade
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.account import Account
from qsuite.repos.accounts import account_document
from qsuite.services import collector
from tests.simulation.client import Client
from tests.simulation.judge import Judge
from tests.simulation.loop import VirtualLoop
from tests.simulation.process import Process
from tests.simulation.server import Server, Transaction
from tests.simulation.state import PAPER, SYMBOLS, new_state
from tests.simulation.traders import Trader
from tests.simulation.weather import CALM, CALM_S, Weather

# A minute before the end of a UTC day: some DAY orders meet it.
START_NS = 1_700_006_340 * NS_PER_S
TRADERS = 3
PROCESSES = 8
PATIENCE_S = 90.0
COUNTED = {"engine.active": "recovered", "engine.fenced": "fenced", "engine.failed": "failed"}


class World:
    """Everything there is in one run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.drawn = self.weather = Weather.drawn(self.random)
        self.loop = VirtualLoop()
        self.trace: list[str] = []
        self.counts: Counter[str] = Counter()
        self.market: dict[str, Snapshot] = {}
        self.server = Server(self.now_ns)
        self.judge = Judge(self)
        self.processes: list[Process] = []
        self._ticks = 0
        self._usurping = False
        self.accounts = [self._open_account(number) for number in range(TRADERS)]

    # -- time, names, notes -------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        return START_NS + round(self.loop.time() * 1000) * 1_000_000

    def new_id(self) -> UUID:
        """Make an id as time-ordered as the real ones are."""
        return UUID(int=(self.now_ns() // 1_000_000) << 80 | 7 << 76 | 2 << 62 | self.random.getrandbits(62))

    def note(self, line: str) -> None:
        self.trace.append(f"{self.loop.time():.6f} {line}")

    @property
    def digest(self) -> str:
        return blake2b("\n".join(self.trace).encode(), digest_size=8).hexdigest()

    def new_state(self) -> Any:
        return new_state(self.market, self.new_id)

    def _open_account(self, number: int) -> Account:
        cash = Decimal(self.random.choice((3_000, 20_000, 100_000)))
        account = Account(
            id=UUID(int=number + 1), user=UUID(int=number + 101), name=str(number), currency="USD", cash=cash,
            deposited=cash, created_at=START_NS, updated_at=START_NS,
        )  # fmt: skip
        database: Any = Client(self.server, self.new_id)
        database.accounts.insert_one(account_document(account))
        return account

    # -- the run ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        for symbol in SYMBOLS:
            self.move(symbol)
        self.spawn()
        if self.weather.standby:
            self.spawn()
        traders = [Trader(self, account, number) for number, account in enumerate(self.accounts)]
        troubles = [
            self.loop.create_task(work()) for work in (self._market, self._crashes, self._restarts, self._jumps)
        ]
        await asyncio.gather(*(trader.trade() for trader in traders))
        for task in troubles:
            task.cancel()
        await asyncio.gather(*troubles, return_exceptions=True)
        self.weather = CALM
        await self._quiet()
        for trader in traders:
            await trader.ask_again()
        serving = await self._quiet()
        self.judge.compare_memory(serving)
        for process in self.processes:
            if process.alive:
                await process.stop()
        self.judge.conclude()

    async def _quiet(self) -> Process:
        """Wait until one process serves and has nothing left to do. It must come to that."""
        give_up = self.loop.time() + PATIENCE_S
        while self.loop.time() < give_up:
            await asyncio.sleep(0.5)
            if not any(process.alive for process in self.processes):
                self.spawn()
            # One that was told to stop, and waits for its storage, still holds the engine but takes no more orders.
            serving = [process for process in self.processes if process.serves and not process.stopping]
            if len(serving) == 1 and not serving[0].engine.queued and not serving[0].engine._in_flight:
                return serving[0]
        states = {str(process): process.engine.state.value for process in self.processes if process.alive}
        raise AssertionError(f"nobody serves {PATIENCE_S} s after the last fault: {states}")

    # -- processes ----------------------------------------------------------------------------------------------

    def spawn(self, delay_s: float = 0.0) -> Process:
        process = Process(self, len(self.processes) + 1)
        self.processes.append(process)
        self.loop.call_later(delay_s, process.start)
        return process

    def pick(self) -> Process | None:
        """Choose whom a client asks: mostly one who serves, sometimes anybody alive."""
        alive = [process for process in self.processes if process.alive]
        serving = [process for process in alive if process.serves]
        return self.random.choice(serving if serving and self.random.random() < 0.95 else alive) if alive else None

    def is_dead(self, holder: dict[str, Any]) -> bool:
        process = self.processes[holder["pid"] - 1]
        return not process.alive or self._usurping or self.random.random() < self.weather.mistaken

    def usurp(self) -> None:
        """Let a new process take the engine, now, whatever its holder is in the middle of."""
        if len(self.processes) >= PROCESSES or self._usurping:
            return
        self._usurping = True
        process = self.spawn(0.01)
        self.note(f"{process} takes the engine")
        self.counts["usurped"] += 1
        process.store.acquire()
        self._usurping = False

    # -- faults -------------------------------------------------------------------------------------------------

    def delays(self, process: Process) -> tuple[float, float]:
        before, after = (self.random.uniform(*CALM_S) for _ in range(2))
        if self.random.random() < self.weather.slow:
            slow_s = self.random.choice((0.05, 0.5, 4.0))
            self.note(f"{process} is slow for {slow_s} s")
            if self.random.random() < 0.5:
                return before + slow_s, after
            return before, after + slow_s
        return before, after

    def fault(self, process: Process, point: str) -> str | None:
        if self._usurping:
            return None
        drawn, weather = self.random.random(), self.weather
        for name, chance in (("dies", weather.fatal), ("broken", weather.broken), ("usurped", weather.usurped)):
            if drawn < chance:
                self.note(f"{process} {name} at {point}")
                self.counts["broken"] += name == "broken"
                return name
            drawn -= chance
        return None

    def doubt(self, process: Process, transaction: Transaction) -> str | None:
        if self.random.random() >= self.weather.doubtful:
            return None
        fate = self.random.choice(("applied", "lost", "late"))
        self.counts["doubted"] += 1
        self.note(f"{process} loses the answer to a commit ({fate})")
        if fate != "applied":
            self.loop.call_later(60.0, self.server.abort, transaction)
        if fate == "late":
            self.loop.call_later(self.random.expovariate(2.0), self._commit_late, transaction)
        return fate

    def _commit_late(self, transaction: Transaction) -> None:
        if transaction.open:
            self.note("a commit in doubt is applied after all")
            self.server.commit(transaction)

    async def _crashes(self) -> None:
        while self.weather.crash_rate:
            await asyncio.sleep(self.random.expovariate(self.weather.crash_rate))
            for _ in range(self.random.randrange(6)):
                await asyncio.sleep(0)
            process = self.pick()
            if process is not None:
                process.die()
                self.counts["died"] += 1

    async def _restarts(self) -> None:
        while self.weather.restart_rate:
            await asyncio.sleep(self.random.expovariate(self.weather.restart_rate))
            process = self.pick()
            if process is not None:
                self.loop.create_task(process.stop())
                self.counts["stopped"] += 1

    async def _jumps(self) -> None:
        while self.weather.jump_rate:
            await asyncio.sleep(self.random.expovariate(self.weather.jump_rate))
            process = self.pick()
            if process is not None:
                seconds = self.random.choice((-86_400, -3_600, -5, -0.1, 0.1, 5, 600))
                process.skew_ns += round(seconds * NS_PER_S)
                self.note(f"{process} sets its clock by {seconds} s")

    async def keep_alive(self) -> None:
        """Start a process where none is left, as a supervisor would."""
        if not any(process.alive for process in self.processes):
            await asyncio.sleep(self.random.uniform(0.01, 0.3))
            if not any(process.alive for process in self.processes):
                self.spawn()

    # -- the market ---------------------------------------------------------------------------------------------

    async def _market(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(20.0))
            tick = self.move(self.random.choice(PAPER))
            for process in self.processes:
                if process.alive:
                    process.context.copy().run(process.engine.on_ticks, [tick])

    def move(self, symbol: str) -> Tick:
        """Let a trade or a quote be seen a little off the last price."""
        self._ticks += 1
        known = self.market.get(symbol, Snapshot())
        last = known.trade.price if known.trade else Decimal(100)
        price = max(Decimal(50), last + Decimal(self.random.randint(-100, 100)) / 100)
        tick: Tick = Trade(symbol, self._ticks, price, Decimal(self.random.randint(1, 50)))
        if known.trade is not None and self.random.random() < 0.5:
            half = Decimal(self.random.randint(0, 10)) / 100
            size = Decimal(self.random.randint(1, 50))
            tick = Quote(symbol, self._ticks, price - half, price + half, size, size)
        self.market[symbol] = known._replace(trade=tick) if isinstance(tick, Trade) else known._replace(quote=tick)
        return tick


class Failed(AssertionError):
    """A seed after which something is wrong; ``world`` is what it left."""

    def __init__(self, world: World, reason: str) -> None:
        super().__init__(f"seed {world.seed}: {reason}\nreplay it with: python -m tests.simulation {world.seed}")
        self.world = world
        self.reason = reason


def run_seed(seed: int) -> World:
    """Run one seed to its end. Failed says what went wrong."""
    world = World(seed)
    with _replaced_clock_and_log(world), collector.paused():
        try:
            world.loop.run_until_complete(world.run())
            if world.loop.unexpected:
                raise AssertionError(f"nobody handled {world.loop.unexpected[0]}")
        except Exception as error:
            raise Failed(world, f"{type(error).__name__}: {error}") from error
        finally:
            _end(world)
    return world


def _end(world: World) -> None:
    for process in world.processes:
        process.die()
    left = asyncio.all_tasks(world.loop)
    for task in left:
        task.cancel()
    if left:
        world.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    world.loop.close()


@contextmanager
def _replaced_clock_and_log(world: World) -> Iterator[None]:
    """Give the engine virtual time, and take its log into the trace."""
    clock = SimpleNamespace(monotonic=world.loop.time, perf_counter=world.loop.time, time_ns=world.now_ns)

    def say(event: str, **facts: Any) -> None:
        facts.pop("exc_info", None)
        world.note(f"{event} {sorted(facts.items())}")
        world.counts[COUNTED.get(event, "other log lines")] += 1

    log = SimpleNamespace(info=say, warning=say, error=say, debug=say, critical=say)
    with (
        patch("qsuite.services.engine.time", clock),
        patch("qsuite.services.engine_jobs.time", clock),
        patch("qsuite.services.engine_storage.time", clock),
        patch("qsuite.services.engine.log", log),
        patch("qsuite.services.engine_memory.log", log),
        patch("qsuite.services.engine_storage.owner", lambda: None),  # the store knows whose it is
        patch("qsuite.domain.trading.seen.LEAST_BITS", 1 << 16),  # a megabyte for each recovery takes its time
    ):
        yield
