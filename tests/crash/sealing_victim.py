"""Ticks being stored and sealed at the same time, by a process that kills itself at a step of either.

    python -m tests.crash.sealing_victim URI DATABASE POINT HITS FROM

Stores the ticks of ``given()`` from number FROM on, prints how many are acknowledged, and seals close behind what it
stores, so that the two meet. Points: ``announce``, ``read``, ``block`` and ``move`` of sealing, ``remove`` of
merging, ``insert`` and ``late`` of writing, each ``:before`` or ``:after``; ``never`` kills nothing.
"""

import asyncio
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from qsuite.domain.market import Quote, Tick, Trade
from qsuite.repos import tick_blocks, tick_seals, ticks
from qsuite.repos.database import Database, connect
from qsuite.repos.schema import migrate
from qsuite.repos.tick_additions import TickAdditions
from qsuite.repos.tick_blocks import TickBlocks
from qsuite.repos.tick_merging import TickMerging
from qsuite.repos.tick_sealing import TickSealing
from qsuite.repos.tick_seals import TickSeals
from qsuite.repos.ticks import TicksRepo
from tests.crash.trap import Trap

SYMBOL = "CRASH"
T0 = 1_381_152_600_000_000_000
COUNT = 1_500
BATCH = 30
BLOCK = 70
SPECS = (ticks.SPEC, tick_blocks.SPEC, tick_seals.SPEC)


def given() -> list[Tick]:
    """Return ticks in the order they come: two of each instant, every seventh far too late."""
    found: list[Tick] = []
    for number in range(COUNT):
        late = 200 if number % 7 == 0 else 0
        ts_ns = T0 + 250_000 * (number // 2 - late)
        price = Decimal(18_000 + number % 90).scaleb(-2)
        found.append(
            Trade(SYMBOL, ts_ns, price, Decimal("1.50"), number)
            if number % 3
            else Quote(SYMBOL, ts_ns, price, None, Decimal(number), seq=number)
        )
    return found


def set_trap(trap: Trap) -> None:
    """Let each step pass the trap."""
    for owner, method, point in (
        (TickSeals, "announce", "announce"),
        (TickSealing, "_first_of", "read"),
        (TickBlocks, "insert_columns", "block"),
        (TickSeals, "move", "move"),
        (TickBlocks, "remove", "remove"),
        (TickAdditions, "_insert", "insert"),
    ):
        _around(trap, owner, method, point)
    _around(trap, TickSeals, "put_late", "late", lambda arguments: bool(arguments[1]))


def _around(
    trap: Trap, owner: Any, method: str, point: str, counts: Callable[[Any], bool] = lambda arguments: True
) -> None:
    real = getattr(owner, method)

    def trapped(*args: Any, **kwargs: Any) -> Any:
        if not counts(args):
            return real(*args, **kwargs)
        trap.hit(f"{point}:before")
        result = real(*args, **kwargs)
        trap.hit(f"{point}:after")
        return result

    setattr(owner, method, trapped)


async def live(database: Database, start: int) -> None:
    """Store from one number on; say after each batch how many are acknowledged."""
    await migrate(database, SPECS)
    repo, arriving = TicksRepo(database), given()
    sealing = asyncio.create_task(seal(database, arriving))
    for number in range(start, COUNT, BATCH):
        batch = arriving[number : number + BATCH]
        # What the life before this one was storing when it ended may be there.
        await (repo.add_new(batch) if number == start else repo.add(batch))
        print(number + len(batch), flush=True)  # noqa: T201  the test reads it
        if sealing.done():
            sealing.result()
    sealing.cancel()
    await asyncio.gather(sealing, return_exceptions=True)


async def seal(database: Database, arriving: list[Tick]) -> None:
    """Seal up to the newest that is stored, again and again."""
    sealer = TickSealing(database, "ticks", block_ticks=BLOCK)
    last = arriving[-1].ts_ns + 1
    while True:
        newest = await TicksRepo(database).newest([SYMBOL])
        end_ns = max((tick.ts_ns for snapshot in newest.values() for tick in snapshot if tick), default=T0)
        await database.in_thread(sealer.seal, SYMBOL, min(end_ns, last))
        await database.in_thread(TickMerging(database).merge, SYMBOL)


async def main(uri: str, name: str, point: str, hits: str, start: str) -> None:
    set_trap(Trap(point, int(hits)))
    database = connect(uri, name)
    try:
        await live(database, int(start))
    finally:
        database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
