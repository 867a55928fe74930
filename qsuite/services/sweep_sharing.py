"""A sweep shared by several workers: its sets are cut into parts, and whoever is free takes the next one.

    sweep (job) ── lays out parts ──┬── takes, computes, stores ──> all done ──> rows, in the sets' order
    sweep_part (jobs) ──────────────┘

The sweep's own worker takes parts like the others, and what a worker that died had taken, so it ends with any number of
helpers, none included, and never waits for one to begin. Invariant: the rows are those of one worker alone, whoever
computed which.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any
from uuid import UUID

import numpy as np

from qsuite.domain.backtests.sweep import BLOCK, SweepRun, Swept, Told, sweep
from qsuite.repos.sweep_parts import Part, SweepPartsRepo

PARTS_A_WORKER = 4
"""So many, that the last ones to end do not leave the others idle for long."""
RENEW_S = 5.0
PAUSE_S = 0.1

Sets = Sequence[Mapping[str, Any]]
_NAMES = tuple(item.name for item in fields(Swept))


async def lay_out(parts: SweepPartsRepo, identity: UUID, count: int, workers: int) -> None:
    """Cut so many sets into parts for so many workers. What a first attempt at the sweep has done stays done."""
    await parts.lay(identity, count, max(1, min(BLOCK, -(-count // (workers * PARTS_A_WORKER)))))


async def finish(parts: SweepPartsRepo, identity: UUID, run: SweepRun, sets: Sets, told: Told) -> list[Swept]:
    """Compute what nobody else does, wait for the rest, and return all rows."""
    whole = max(1, await parts.left(identity))
    while left := await parts.left(identity):
        told(1.0 - left / whole)
        if not await take_one(parts, identity, run, sets, _of_all(told, left, whole)):
            await asyncio.sleep(PAUSE_S)
    return unpacked(await parts.rows(identity))


async def take_one(parts: SweepPartsRepo, identity: UUID, run: SweepRun, sets: Sets, told: Told) -> bool:
    """Take a part, compute and store it; say whether there was one."""
    part = await parts.take(identity)
    if part is None:
        return False
    renewing = asyncio.create_task(_renew(parts, part))
    try:
        # In a thread, so that it can be renewed meanwhile.
        rows = await asyncio.to_thread(sweep, run, sets[part.first : part.first + part.size], told)
    finally:
        renewing.cancel()
    await parts.done(part, packed(rows))
    return True


async def _renew(parts: SweepPartsRepo, part: Part) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        await parts.renew(part)


def _of_all(told: Told, left: int, whole: int) -> Told:
    """Return what hears of one part while so many are left, and tells how much of all is done."""
    return lambda part: told(1.0 - (left - part) / whole)


def packed(rows: Sequence[Swept]) -> bytes:
    """Write rows as doubles; NaN is None."""
    table = [[np.nan if value is None else value for value in astuple(row)] for row in rows]
    return np.array(table, dtype="<f8").tobytes()


def unpacked(data: bytes) -> list[Swept]:
    """Read rows again."""
    found = []
    for row in np.frombuffer(data, dtype="<f8").reshape(-1, len(_NAMES)).tolist():
        values: dict[str, Any] = {
            name: None if value != value else value for name, value in zip(_NAMES, row, strict=True)
        }
        found.append(Swept(**values | {"total_trades": int(values["total_trades"])}))
    return found
