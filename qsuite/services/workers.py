"""A pool of processes for work that would hold the event loop: analytics, never orders.

    run ──> shared pool ──────────────> result
                │ a worker died
                └──> once more, in a process of its own ──> result, or workers.died

Invariants: the event loop never waits for a worker; who dies takes down at most the calls that shared its pool, and
each of those is tried once more alone, so that work which kills its process harms nobody twice; no process outlives the
pool, nor the server however that ended.

Workers are spawned, not forked: a fork would copy the locks of threads that do not exist in the copy. Functions and
arguments must pickle. Nothing is started before the first call.
"""

import asyncio
import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, TypeVar, TypeVarTuple

import structlog

from qsuite.domain.errors import Unavailable
from qsuite.services.health import State
from qsuite.settings import WorkerSettings

log = structlog.get_logger(__name__)
T = TypeVar("T")
Ts = TypeVarTuple("Ts")

GRACE_S = 2.0
"""A call that does not end when its time is up has its process ended this much later."""
NICENESS = 5
"""Below orders, above jobs."""
STDERR = 2


class WorkerPool:
    """Run functions in other processes. A supervised loop, which looks whether a pool that was down works again."""

    name = "workers"
    interval_s = 5.0

    def __init__(self, settings: WorkerSettings) -> None:
        self._size = settings.processes or os.cpu_count() or 1
        self._timeout_s = settings.timeout_s
        self._shared: _Processes | None = None
        self._live: set[_Processes] = set()
        self._beginning = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._stopped = False
        self._down = False
        self.calls = 0
        self.deaths = 0
        self.running = 0

    @property
    def state(self) -> State:
        """Return down when not even an empty function came back, else up; a pool not yet started is up."""
        return State.DOWN if self._down else State.UP

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, timeout_s: float | None = None) -> T:
        """Return ``function(*args)``, or raise what it raises.

        Unavailable when it took longer than ``timeout_s`` (by default ``workers.timeout_s``), the wait for a free
        process included; or when it ended two processes.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        self.calls += 1
        self.running += 1
        try:
            async with asyncio.timeout(limit_s) as limit:
                result = await self._run(function, args, limit_s)
        except (TimeoutError, OutOfTime) as error:
            if isinstance(error, TimeoutError) and not limit.expired():
                raise  # the function's own
            raise Unavailable(f"the computation took longer than {limit_s:g} s", code="workers.timeout") from None
        finally:
            self.running -= 1
        self._down = False
        return result

    async def run_once(self, now: int) -> None:
        """Try an empty function if the pool is down."""
        if self._down:
            await self._look()

    async def stop(self) -> None:
        """End all processes, whatever they are doing; calls still waiting are told."""
        self._stopped = True
        self._shared = None
        for processes in list(self._live):
            await self._end(processes)

    async def _run(self, function: Callable[..., T], args: tuple[Any, ...], limit_s: float) -> T:
        shared = await self._pool()
        try:
            return await shared.call(function, args, limit_s)
        except BrokenProcessPool:
            self._note_death(function)
        if self._shared is shared:
            self._shared = None
        await self._end(shared)
        async with self._alone:
            try:
                return await self._run_alone(function, args, limit_s)
            except BrokenProcessPool:
                self._note_death(function)
        await self._look()
        raise Unavailable("the computation ended its process twice", code="workers.died")

    async def _run_alone(self, function: Callable[..., T], args: tuple[Any, ...], limit_s: float) -> T:
        own = await self._begin(1)
        try:
            return await own.call(function, args, limit_s)
        finally:
            await self._end(own)

    async def _pool(self) -> "_Processes":
        async with self._beginning:
            if self._shared is None:
                self._shared = await self._begin(self._size)
            return self._shared

    async def _begin(self, size: int) -> "_Processes":
        self._refuse_when_stopped()
        processes = await asyncio.to_thread(_Processes, size)
        self._live.add(processes)
        try:
            self._refuse_when_stopped()
        except Unavailable:
            await self._end(processes)
            raise
        return processes

    async def _end(self, processes: "_Processes") -> None:
        if processes in self._live:
            self._live.discard(processes)
            await asyncio.shield(asyncio.to_thread(processes.end))

    async def _look(self) -> None:
        """Find out whether it is the work that fails or the pool."""
        try:
            await self._run_alone(os.getpid, (), GRACE_S + self._timeout_s)
        except BrokenProcessPool:
            self._down = True
            log.error("workers.down")
        else:
            self._down = False

    def _refuse_when_stopped(self) -> None:
        if self._stopped:
            raise Unavailable("the server is stopping", code="stopping")

    def _note_death(self, function: Callable[..., object]) -> None:
        self._refuse_when_stopped()
        self.deaths += 1
        log.warning("workers.died", function=getattr(function, "__qualname__", repr(function)))


class OutOfTime(Exception):
    """Raised inside a function whose time is up."""


class _Processes:
    """Up to ``size`` worker processes, begun as calls come. Made and ended in a thread: both take a moment."""

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("spawn")
        # Workers hold the reading end. Nothing is ever written: it ends with us, and so do they.
        self._reader, self._line = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(size, context, initializer=_begin_worker, initargs=(self._reader,))

    async def call(self, function: Callable[..., T], args: tuple[Any, ...], limit_s: float) -> T:
        """Return the function's result. BrokenProcessPool when a worker died, this one's or another."""
        future: Future[T] = await asyncio.to_thread(self._submit, function, args, limit_s)
        return await asyncio.wrap_future(future)

    def _submit(self, function: Callable[..., T], args: tuple[Any, ...], limit_s: float) -> "Future[T]":
        try:
            return self._executor.submit(_work, function, args, limit_s)
        except (OSError, RuntimeError) as error:  # no process could be started, or this pool was ended meanwhile
            raise BrokenProcessPool(str(error)) from error

    def end(self) -> None:
        """End the processes and wait until they are gone."""
        self._line.close()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._reader.close()


# -- in the worker ----------------------------------------------------------------------------------------------------


def _begin_worker(line: Connection) -> None:
    """Leave Ctrl-C to the server, and the processor when it wants it; and end when it ends."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, _out_of_time)
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()


def _end_with(line: Connection) -> None:
    wait([line])
    os._exit(0)


def _work(function: Callable[..., T], args: tuple[Any, ...], limit_s: float) -> T:
    """Call the function within its time: interrupted first, and if it does not mind, ended with its process."""
    faulthandler.dump_traceback_later(limit_s + GRACE_S, exit=True, file=STDERR)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        return function(*args)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise OutOfTime
