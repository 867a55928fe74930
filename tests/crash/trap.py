"""What the victims share: the trap that kills them, and a life between the settings and a stop."""

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

from qsuite.repos.database import Database, connect
from qsuite.services.logging import configure_logging
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:  # a victim that is no whole QSuite starts faster without
    from qsuite.app import App

PASSWORD = "a-long-passphrase-for-crashes"


class Trap:
    """Count how often a point is passed, and kill the process with SIGKILL at the last of so many hits."""

    def __init__(self, point: str, hits: int) -> None:
        self.point = point
        self.left = hits

    def hit(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def begin() -> tuple[Settings, Database]:
    """Read the settings from the environment alone, and connect to the database they name."""
    settings = load_settings(dotenv=None)
    assert settings.mongodb_uri is not None
    configure_logging(settings)
    return settings, connect(settings.mongodb_uri, settings.database)


async def serve(app: "App") -> None:
    """Print the port, serve until SIGTERM comes or the parent is gone, and stop."""
    print(app.listen(0), flush=True)  # noqa: T201  the test reads it
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    parent = os.getppid()
    while not stopping.is_set() and os.getppid() == parent:  # a test that was killed leaves no victim behind
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), 0.5)
    await app.stop()
