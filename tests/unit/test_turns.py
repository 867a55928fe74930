"""Work on many things lets others have the event loop in between."""

import asyncio

from qsuite.services.turns import in_turns


async def test_everything_is_worked_on_in_order_while_others_have_their_turns() -> None:
    turns: list[int] = []
    done: list[int] = []

    async def others() -> None:
        while True:
            turns.append(len(done))
            await asyncio.sleep(0)

    def work(number: int) -> int:
        done.append(number)
        return -number

    other = asyncio.create_task(others())
    assert await in_turns(work, range(200)) == [-number for number in range(200)]
    other.cancel()
    assert done == list(range(200))
    assert {64, 128, 192} <= set(turns)


async def test_nothing_takes_no_turn() -> None:
    assert await in_turns(str, []) == []
