"""Jobs in processes of this machine, each function alone in its own.

    submit ──> thread ──> process that is free, or a new one ──> result
                              │ killed, crashed
                              └──> WorkerDied, for this function only

Not the standard library's pool, for two reasons: there one death breaks every call of the pool, and a single call
cannot be ended. Invariants: a process runs one function at a time; no process outlives the executor, nor the server
however that ended.

Processes are spawned, as in ``services.workers``, and yield to everything else on the machine, so that orders keep
their latency while all processors compute.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pickle import PicklingError
from typing import Any, TypeVar

from qsuite.services.executors import WorkerDied

T = TypeVar("T")
AUTOGROUP = "/proc/self/autogroup"
IDLE_S = 60.0
"""A process with nothing to do holds what its last job loaded: it is ended after so long."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""There is a process for each processor already: threads of linear algebra would only fight."""


@dataclass(eq=False, slots=True)
class _Call:
    worker: "_Worker | None" = None
    ended: bool = False


class ProcessExecutor(Executor):
    """Run functions in up to ``size`` processes; none is started before it is needed.

    ``niceness`` is by how much they yield to everything else, up to 19.
    """

    def __init__(self, size: int, *, niceness: int = 0, idle_s: float = IDLE_S) -> None:
        self.capacity = size
        self._niceness = niceness
        self._idle_s = idle_s
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="qsuite-jobs")
        self._lock = threading.Lock()
        self._free: list[_Worker] = []
        self._calls: dict[Future[Any], _Call] = {}
        self._stopped = False

    @property
    def ready(self) -> bool:
        """Return True: a process can be started at any time, and where not, that is the job's failure."""
        return True

    def look(self) -> None:
        """End processes that had nothing to do for a while."""
        before = time.monotonic() - self._idle_s
        with self._lock:
            idle = [worker for worker in self._free if worker.free_s <= before]
            self._free = [worker for worker in self._free if worker.free_s > before]
        for worker in idle:
            worker.kill()
            worker.close()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run a function in a process. WorkerDied, from the future, when the process ended at it."""
        call = _Call()
        with self._lock:
            if self._stopped:
                raise RuntimeError("the executor was shut down")
            future = self._threads.submit(self._run, call, function, args, kwargs)
            self._calls[future] = call
        future.add_done_callback(self._forget)
        return future

    def end(self, future: "Future[Any]") -> None:
        """Kill the process that runs a function; one that waits does not begin."""
        future.cancel()
        with self._lock:
            call = self._calls.get(future)
            if call is not None:
                call.ended = True
                if call.worker is not None:
                    call.worker.kill()

    def shutdown(self, wait: bool = True, **_: Any) -> None:
        """Kill every process, whatever it does; what waits for one is cancelled."""
        with self._lock:
            self._stopped = True
            workers = [*self._free, *(call.worker for call in self._calls.values() if call.worker is not None)]
            for call in self._calls.values():
                call.ended = True
            for worker in workers:
                worker.kill()
        self._threads.shutdown(wait=wait, cancel_futures=True)
        for worker in workers:
            worker.close()

    def _forget(self, future: "Future[Any]") -> None:
        with self._lock:
            self._calls.pop(future, None)

    # -- in a thread --------------------------------------------------------------------------------------------

    def _run(self, call: _Call, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        try:
            worker = self._begin(call)
        except OSError as error:  # no memory for one more, or no file descriptors
            raise WorkerDied(f"no process could be started: {error}") from error
        try:
            result: T = worker.call(function, args, kwargs)
        finally:
            self._give_back(call, worker)
        return result

    def _begin(self, call: _Call) -> "_Worker":
        """Let a call have a process. WorkerDied when it was ended before."""
        worker = self._free_one() or _Worker(self._niceness)
        with self._lock:
            call.worker = worker
            if call.ended:
                worker.kill()
        return worker

    def _free_one(self) -> "_Worker | None":
        with self._lock:
            while self._free:
                worker = self._free.pop()
                if worker.alive:
                    return worker
                worker.close()
        return None

    def _give_back(self, call: _Call, worker: "_Worker") -> None:
        with self._lock:
            call.worker = None
            if worker.alive and not call.ended and not self._stopped:
                worker.free_s = time.monotonic()
                self._free.append(worker)
                return
        worker.kill()
        worker.close()


class _Worker:
    """One process and the line to it."""

    def __init__(self, niceness: int) -> None:
        self.free_s = 0.0
        """Since when it has had nothing to do, by the monotonic clock."""
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        # Nothing is ever written here: it ends with us, and so does the process, whatever it computes.
        their_life, self._life = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_serve, args=(theirs, their_life, niceness), name="qsuite-job", daemon=True
        )
        try:
            self._process.start()
        finally:
            theirs.close()
            their_life.close()

    @property
    def alive(self) -> bool:
        """Say whether the process runs."""
        return self._process.is_alive()

    def call(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        """Return the function's result or raise its error. WorkerDied when the process ended before either."""
        try:
            self._line.send((function, args, kwargs))
            good, answer = self._line.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise WorkerDied(f"the process ended with {self._process.exitcode}") from error
        if not good:
            raise answer
        result: T = answer
        return result

    def kill(self) -> None:
        """End the process at once; twice is harmless."""
        self._process.kill()

    def close(self) -> None:
        """Let go of a process that was killed or died."""
        self._line.close()
        self._life.close()
        self._process.join()


# -- in the process ---------------------------------------------------------------------------------------------------


def _serve(line: Connection, life: Connection, niceness: int) -> None:
    """Run one function after the other until the other side is gone."""
    # The server decides when its workers end, also where a signal goes to all processes of a terminal or service.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if niceness:
        _yield_to_others(niceness)
    for name in ONE_THREAD:
        os.environ.setdefault(name, "1")
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    while True:
        try:
            call = line.recv()
        except (EOFError, OSError):
            return
        _answer(line, *call)


def _yield_to_others(niceness: int) -> None:
    """Lower the priority of this process, also against processes of other sessions.

    Where Linux groups processes by session (sched(7), autogroups), niceness counts within a session only: the database
    server, in a session of its own, would share a processor evenly with a job.
    """
    os.nice(niceness)
    os.setsid()
    with suppress(OSError), open(AUTOGROUP, "w") as file:  # other systems, and kernels without it, have no such groups
        file.write(str(niceness))


def _end_with(life: Connection) -> None:
    wait([life])
    os._exit(0)


def _answer(line: Connection, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        line.send((True, function(*args, **kwargs)))
    except Exception as error:  # noqa: BLE001  whatever it is belongs to the caller
        try:
            line.send((False, error))
        except (AttributeError, TypeError, PicklingError):  # what does not pickle is told in words
            line.send((False, RuntimeError(f"{type(error).__name__}: {error}")))
