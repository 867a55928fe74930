"""Starts our own mongod again when it ends by itself: killed for memory, crashed, a disk that was full for a while.

Clients find it again by themselves, on the port it had. Must run on the main thread, which the kernel ties it to.
"""

from qsuite.domain.errors import Unavailable
from qsuite.services.embedded_mongod import EmbeddedMongod


class MongodKeeper:
    """A supervised loop."""

    name = "mongod"
    interval_s = 0.5

    def __init__(self, mongod: EmbeddedMongod) -> None:
        self._mongod = mongod

    async def run_once(self, now: int) -> None:
        """Look whether it runs. Unavailable when it did not, so that the next look waits longer each time."""
        code = self._mongod.exit_code()
        if code is not None:
            self._mongod.revive()
            raise Unavailable(f"mongod had ended with code {code} and was started again")
