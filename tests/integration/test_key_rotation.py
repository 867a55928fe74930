"""Keys change under load, on two whole QSuites with one MongoDB, and nobody's request fails."""

import asyncio
import itertools
import sys
import time
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from qsuite.composition.access import keyring_of
from qsuite.domain.errors import Conflict, Unauthenticated
from qsuite.domain.roles import Caller, Role
from qsuite.repos.database import Database
from qsuite.repos.idempotency_keys import IdempotencyKeysRepo
from qsuite.repos.signing_keys import SigningKeysRepo
from qsuite.services.idempotency import IdempotencyKeys
from qsuite.services.keyring import Keyring
from qsuite.services.tokens import TokenSigner
from qsuite.settings import AuthSettings, Settings
from tests.integration.test_neighbours import Two, two
from tests.support.client import ApiClient
from tests.support.running_app import PASSWORD, SECRET
from tests.support.waiting import eventually
from tests.support.ws import Closed, WsClient

CLIENTS = 20
AUTH = AuthSettings()
NEXT_SECRET = "another-secret-of-more-than-32-characters-9876543210"


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


class Trader:
    """A client that never rests: takes tokens at one process and uses them at the other, reads, and places orders."""

    def __init__(self, pair: Two, name: str) -> None:
        self.pair = pair
        self.name = name
        self.statuses: Counter[int] = Counter()
        self.kids: set[str] = set()
        self.refresh = ""
        self.http = [ApiClient(f"http://127.0.0.1:{port}") for port in pair.ports]

    def note(self, answer: Any) -> Any:
        self.statuses[answer.status] += 1
        assert answer.status < 300, answer
        return answer.json

    def took(self, pair: Any) -> str:
        self.refresh = pair["refresh"]
        self.kids.add(kid_of(pair["access"]))
        return str(pair["access"])

    async def work(self, done: asyncio.Event) -> None:
        login = {"username": self.name, "password": PASSWORD}
        token = self.took(self.note(await self.http[0].post("/api/auth/login/", login)))
        for turn in itertools.count():
            if done.is_set():
                break
            issuer, user = self.http[turn % 2], self.http[(turn + 1) % 2]
            token = self.took(self.note(await issuer.post("/api/auth/refresh/", {"refresh": self.refresh})))
            user.token = self.http[0].token = token
            self.note(await user.get("/api/v1/orders/?page_size=1"))
            order = {"symbol": "IBM", "side": "BUY", "order_type": "LIMIT", "quantity": "1", "price": "90.00"}
            self.note(await self.http[0].post("/api/v1/orders/", order))
            self.http[0].token = self.http[1].token = None
        for client in self.http:
            client.close()


async def test_keys_rotate_under_load_and_no_request_fails(
    settings: Settings, database: Database, tmp_path: Path, record_property: Any
) -> None:
    async with two(settings, database, tmp_path) as pair:
        await pair.tick(pair.active, "100.00")
        names = [f"trader-{number}" for number in range(CLIENTS)]
        for name in names:
            await pair.active.services.users.create(name, PASSWORD, Role.TRADER)
        traders, done = [Trader(pair, name) for name in names], asyncio.Event()
        working = [asyncio.create_task(trader.work(done)) for trader in traders]
        command = keyring_of(pair.active.services.settings, database, time.time_ns)  # as `qsuite keys rotate` has it
        await command.start()
        made = [command.current_id()]
        # Each has a token under the first key before there is another.
        await eventually(lambda: all(trader.kids for trader in traders) or _failed(working))
        for lead_s in (1.2, 0.4):  # the second before either has looked by itself
            made.append((await command.rotate(lead_s)).id)
            jwks = (await pair.there.get("/api/auth/jwks/")).json["keys"]
            assert len(jwks) == len(made) or made[-1] not in {one["kid"] for one in jwks}  # not yet read there
            await eventually(lambda: all(made[-1] in trader.kids for trader in traders) or _failed(working))
        done.set()
        await asyncio.gather(*working)
        statuses = sum((trader.statuses for trader in traders), Counter[int]())
        assert set(statuses) <= {200, 201}
        record_property("requests", statuses.total())
        sys.stderr.write(f"{len(made) - 1} rotations, {CLIENTS} clients, {statuses.total()} requests, 0 failed\n")
        assert all(set(made) <= trader.kids for trader in traders)
        for url in pair.ports:
            published = (await ApiClient(f"http://127.0.0.1:{url}").get("/api/auth/jwks/")).json["keys"]
            assert [one["kid"] for one in published] == made
        await revoke_the_one_that_signs(pair, command)


