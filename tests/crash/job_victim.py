"""A server of jobs alone, for a test to kill: a queue's runner and its worker processes. Says so when it runs.

python -m tests.crash.job_victim
"""

import asyncio
import os
import signal
from contextlib import suppress

from qsuite.services.executors.processes import ProcessExecutor
from tests.support.jobs import running_jobs


async def main() -> None:
    from tests.crash.trap import begin  # not at the top, which its workers import as well

    _, database = begin()
    stopping, parent = asyncio.Event(), os.getppid()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with running_jobs(database, ProcessExecutor(2)):
        print("running", flush=True)  # noqa: T201  the test reads it
        while not stopping.is_set() and os.getppid() == parent:  # a test that was killed leaves no victim behind
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 0.5)
    database.close()


if __name__ == "__main__":
    asyncio.run(main())
