"""What ends access: a refresh token used twice, logout, disabling, another role; here and at another process."""

import asyncio
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qsuite.app import build
from qsuite.composition.parts import Parts
from qsuite.settings import Settings
from tests.support.client import ApiClient
from tests.support.running_app import PASSWORD, SECRET, Api
from tests.support.waiting import eventually
from tests.support.ws import Closed, WsClient

SCALE = int(os.environ.get("TEST_SCALE", "1"))
AT_ONCE = 100
EACH = 2 * SCALE


async def log_in(api: Api, role: str = "trader") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a new user and their tokens."""
    name = f"ends-{uuid.uuid4().hex[:8]}"
    made = await api.admin.post("/api/v1/users/", {"username": name, "password": PASSWORD, "role": role})
    pair = await api.anonymous.post("/api/auth/login/", {"username": name, "password": PASSWORD})
    assert (made.status, pair.status) == (201, 200)
    return made.json, pair.json


async def test_of_a_hundred_uses_of_one_refresh_token_at_once_one_wins_and_the_family_ends(api: Api) -> None:
    for _ in range(SCALE):
        _, pair = await log_in(api)
        asked = {"refresh": pair["refresh"]}
        answers = await asyncio.gather(*(api.anonymous.post("/api/auth/refresh/", asked) for _ in range(AT_ONCE)))
        assert Counter(answer.status for answer in answers) == {200: 1, 401: AT_ONCE - 1}
        [won] = [answer.json for answer in answers if answer.status == 200]
        again = await api.anonymous.post("/api/auth/refresh/", {"refresh": won["refresh"]})
        assert again.status == 401, "the winner's may be the thief's"
        for access in (won["access"], pair["access"]):
            assert (await api.anonymous.as_(access).get("/api/auth/me/")).status == 401


@asynccontextmanager
async def another_process(api: Api, settings: Settings, data_dir: Path) -> AsyncIterator[int]:
    given = replace(settings, role="gateway", secret_key=SECRET, data_dir=data_dir)
    app = await build(given, api.database, Parts(watched=False))
    await app.start()
    try:
        yield app.listen(0)
    finally:
        await app.stop()


async def until_refused(port: int, token: str) -> float:
    """Return when a token was first refused."""
    client = ApiClient(f"http://127.0.0.1:{port}", token)

    async def refused() -> bool:
        return (await client.get("/api/auth/me/")).status == 401

    await eventually(refused)
    client.close()
    return time.monotonic()


async def until_closed(socket: WsClient) -> float:
    async with socket:
        with pytest.raises(Closed) as ended:
            await socket.receive_type("never")
        assert ended.value.code == 1008
        return time.monotonic()


async def until_another_role(port: int, token: str) -> float:
    client = ApiClient(f"http://127.0.0.1:{port}", token)

    async def changed() -> bool:
        return bool((await client.get("/api/auth/me/")).json["role"] == "viewer")

    await eventually(changed)
    client.close()
    return time.monotonic()


async def opened(port: int, token: str) -> WsClient:
    socket = await WsClient.open(port, token=token)
    assert (await socket.receive_some(2))[1]["type"] == "authenticated"
    return socket


async def logout(api: Api, user: dict[str, Any], token: str) -> None:
    assert (await api.anonymous.as_(token).post("/api/auth/logout/")).status == 204


async def disable(api: Api, user: dict[str, Any], token: str) -> None:
    assert (await api.admin.patch(f"/api/v1/users/{user['id']}/", {"is_active": False})).status == 200


async def demote(api: Api, user: dict[str, Any], token: str) -> None:
    assert (await api.admin.patch(f"/api/v1/users/{user['id']}/", {"role": "viewer"})).status == 200


async def test_what_ends_access_reaches_requests_and_sockets_of_every_process(
    api: Api, settings: Settings, tmp_path: Path
) -> None:
    async with another_process(api, settings, tmp_path) as port:
        for end, rest in ((logout, until_refused), (disable, until_refused), (demote, until_another_role)):
            took = [await measured(api, port, end, rest) for _ in range(EACH)]
            here, elsewhere = (round(max(seconds), 3) for seconds in zip(*took, strict=True))
            sys.stderr.write(f"{end.__name__}: n = {EACH}, at most {here} s here, {elsewhere} s elsewhere\n")


async def measured(
    api: Api, port: int, end: Callable[..., Awaitable[None]], rest: Callable[[int, str], Awaitable[float]]
) -> tuple[float, float]:
    """End somebody's access here; return after how many seconds it had ended here and at the other process."""
    user, pair = await log_in(api)
    token = pair["access"]
    sockets = [await opened(where, token) for where in (api.port, port)]
    waiting = [asyncio.create_task(until_closed(socket)) for socket in sockets]
    await end(api, user, token)
    ended = time.monotonic()
    here = [await rest(api.port, token), await waiting[0]]
    elsewhere = await asyncio.gather(rest(port, token), waiting[1])
    return max(here) - ended, max(elsewhere) - ended
