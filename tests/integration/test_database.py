"""What the connection itself is asked for."""

import time

from qsuite.domain.times import NS_PER_S
from qsuite.repos.database import Database


async def test_the_servers_time_is_read_in_utc(database: Database) -> None:
    assert abs(await database.time() - time.time_ns()) < 60 * NS_PER_S  # both clocks are this machine's
