"""An event loop whose time is a number: nobody waits, and the same run happens again exactly.

Whenever nothing is left to do, the clock jumps to the next timer. What the code under test hands to a thread is run on
the loop instead, some virtual time later, and answered later still; each pool does one thing after the other, as the
engine's pools of one thread do.

Tasks and the work they hand out belong to the simulated process they were started in (``belongs_to``), so that a
process can die: its tasks stop where they stand, and what it had on its way is never heard of again.
"""

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Protocol


class Died(BaseException):
    """The process ends here, between two statements of what it was doing."""


class Host(Protocol):
    """What the loop must know of a simulated process."""

    alive: bool
    tasks: list[asyncio.Task[Any]]

    def delays(self) -> tuple[float, float]:
        """Draw how long a piece of work takes to begin, and then its answer to arrive, in virtual seconds."""

    def die(self) -> None:
        """End at once."""


PROCESS: ContextVar[Host | None] = ContextVar("process", default=None)


def belongs_to(process: Host) -> Context:
    """Return a context whose tasks are the process's."""
    context = copy_context()
    context.run(PROCESS.set, process)
    return context


class _Jump(selectors.SelectSelector):
    """Wait for no file: move the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits and no timer is set: the simulation is stuck")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Run tasks in virtual time, single-threaded. ``unexpected`` collects what went to the exception handler."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._busy_until: dict[Any, float] = {}
        self.unexpected: list[str] = []
        self.set_exception_handler(lambda _, context: self.unexpected.append(str(context)))

    def time(self) -> float:
        """Return virtual seconds since the start."""
        return self._jump.now

    def create_task(self, coro: Any, *, name: Any = None, context: Context | None = None) -> asyncio.Task[Any]:
        """Start a task, and remember whose it is."""
        task = super().create_task(coro, name=name, context=context)
        process = context[PROCESS] if context is not None and PROCESS in context else PROCESS.get()
        if process is not None:
            process.tasks.append(task)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run the work here, later; its answer comes later still."""
        answer: asyncio.Future[Any] = self.create_future()
        process = PROCESS.get()
        before, after = process.delays() if process is not None else (0.0, 0.0)
        begin = max(self.time(), self._busy_until.get(executor, 0.0)) + before
        self._busy_until[executor] = begin + after
        self.call_at(begin, self._work, process, answer, begin + after, func, args)
        return answer

    def _work(
        self, process: Host | None, answer: asyncio.Future[Any], when: float, func: Callable[..., Any], args: Any
    ) -> None:
        if process is not None and not process.alive:
            return
        try:
            result = func(*args)
        except Died:
            assert process is not None
            process.die()
            return
        except Exception as error:  # noqa: BLE001  handed over to whoever waits
            self.call_at(when, _settle, answer, None, error)
        else:
            self.call_at(when, _settle, answer, result, None)


def _settle(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
