"""The trading engine: the single writer of orders, executions, positions, accounts and kill switches.

    submit ──> queue ──> load ──> decide ──> encode ──> commit ──> answer, announce
                          (storage)  (memory)             (storage, one transaction for the whole batch)

Commands are decided one after the other as they come, while the batch before is being committed; when that commit is
done and no more are coming, what has gathered is committed next. Nothing is answered or announced before it is durable.

States:

    standby     another process holds the engine; commands are refused, the lease is tried again
    recovering  memory is being rebuilt from storage
    active      commands are served

While it stands by, the ``Follower`` tells this process's subscribers what the other one made durable.

Beside it: ``engine_storage`` waits for storage and keeps the lease, ``engine_memory`` builds memory, ``engine_jobs``
tells those who wait, also that they waited too long.

Invariant: memory is never ahead of what this process itself is about to commit. Whatever goes wrong on the way to
storage, memory is dropped and rebuilt under a new epoch; by then it is known which batches were committed: their
commands are answered, the others are decided again, and those who waited too long are told that the outcome is unknown.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from qsuite.domain.errors import QSuiteError, Unavailable
from qsuite.domain.market import Snapshot, Tick
from qsuite.domain.times import floor_ms
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.commands import (
    Command,
    MarkAccounts,
    MarketMoved,
    Outcome,
    PlaceOrder,
    ReleaseOrder,
    ReplaceOrder,
    StopEverything,
    TimePassed,
)
from qsuite.domain.trading.decide import decide
from qsuite.domain.trading.meet import reaches
from qsuite.domain.trading.needs import missing
from qsuite.domain.trading.order import OPEN
from qsuite.domain.trading.risk import Refusal
from qsuite.domain.trading.settle import InvariantBroken
from qsuite.domain.trading.state import TradingState
from qsuite.repos.engine_batch import Batch, encode_batch
from qsuite.repos.engine_store import CommitUnknown, EngineStore, Fenced, Head, NotCommitted
from qsuite.services import collector
from qsuite.services.engine_jobs import EngineState, EngineStats, InFlight, Job, Listener, answer, give_up_late
from qsuite.services.engine_memory import EngineMemory
from qsuite.services.engine_stages import CommitFigures
from qsuite.services.engine_storage import EngineStorage
from qsuite.services.follower import Follower
from qsuite.services.missed_ticks import MissedTicks
from qsuite.services.tracing import Traces
from qsuite.services.turns import IN_A_TURN
from qsuite.settings import EngineSettings

log = structlog.get_logger(__name__)

# A tick may be under way from one process to another for so long, and be met by neither.
UNDERWAY_S = 0.5
# How often a process that stands by looks whether the engine can be had.
LOOKS_PER_LEASE = 10

# After an answered batch all its clients ask again at once. Committing with the first of them would leave the others
# to the next batch, so a batch waits while each second round of the loop brings more. A lone client waits for nothing.
ROUNDS_WITHOUT_NEWS = 2

# From this many on a batch waits no longer: while it is on its way the next ones are decided (docs/adr/0006).
ENOUGH_FOR_A_COMMIT = 64

# Ticks that wait behind other commands are met in portions of about so many: deciding one holds the loop.
TICKS_TOGETHER = 500

# After whatever went wrong, memory is rebuilt not before this.
AGAIN_S = 0.1

# Accounts are valued, and their losses looked at, this often.
MARK_S = 1.0

# What is not begun while a disk is nearly full; what ends or bounds things is.
NEEDS_ROOM = (PlaceOrder, ReplaceOrder, ReleaseOrder)
FULL_RETRY_S = 30.0

# What a database that is away or slow makes of a commit: no fault of the code, so no trace in the log.
EXPECTED = (NotCommitted, CommitUnknown)


class TradingEngine:
    """Run commands through ``decide`` and into storage. ``new_state`` makes an empty memory."""

    def __init__(
        self,
        *,
        store: EngineStore,
        new_state: Callable[[], TradingState],
        settings: EngineSettings,
        clock: Callable[[], int] = time.time_ns,
        follower: Follower | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._storage = EngineStorage(store, lease_s=settings.lease_s)
        self._memories = EngineMemory(self._storage, new_state)
        self._follower = follower
        self._traces = traces
        self._settings = settings
        self._enough = min(ENOUGH_FOR_A_COMMIT, settings.batch_max)
        self._clock = clock
        self._listeners: list[Listener] = []
        self._queue: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._started = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._again: asyncio.TimerHandle | None = None
        self._stopping = False
        self._committing: asyncio.Future[None] | None = None
        self._in_flight: InFlight | None = None
        self._breach: Refusal | None = None
        self._open: list[Job] = []
        self._batch = 0
        self._last_now = 0
        self._missed = MissedTicks()
        self._mark_at_s = 0.0
        self._deciding = False
        self.epoch = 0
        """Under which the engine was last taken here; a later one, anywhere, is higher."""
        self.disk_full: Callable[[], bool] = bool
        """Says whether there is too little room in storage for new orders."""
        self.state = EngineState.STOPPED
        self.memory = new_state()
        self.stats = EngineStats()

    # -- for the rest of QSuite ---------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """Call this with the announcements of each batch, once it is durable."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Begin; returns when the engine is active, or stands by because another process is."""
        self._stopping = False
        if self._follower is not None:
            await self._follower.start()
        self._begin()
        self._watch = asyncio.create_task(give_up_late(self._jobs, self.stats), name="engine-deadlines")
        await self._started.wait()

    async def stop(self) -> None:
        """Finish what is queued, give the lease back, end."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self._settings.commit_timeout_s)
            self._task.cancel()
        if self._again is not None:
            self._again.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._memories.stop_learning()
        self._fail_all(Unavailable("the server is stopping", code="stopping"))
        if self._follower is not None:
            await self._follower.stop()
        await self._storage.close()
        self.state = EngineState.STOPPED

    def announce(self, address: str) -> None:
        """Let other processes know where this one is reached while it has the engine."""
        self._storage.announce(address)

    @property
    def queued(self) -> int:
        """Return how many commands wait or are on their way."""
        return len(self._jobs())

    async def submit(self, command: Command) -> Outcome:
        """Have a command decided and made durable, and return its outcome.

        Unavailable: nothing was done. OutcomeUnknown: it may or may not have been; its id finds out.
        """
        self._check_room((command,))
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append(self._job(command, future))
        self._wake.set()
        return await future

    async def settled(self) -> None:
        """Return when all that was decided before is durable; at once where another process has the engine."""
        if self.state not in (EngineState.STANDBY, EngineState.STOPPED) and self._jobs():
            await self.submit(TimePassed())

    async def submit_many(self, commands: Sequence[Command]) -> list[Outcome | BaseException]:
        """Have many commands decided in their order; return an outcome or error for each, or Unavailable for all."""
        self._check_room(commands)
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Outcome]] = [loop.create_future() for _ in commands]
        self._queue.extend(self._job(command, future) for command, future in zip(commands, futures, strict=True))
        self._wake.set()
        return await asyncio.gather(*futures, return_exceptions=True)

    def _check_room(self, commands: Sequence[Command]) -> None:
        if self.state in (EngineState.STANDBY, EngineState.STOPPED) or self._stopping:
            raise Unavailable(f"the engine is in {self.state.value} here", code="engine.standby", retry_after_s=1)
        if len(self._queue) + len(commands) > self._settings.queue_max:
            raise Unavailable("too many orders are waiting", code="engine.busy")
        if self.disk_full() and any(isinstance(command, NEEDS_ROOM) for command in commands):
            detail = "a disk is nearly full: orders can be cancelled, not placed"
            raise Unavailable(detail, code="disk.full", retry_after_s=FULL_RETRY_S)

    @property
    def active(self) -> bool:
        """Say whether orders are decided here; in one of the processes on a database they are."""
        return self.state is EngineState.ACTIVE

    @property
    def leading(self) -> bool:
        """Say whether orders are decided here, or were until storage went away, as far as this process knows."""
        return self.active or (self.state is EngineState.RECOVERING and self.epoch > 0)

    def on_ticks(self, ticks: Sequence[Tick], before: Callable[[str], Snapshot] | None = None) -> None:
        """Let resting orders meet new ticks, which the market shows by now; cheap when none is reached.

        ``before`` tells what it showed before them. While commands wait, ticks wait behind them: what those commands
        leave resting meets every tick that came after, and each command sees the market as it was when it came. So
        fills do not depend on how far the engine is behind.
        """
        if self.active and (self._queue or self._deciding or reaches(self.memory, ticks)):
            self._put_ticks(ticks, before)
            return
        for tick in ticks:
            self.memory.see(tick)
        if not self.active:
            self._missed.add(ticks, time.monotonic())
        elif self.memory.venues.held:
            self.memory.venues.held.clear()

    # -- the loop -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._run(), name="engine")
        self._task.add_done_callback(self._died)

    def _died(self, task: asyncio.Task[None]) -> None:
        """Begin again with a memory rebuilt from storage, should the loop end that never does; until then not ready."""
        if self._stopping:
            return
        error = None if task.cancelled() else task.exception()
        log.error("engine.died", error=repr(error), exc_info=error)
        if self.state is EngineState.ACTIVE:
            self.state = EngineState.RECOVERING
        self.stats.deaths += 1
        self._again = asyncio.get_running_loop().call_later(AGAIN_S, self._begin)

    async def _run(self) -> None:
        while not self._stopping:
            try:
                if await self._recover():
                    await self._serve()
                else:
                    await self._look_on()
            except Fenced:
                log.warning("engine.fenced", batch=self._batch)
                await self._stand_by()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever it was: rebuild from storage, which is the truth
                if self.state is EngineState.ACTIVE:
                    log.error("engine.failed", error=str(error), exc_info=not isinstance(error, EXPECTED))
                if self.state is not EngineState.STANDBY:
                    self.state = EngineState.RECOVERING
                await asyncio.sleep(AGAIN_S)
        await self._finish()

    async def _recover(self) -> bool:
        """Take the lease and rebuild memory; False while another process holds it."""
        if self.state is EngineState.STOPPED:
            self.state = EngineState.RECOVERING
        await self._settled()
        asked_s = time.monotonic()
        head = await self._storage.acquire()
        if head is None:
            if self.state is not EngineState.STANDBY:
                await self._stand_by()
            return False
        self.state = EngineState.RECOVERING
        self._resolve(head)
        with collector.paused():
            self.memory = memory = await self._storage.while_holding(self._load(head))
        self._batch = head.batch
        if self._breach is not None:
            breach, self._breach = self._breach, None
            self._queue.appendleft(self._job(StopEverything(**breach._asdict()), None))
        self._storage.signed_s = time.monotonic()
        self.epoch = head.epoch
        self.state = EngineState.ACTIVE
        for ticks in self._missed.take(asked_s - head.silent_s - UNDERWAY_S):
            self.on_ticks(ticks)
        self.stats.recoveries += 1
        self._memories.learn(memory)
        self._started.set()
        log.info("engine.active", epoch=head.epoch, batch=head.batch, open_orders=len(memory.orders))
        return True

    async def _load(self, head: Head) -> TradingState:
        if self._follower is not None:
            await self._follower.finish(head.audit_seq, self._tell)
        return await self._memories.load(head)

    def _resolve(self, head: Head) -> None:
        """Learn what became of the batch on its way; answer it, or put it and what was decided after it back.

        Where another process has had the engine since, its batches stand under this one's number and after it, and
        whether this one is among them is not told.
        """
        flight, self._in_flight = self._in_flight, None
        again: list[Job] = []
        if flight is not None:
            if head.batch < flight.number:
                again = flight.jobs
            elif head.audit_hash == flight.audit_hash:
                self._conclude(flight)
            else:
                for job in flight.jobs:
                    job.give_up(Unavailable("another process took the engine over", code="engine.standby"), self.stats)
        again, self._open = again + self._open, []
        for job in again:
            self.stats.retried += job.attempted
            job.attempted = False
            job.outcome = None
        self._queue.extendleft(reversed(again))

    async def _serve(self) -> None:
        while not (self._stopping and not self._queue and not self._open and self._committing is None):
            if self._committing is not None and self._committing.done():
                await self._settle_commit()
            self._put_what_is_due()
            if self._queue and len(self._open) < self._settings.batch_max:
                await self._decide_queued()
                if self._queue:
                    await asyncio.sleep(0)  # everybody else's turn of the loop
            elif self._open and self._committing is None:
                if len(self._open) >= self._enough or not await self._more_come():
                    self._begin_commit()
                    await asyncio.sleep(0)  # the commit sets out before deciding holds the loop again
            else:
                await self._idle()

    def _put_what_is_due(self) -> None:
        """Before what waits, let time pass for the orders it concerns; now and then value the accounts."""
        waiting = bool(self._queue) and isinstance(self._queue[0].command, TimePassed)
        if not waiting and self.memory.anything_due(self._now()):
            self._queue.appendleft(self._job(TimePassed(), None))
        now_s = time.monotonic()
        if now_s >= self._mark_at_s:
            self._mark_at_s = now_s + MARK_S
            if self.memory.positions:
                self._put(MarkAccounts())

    async def _more_come(self) -> bool:
        """Let the loop go round: say whether that brought further commands, which then join the batch."""
        for _ in range(ROUNDS_WITHOUT_NEWS):
            await asyncio.sleep(0)
            if self._queue:
                return True
        return False

    async def _idle(self) -> None:
        """Wait for a command, the end of a commit, or the time to renew the lease or expire orders."""
        self._wake.clear()
        if self._queue and len(self._open) < self._settings.batch_max:
            return
        try:
            async with asyncio.timeout(min(self._storage.quiet_s, 0.25)):
                await self._wake.wait()
        except TimeoutError:
            if self._committing is None:
                await self._storage.renew_if_quiet()

    async def _decide_queued(self) -> None:
        room = min(IN_A_TURN, self._settings.batch_max - len(self._open))
        drained = [self._queue.popleft() for _ in range(min(room, len(self._queue)))]
        jobs = [job for job in drained if job.future is None or not job.future.done()]
        self._open += jobs
        needs = missing(self.memory, (job.command for job in jobs))
        stages, now_s = self.stats.stages, time.monotonic()
        for job in jobs:
            stages.queue.observe(now_s - job.submitted_s)
        if needs:
            self._deciding = True  # ticks that come meanwhile are behind these
            try:
                loaded = await self._storage.load(needs)
            finally:
                self._deciding = False
            asked_s, now_s = now_s, time.monotonic()
            stages.load.observe(now_s - asked_s)
            if any(order.status in OPEN for order in loaded.orders):  # ours are all in memory: another process has it
                raise Fenced
            self.memory.load(*loaded)
        now = self._now()
        for job in jobs:
            if job.future is not None and job.future.done():  # told while loading that nothing was done
                self._open.remove(job)
            else:
                self._decide(job, now)
        stages.decide.observe(time.monotonic() - now_s)

    def _decide(self, job: Job, now: int) -> None:
        job.attempted = True
        try:
            job.outcome = decide(self.memory, job.command, now)
        except Exception as error:
            # Memory may be half changed: it is dropped. This command is not tried again, the others of the batch are.
            self._open.remove(job)
            if isinstance(error, InvariantBroken):
                self._breach = error.breach
                self.stats.breaches += 1
            if job.future is not None and not job.future.done():
                job.future.set_exception(error)
            raise

    def _begin_commit(self) -> None:
        jobs, self._open = self._open, []
        changes = self.memory.take_changes()
        if not changes:
            self._conclude(InFlight(self._batch, jobs, []))
            return
        began_s = time.monotonic()
        batch = encode_batch(changes, self._batch + 1)
        self.stats.stages.encode.observe(time.monotonic() - began_s)
        self._batch = batch.number
        self._in_flight = InFlight(batch.number, jobs, changes.announcements, batch.audit_seq, batch.audit_hash)
        self._committing = asyncio.ensure_future(self._commit(batch))
        self._committing.add_done_callback(lambda _: self._wake.set())

    async def _commit(self, batch: Batch) -> None:
        if self._traces is None:
            await self._send(batch)
            return
        assert self._in_flight is not None
        commands = [job.span for job in self._in_flight.jobs if job.span is not None]
        with self._traces.batch(batch.number, commands):
            await self._send(batch)

    async def _send(self, batch: Batch) -> None:
        """Have a batch committed, then answer it."""
        began_s = time.monotonic()
        if self._traces is None:
            await self._storage.commit(batch)
        else:
            with self._traces.work("commit", statements=batch.statements):
                await self._storage.commit(batch)
        self._storage.signed_s = now_s = time.monotonic()
        self.stats.stages.commit.observe(now_s - began_s)
        flight, self._in_flight = self._in_flight, None
        assert flight is not None
        self._conclude(flight)

    def _conclude(self, flight: InFlight) -> None:
        """Answer and announce what is durable."""
        began_s = time.monotonic()
        answer(flight.jobs, self.stats)
        self._tell(flight.announcements)
        if self._follower is not None and flight.audit_seq:
            self._follower.told = flight.audit_seq
        self.stats.stages.publish.observe(time.monotonic() - began_s)

    @property
    def commits(self) -> CommitFigures:
        """Return what became of the batches sent to storage."""
        return self._storage.commits

    def _tell(self, announcements: Sequence[Announcement]) -> None:
        for listener in self._listeners:
            listener(announcements)

    async def _settle_commit(self) -> None:
        committing, self._committing = self._committing, None
        assert committing is not None
        await committing

    async def _settled(self) -> None:
        """Let a commit on its way come to its end, whatever it is."""
        committing = self._committing
        if committing is not None:
            await asyncio.wait([committing])
            self._committing = None  # not before: a loop that dies in between must wait for it, too
            if not committing.cancelled():
                committing.exception()

    # -- standing by, stopping ----------------------------------------------------------------------------------

    async def _stand_by(self) -> None:
        self.state = EngineState.STANDBY
        await self._settled()
        self._fail_all(Unavailable("another process took the engine over", code="engine.standby"))
        self.memory = self._memories.empty()
        if self._follower is not None:
            self._follower.follow(self._tell)
        self._started.set()

    async def _look_on(self) -> None:
        """While standing by, know which halts and limits hold, for whoever asks here. Then wait a little."""
        memory = await self._memories.changed_controls()
        if memory is not None:
            self.memory = memory
        await asyncio.sleep(self._settings.lease_s / LOOKS_PER_LEASE)

    async def _finish(self) -> None:
        await self._settled()
        if self.state is EngineState.ACTIVE:
            await self._storage.release()

    def _fail_all(self, error: QSuiteError) -> None:
        jobs = self._jobs()
        self._in_flight, self._open = None, []
        self._queue.clear()
        for job in jobs:
            job.give_up(error, self.stats)

    def _jobs(self) -> list[Job]:
        """Return every job not concluded, the oldest first."""
        return [*(self._in_flight.jobs if self._in_flight else ()), *self._open, *self._queue]

    # -- small things -------------------------------------------------------------------------------------------

    def _job(self, command: Command, future: asyncio.Future[Outcome] | None) -> Job:
        now_s = time.monotonic()
        job = Job(command, future, now_s, now_s + self._settings.commit_timeout_s)
        if self._traces is not None and future is not None:
            job.span = self._traces.command(command, future)
        return job

    def _put(self, command: Command) -> None:
        """Queue a command of our own, that nobody waits for."""
        self._queue.append(self._job(command, None))
        self._wake.set()

    def _put_ticks(self, ticks: Sequence[Tick], before: Callable[[str], Snapshot] | None) -> None:
        """Queue ticks, with those that wait at the end of the queue already if there are such."""
        known = {} if before is None else {symbol: before(symbol) for symbol in {tick.symbol for tick in ticks}}
        held = self.memory.venues.held
        for symbol, snapshot in known.items():
            held.setdefault(symbol, snapshot)
        last = self._queue[-1].command if self._queue else None
        if isinstance(last, MarketMoved) and bool(last.before) == bool(known) and len(last.ticks) < TICKS_TOGETHER:
            self._queue[-1].command = MarketMoved(ticks=(*last.ticks, *ticks), before={**known, **last.before})
        else:
            self._put(MarketMoved(ticks=tuple(ticks), before=known))

    def _now(self) -> int:
        """Return the time of decisions: whole milliseconds, never running backwards."""
        self._last_now = max(self._last_now, floor_ms(self._clock()))
        return self._last_now
