"""Too much of everything: bodies, numbers, lists, depth, addresses, headers, compressed and columnar bombs.

What is too much is refused; what is large but allowed is read in a thread; and the loop serves others all the while.
"""

import asyncio

import pytest

from qsuite.domain.roles import Role
from qsuite.settings import Settings
from tests.adversarial.bombs import Bomb, bombs
from tests.adversarial.pipe import Pipe, side_by_side
from tests.adversarial.raw import Back, exchange
from tests.adversarial.tally import SCALE, Tally, watched
from tests.adversarial.targets import Target, targets
from tests.adversarial.world import World

pytestmark = pytest.mark.timeout(600 * SCALE)

PART = 7
"""At TEST_SCALE 1 a fixed part of the bombs of every kind is thrown."""


def chosen() -> list[Bomb]:
    return [bomb for place, bomb in enumerate(bombs()) if SCALE > 1 or place % PART == 0 or bomb.always]


MANY = 60_000_000
"""Bytes that a bulk route takes, of those who may send them."""


async def test_a_long_body_is_read_only_of_who_may_send_it(
    world: World, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but the head is sent, or a part of the body: whoever is refused is refused without the rest."""
    bulk = [target for target in targets() if target.declared is not None and target.declared.bulk]
    part = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"

    async def attack(target: Target, role: Role | None) -> None:
        login = b"" if role is None else world.lines[role]
        head = f"{target.method} {target.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n".encode() + login
        for length in (MANY, settings.http.max_bulk_bytes + 1):
            back = await exchange(world.api.port, head + b"Content-Length: %d\r\n\r\n" % length)
            _judge(tally, target, role, back, taken=length == MANY)
        chunked = await exchange(world.api.port, head + b"Transfer-Encoding: chunked\r\n\r\n", *[part] * 6)
        _judge(tally, target, role, chunked, taken=True)

    with watched("long bodies", capsys) as tally:
        await asyncio.gather(*[attack(target, role) for target in bulk for role in (None, *Role)])
    assert tally.sent.total() >= 10 * len(bulk) >= 20


def _judge(tally: Tally, target: Target, role: Role | None, back: Back, *, taken: bool) -> None:
    for status in back.statuses:
        tally.count(status, f"{target} by {role}")
    expected = [401] if role is None else [403] if role not in target.roles else [] if taken else [413]
    if back.statuses != expected:
        tally.deny(f"{target} by {role}: {back.statuses}, not {expected}")


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