async def revoke_the_one_that_signs(pair: Two, command: Keyring) -> None:
    """End the tokens under it at both, sockets too, and log in under another at once."""
    login = {"username": "anna", "password": PASSWORD}
    old = (await pair.here.as_(None).post("/api/auth/login/", login)).json["access"]
    async with await WsClient.open(pair.ports[1], token=old) as reader:
        assert (await reader.receive_some(2))[1]["type"] == "authenticated"
        clients = [client.as_(old) for client in (pair.here, pair.there)]
        assert {(await client.get("/api/auth/me/")).status for client in clients} == {200}
        await command.revoke(kid_of(old))

        async def refused_at_both() -> bool:
            return {(await client.get("/api/auth/me/")).status for client in clients} == {401}

        await eventually(refused_at_both)
        with pytest.raises(Closed) as ended:
            await reader.receive_type("never")
        assert ended.value.code == 1008
    fresh = (await pair.here.as_(None).post("/api/auth/login/", login)).json["access"]
    assert kid_of(fresh) != kid_of(old)
    assert (await pair.there.as_(fresh).get("/api/auth/me/")).status == 200


def _failed(working: list["asyncio.Task[None]"]) -> bool:
    return any(task.done() for task in working)


async def test_the_secret_itself_is_changed_one_process_after_the_other(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    """Old tokens and keyed requests work throughout; without the old secret they end."""
    given = replace(settings, data_dir=tmp_path, secret_key=SECRET)
    old = keyring_of(given, database, time.time_ns)
    await old.start()
    token = TokenSigner(lambda: old.ring, settings.auth).issue(uuid.uuid4(), uuid.uuid4())
    key, caller, repo = f"k-{uuid.uuid4()}", Caller(uuid.uuid4(), "", Role.TRADER), IdempotencyKeysRepo(database)
    name = await IdempotencyKeys(repo=repo, keyring=old, clock=time.time_ns).claim(caller, key, "POST /x", b"body")
    assert isinstance(name, str)
    both = keyring_of(
        replace(given, secret_key=NEXT_SECRET, secret_keys_retired=(SECRET,)), database, time.time_ns
    )  # fmt: skip
    await both.start()
    after, signer = IdempotencyKeys(repo=repo, keyring=both, clock=time.time_ns), TokenSigner(lambda: both.ring, AUTH)
    assert both.current_id() == old.current_id() == kid_of(token), "another secret alone changes no key"
    rotated = await both.rotate(0)
    assert both.current_id() == rotated.id != kid_of(token)
    assert signer.read(token).session
    for body, code in ((b"body", "idempotency.unfinished"), (b"another", "idempotency.other_request")):
        with pytest.raises(Conflict) as told:
            await after.claim(caller, key, "POST /x", body)
        assert told.value.code == code
    await old.start()
    assert old.current_id() == kid_of(token), "a process without the new secret goes on with what it can derive"
    alone = keyring_of(replace(given, secret_key=NEXT_SECRET), database, time.time_ns)
    await alone.start()
    with pytest.raises(Unauthenticated):
        TokenSigner(lambda: alone.ring, AUTH).read(token)


async def test_two_processes_that_find_no_key_add_the_same_one(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    given = replace(settings, data_dir=tmp_path, secret_key=SECRET)
    rings = [keyring_of(given, database, time.time_ns) for _ in range(4)]
    await asyncio.gather(*(ring.start() for ring in rings))
    assert len(await SigningKeysRepo(database).all()) == 1
    assert len({ring.current_id() for ring in rings}) == 1
