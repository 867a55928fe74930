"""Jobs on a grid of machines, by Dask (``workers.executor`` dask).

    submit ──> client ──> scheduler ──> a thread of some worker ──> result
                 │ connection lost, no workers left
                 └──> GridLost for all that was under way; a new connection is tried every few seconds

Every worker needs QSuite installed and a way to the database: the address goes with the job, unless it holds a
password; then the worker's own ``QSUITE_MONGODB_URI`` is taken.

What cannot be done here: to end a function that neither awaits nor says how far it is. It runs to its end in its
thread, and what it returns is nobody's business any more. Invariant: no future waits for a grid that is not there.
"""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import structlog

from qsuite.domain.errors import SetupError
from qsuite.services.executors import GridLost

log = structlog.get_logger(__name__)
T = TypeVar("T")
Client = Any
"""``distributed.Client``, whose methods have no types."""

CONNECT_S = 3.0
ANSWER_S = 2.0
"""A scheduler that does not answer a simple question within this is away, frozen or not."""


class GridExecutor(Executor):
    """Run functions on the grid of a scheduler, such as ``tcp://grid:8786``. The first ``look`` connects."""

    def __init__(self, scheduler: str) -> None:
        if not scheduler:
            raise SetupError("workers.executor is dask: set workers.dask_scheduler to its address, tcp://HOST:8786")
        if find_spec("distributed") is None:
            raise SetupError("workers.executor is dask, which is not installed: pip install qsuite[dask]")
        self._scheduler = scheduler
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._calls: dict[Future[Any], Future[Any]] = {}
        self._stopped = False
        self.capacity = 0
        """Threads of all workers, as they were counted last."""

    @property
    def ready(self) -> bool:
        """Say whether the scheduler answers and has workers."""
        client = self._client
        return client is not None and client.status == "running" and self.capacity > 0

    def look(self) -> None:
        """Connect, or count the workers of a scheduler that is connected."""
        if self._client is None and not self._stopped:
            self._connect()
        client = self._client
        if client is None:
            return
        try:
            cores: dict[str, int] = client.sync(client.scheduler.ncores, callback_timeout=ANSWER_S)
        except Exception as error:  # noqa: BLE001  closed, connecting, frozen, gone: there is no telling them apart
            self._part(f"{type(error).__name__}: {error}")
            return
        self._count(sum(cores.values()))

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Run a function on the grid. GridLost, here or from the future, where there is none."""
        client = self._client
        if client is None or client.status != "running":
            raise GridLost("no scheduler is connected")
        outer: Future[T] = Future()
        outer.set_running_or_notify_cancel()
        # Not pure: Dask remembers results of what is, and retries are the runner's to count.
        inner = client.get_executor(pure=False, retries=0).submit(function, *args, **kwargs)
        with self._lock:
            self._calls[outer] = inner
        inner.add_done_callback(partial(self._pass_on, outer))
        return outer

    def end(self, future: "Future[Any]") -> None:
        """Take a function back where it has not begun; one that runs is let go of."""
        self._let_go(future, GridLost("it was taken back"))

    def shutdown(self, wait: bool = True, **_: Any) -> None:
        """Disconnect; what still runs on the grid is let go of."""
        self._stopped = True
        self._part("the server stops", wait=wait)

    # -- in threads of the client's -----------------------------------------------------------------------------

    def _pass_on(self, outer: "Future[T]", inner: "Future[T]") -> None:
        with self._lock:
            self._calls.pop(outer, None)
        with suppress(InvalidStateError):  # it was let go of meanwhile
            try:
                outer.set_result(inner.result())
            except CancelledError:
                outer.set_exception(GridLost("the scheduler is gone, or dropped it"))
            except Exception as error:  # noqa: BLE001  whatever it is belongs to the caller
                outer.set_exception(error)

    # -- the connection -----------------------------------------------------------------------------------------

    def _connect(self) -> None:
        # Imported only here, in a thread: it takes a second, and only those who have a grid need it.
        make: Any = import_module("distributed").Client
        try:
            _require_certificate(self._scheduler)
            self._client = make(self._scheduler, timeout=CONNECT_S, set_as_default=False, name="qsuite")
        except (OSError, ValueError) as error:
            log.warning("grid.away", scheduler=self._scheduler, error=str(error))
        else:
            log.info("grid.connected", scheduler=self._scheduler)

    def _part(self, why: str, *, wait: bool = False) -> None:
        """Leave a scheduler that is of no use."""
        client, self._client, self.capacity = self._client, None, 0
        if client is None:
            return
        log.log(20 if self._stopped else 30, "grid.left", scheduler=self._scheduler, reason=why)
        # A client takes its time to close, the longer the less its scheduler answers: nobody waits for that.
        closing = threading.Thread(target=_close, args=(client,), name="qsuite-grid-close", daemon=True)
        closing.start()
        self._lose_all(why)
        if wait:
            closing.join(CONNECT_S)

    def _count(self, capacity: int) -> None:
        if capacity != self.capacity:
            log.info("grid.workers", scheduler=self._scheduler, threads=capacity)
        if self.capacity and not capacity:
            self._lose_all("no worker is left")
        self.capacity = capacity

    def _lose_all(self, why: str) -> None:
        for outer in list(self._calls):
            self._let_go(outer, GridLost(why))

    def _let_go(self, outer: "Future[Any]", error: GridLost) -> None:
        with self._lock:
            inner = self._calls.pop(outer, None)
        with suppress(InvalidStateError):
            outer.set_exception(error)
        if inner is not None:
            threading.Thread(target=inner.cancel, name="qsuite-grid-cancel", daemon=True).start()


def _require_certificate(scheduler: str) -> None:
    """Raise ValueError for ``tls://`` without a certificate to show: a client would be made that never ends."""
    told: Any = import_module("dask.config").get
    names = ("ca-file", "client.cert")
    if scheduler.startswith("tls://") and not all(told(f"distributed.comm.tls.{name}", None) for name in names):
        raise ValueError(
            "a tls:// scheduler wants DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__CLIENT__CERT and …__CLIENT__KEY"
        )


def _close(client: Client) -> None:
    with suppress(Exception):  # it is left in any case
        client.close(timeout=CONNECT_S)
