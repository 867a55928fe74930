"""``qsuite import`` that kills itself at a step, and a sealing that does.

    python -m tests.crash.import_victim import POINT HITS ROWS FILE     the command; a batch holds ROWS ticks
    python -m tests.crash.import_victim seal POINT HITS ROWS SYMBOL     a block takes ROWS ticks out of the series

Points: ``find``, ``block`` and ``save`` of an import; ``announce``, ``read``, ``block`` and ``move`` of sealing; each
``:before`` or ``:after``. ``never`` kills nothing.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from qsuite.cli import main
from qsuite.repos.imports import ImportsRepo
from qsuite.repos.tick_blocks import TickBlocks
from qsuite.repos.tick_column_additions import TickColumnAdditions
from qsuite.repos.tick_sealing import TickSealing
from qsuite.repos.tick_seals import TickSeals
from qsuite.services import importer
from tests.crash.trap import Trap, begin

STEPS = (
    (TickColumnAdditions, "_fresh", "find"),
    (TickBlocks, "insert_columns", "block"),
    (ImportsRepo, "save", "save"),
    (TickSeals, "announce", "announce"),
    (TickSealing, "_first_of", "read"),
    (TickSeals, "move", "move"),
)
FOR_EVER_NS = 2**62


def set_trap(trap: Trap) -> None:
    """Let each step pass the trap."""
    for owner, method, point in STEPS:
        setattr(owner, method, _trapped(trap, getattr(owner, method), point))


def _trapped(trap: Trap, real: Any, point: str) -> Callable[..., Any]:
    def passed(*args: Any, **kwargs: Any) -> Any:
        trap.hit(f"{point}:before")
        result = real(*args, **kwargs)
        trap.hit(f"{point}:after")
        return result

    async def passed_later(*args: Any, **kwargs: Any) -> Any:
        trap.hit(f"{point}:before")
        result = await real(*args, **kwargs)
        trap.hit(f"{point}:after")
        return result

    return passed_later if asyncio.iscoroutinefunction(real) else passed


def import_file(rows: int, path: str) -> None:
    """Run the command in small batches, and keep how far it is after each."""
    importer.Importer.__init__.__kwdefaults__["column_rows"] = rows
    importer.SAVE_EVERY_NS = 0
    sys.argv = ["qsuite", "import", path]
    main()


def seal(rows: int, symbol: str) -> None:
    """Seal all there is."""
    _, database = begin()
    sealing = TickSealing(database, "ticks", block_ticks=rows)
    try:
        while sealing.seal(symbol, FOR_EVER_NS):
            pass
    finally:
        database.close()


if __name__ == "__main__":
    work, trap_point, hits, size, what = sys.argv[1:]
    set_trap(Trap(trap_point, int(hits)))
    {"import": import_file, "seal": seal}[work](int(size), what)
