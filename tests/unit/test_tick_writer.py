"""Ticks on their way to storage: none lost, none twice, whatever storage does."""

import asyncio
from collections.abc import Sequence

import pytest

from qsuite.domain.errors import OutcomeUnknown, Unavailable
from qsuite.domain.market import Tick
from qsuite.repos.ticks import AddedTicks
from qsuite.services.tick_writer import TickWriter
from tests.support.market import trade
from tests.support.waiting import eventually, turns


class Storage:
    """Ticks in memory; ``failing`` says how many of a batch are stored before it fails, None that it does not."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.batches: list[int] = []
        self.failing: int | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def add(self, ticks: Sequence[Tick]) -> None:
        await self.gate.wait()
        self.batches.append(len(ticks))
        if self.failing is not None:
            self.ticks += ticks[: self.failing]
            raise Unavailable("away")
        self.ticks += ticks

    async def add_new(self, ticks: Sequence[Tick]) -> AddedTicks:
        fresh = [tick for tick in ticks if tick not in self.ticks]
        await self.add(fresh)
        return AddedTicks(len(fresh), len(ticks) - len(fresh))


def made(waiting_max: int = 1000) -> tuple[TickWriter, Storage]:
    storage = Storage()
    return TickWriter(storage, interval_s=0.2, waiting_max=waiting_max), storage  # type: ignore[arg-type]


TICKS = [trade(ts_ns) for ts_ns in range(10)]


async def test_everything_that_waits_is_written_in_one_batch() -> None:
    writer, storage = made()
    writer.put(TICKS[:4])
    writer.put(TICKS[4:])
    await writer.run_once(0)
    assert (storage.ticks, storage.batches, writer.waiting) == (TICKS, [10], 0)
    await writer.run_once(0)
    assert storage.batches == [10]


async def test_a_write_that_failed_halfway_is_finished_later_without_doubling() -> None:
    writer, storage = made()
    writer.put(TICKS[:6])
    storage.failing = 3
    with pytest.raises(Unavailable):
        await writer.run_once(0)
    writer.put(TICKS[6:])
    storage.failing = 0
    with pytest.raises(Unavailable):
        await writer.run_once(0)
    assert (writer.waiting, writer.failures) == (10, 2)
    storage.failing = None
    await writer.run_once(0)
    assert (storage.ticks, writer.waiting) == (TICKS, 0)


async def test_who_asks_whether_ticks_are_stored_hears_that_it_is_not_known() -> None:
    writer, storage = made()
    writer.put(TICKS)
    storage.failing = 0
    with pytest.raises(OutcomeUnknown):
        await writer.stored(5.0)
    storage.failing = None
    await writer.stored(5.0)
    assert storage.ticks == TICKS


async def test_a_caller_who_gives_up_waiting_does_not_cut_a_batch() -> None:
    writer, storage = made()
    storage.gate.clear()
    writer.put(TICKS)
    with pytest.raises(OutcomeUnknown):
        await writer.stored(0.01)
    storage.gate.set()
    await writer.stored(5.0)
    assert (storage.ticks, storage.batches) == (TICKS, [10])


async def test_many_who_wait_share_one_write() -> None:
    writer, storage = made()
    storage.gate.clear()
    writer.put(TICKS[:1])
    first = asyncio.create_task(writer.stored(5.0))
    await turns()
    waiting = [first]
    for tick in TICKS[1:]:
        writer.put([tick])
        waiting.append(asyncio.create_task(writer.stored(5.0)))
    storage.gate.set()
    await asyncio.gather(*waiting)
    assert storage.ticks == TICKS
    assert len(storage.batches) <= 3


async def test_feeds_wait_while_storage_is_far_behind() -> None:
    writer, _ = made(waiting_max=5)
    writer.put(TICKS[:5])
    waits = asyncio.create_task(writer.room())
    await turns()
    assert not waits.done()
    await writer.flush()
    await eventually(waits.done)
