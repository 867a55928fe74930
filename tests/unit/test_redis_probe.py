"""Redis is asked with bounded patience, whatever it does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from ops.stack.process import free_port
from qsuite.services.health import State
from qsuite.services.redis_probe import RedisProbe
from tests.support.waiting import eventually


class FakeRedis:
    """As much of a server as a client's greeting and PING need; ``frozen`` takes everything and says nothing."""

    frozen = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():  # *N, then for each argument $length and the argument
                words = []
                for _ in range(int(line[1:])):
                    await reader.readline()
                    words.append((await reader.readline()).strip())
                if not self.frozen:
                    answers = {b"PING": b"+PONG\r\n", b"HELLO": b"%1\r\n+proto\r\n:3\r\n"}
                    writer.write(answers.get(words[0].upper(), b"+OK\r\n"))
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", port)
        try:
            yield
        finally:
            server.close()


async def test_redis_is_up_while_it_answers_and_down_while_it_is_away_or_frozen() -> None:
    port, redis = free_port(), FakeRedis()
    probe = RedisProbe(f"redis://127.0.0.1:{port}/0", timeout_s=0.2)
    assert probe.state is State.STARTING

    async def state() -> State:
        await asyncio.wait_for(probe.run_once(0), timeout=5)
        return probe.state

    with structlog.testing.capture_logs() as lines:
        assert await state() is State.DOWN
        async with redis.listening(port):
            await eventually(lambda: _is(state, State.UP))
            redis.frozen = True
            assert await state() is State.DOWN
            redis.frozen = False
            await eventually(lambda: _is(state, State.UP))
            await probe.stop()
    assert [line["state"] for line in lines] == ["down", "up", "down", "up"]


async def _is(state, wanted: State) -> bool:
    return await state() is wanted
