"""Too much of everything: bodies, numbers, lists, depth, addresses, headers, compressed and columnar bombs.

What is too much is refused; what is large but allowed is read in a thread; and the loop serves others all the while.
"""

import asyncio

import pytest
from tornado.ioloop import IOLoop

from tests.adversarial.bombs import Bomb, bombs
from tests.adversarial.pipe import Pipe, side_by_side
from tests.adversarial.tally import SCALE, watched
from tests.adversarial.world import World, make_world
from tests.support.running_app import Api

PART = 7
"""At TEST_SCALE 1 a fixed part of the bombs of every kind is thrown."""


@pytest.fixture(scope="module")
def world(api: Api, io_loop: IOLoop) -> World:
    return io_loop.run_sync(lambda: make_world(api))  # type: ignore[no-any-return]


def chosen() -> list[Bomb]:
    return [bomb for place, bomb in enumerate(bombs()) if SCALE > 1 or place % PART == 0]


async def test_no_bomb_of_a_body_goes_off_and_others_are_served_meanwhile(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    thrown = chosen()
    served = 0

    async def throw(pipe: Pipe, bomb: Bomb) -> None:
        body = await asyncio.to_thread(bomb.make)
        reply = await world.ask(pipe, bomb.target, world.path(bomb.target), bomb.headers, body)
        what = f"{bomb.why} to {bomb.target}: {reply}"
        tally.count(reply.status, what)
        if bomb.encoding and reply.status < 400:
            tally.deny(what)

    async def go_on_asking() -> None:
        nonlocal served
        pipe = Pipe(world.api.port)
        try:
            while True:
                assert (await pipe.ask("GET", "/health/live/")).status == 200
                served += 1
                await asyncio.sleep(0.01)
        finally:
            pipe.close()

    with watched(f"{len(thrown)} bombs", capsys) as tally:
        others = asyncio.create_task(go_on_asking())
        await side_by_side(world.api.port, thrown, throw)
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
    assert tally.sent.total() == len(thrown) > 300
    assert served > 10
