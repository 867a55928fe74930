"""POSTs with an ``Idempotency-Key``: done once, answered as often as they are asked."""

import asyncio
import time
import uuid
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.composition.access import keyring_of
from qsuite.domain.errors import OutcomeUnknown, QSuiteError, Unavailable
from qsuite.domain.roles import Caller, Role
from qsuite.repos.idempotency_keys import NAME, IdempotencyKeysRepo
from qsuite.services.idempotency import PURPOSE, Answer, IdempotencyKeys
from qsuite.services.keyring import first_key
from tests.support.auth import first_ring
from tests.support.client import Answer as Answered
from tests.support.client import ApiClient
from tests.support.running_app import Api

STRATEGIES = "/api/v1/strategies/"
STRATEGY = {"name": "once", "risk_limit": "1000", "symbols": ["IBM"]}


@pytest.fixture(scope="module", autouse=True)
def ticker(api: Api, io_loop: IOLoop) -> None:
    """The one that strategies name."""
    io_loop.run_sync(lambda: api.admin.post("/api/v1/tickers/", {"symbol": "IBM", "name": "IBM"}))


def key() -> str:
    return f"key-{uuid.uuid4()}"


async def keyed(client: ApiClient, path: str, body: Any, name: str, **headers: str) -> Answered:
    return await client.request("POST", path, json=body, headers={"Idempotency-Key": name, **headers})


async def count(client: ApiClient) -> int:
    return int((await client.get(STRATEGIES)).json["count"])


async def test_the_same_request_again_gets_the_first_answer_and_is_done_once(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    first, second = [await keyed(trader, STRATEGIES, STRATEGY, name) for _ in range(2)]
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert [first.headers.get("ETag"), first.headers.get("Location")] == [
        second.headers.get("ETag"),
        second.headers.get("Location"),
    ]
    assert [one.headers.get("Idempotency-Replayed") for one in (first, second)] == [None, "true"]
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert await count(trader) == 1


async def test_without_the_header_the_same_request_is_two(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    for _ in range(2):
        assert (await trader.post(STRATEGIES, STRATEGY)).status == 201
    assert await count(trader) == 2


async def test_of_a_hundred_at_once_one_is_done_and_all_are_answered_alike(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    answers = await asyncio.gather(*(keyed(trader, STRATEGIES, STRATEGY, name) for _ in range(100)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await count(trader) == 1


async def test_the_same_key_with_another_body_or_route_is_a_conflict(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    await keyed(trader, STRATEGIES, STRATEGY, name)
    other = [
        await keyed(trader, STRATEGIES, STRATEGY | {"name": "another"}, name),
        await keyed(trader, "/api/v1/orders/cancel_all/", {}, name),
    ]
    assert [(answer.status, answer.code) for answer in other] == [(409, "idempotency.other_request")] * 2
    assert await count(trader) == 1


async def test_keys_of_two_users_have_nothing_to_do_with_each_other(api: Api) -> None:
    name = key()
    one, other = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    first, second = await keyed(one, STRATEGIES, STRATEGY, name), await keyed(other, STRATEGIES, STRATEGY, name)
    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]


async def test_a_refusal_is_an_answer_too(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    order = {"symbol": "NOBODY", "side": "BUY", "order_type": "MARKET", "quantity": 1}
    first, second = [await keyed(trader, "/api/v1/orders/", order, name) for _ in range(2)]
    assert (first.status, first.body) == (second.status, second.body)
    assert first.code == "ticker.unknown"
    assert second.headers["Idempotency-Replayed"] == "true"


async def test_what_was_not_valid_takes_no_key(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    assert (await keyed(trader, STRATEGIES, {"name": 1}, name)).status == 422
    assert (await keyed(trader, STRATEGIES, STRATEGY, name)).status == 201


@pytest.mark.parametrize("name", ["", " ", "with space", "ü", "x" * 256, '""'])
async def test_a_malformed_key_is_refused_and_nothing_done(api: Api, name: str) -> None:
    trader = await api.new_client(Role.TRADER)
    answer = await keyed(trader, STRATEGIES, STRATEGY, name)
    assert (answer.status, list(answer.json["errors"])) == (422, ["Idempotency-Key"])
    assert await count(trader) == 0


async def test_a_key_may_stand_in_quotes(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    first, second = [await keyed(trader, STRATEGIES, STRATEGY, one) for one in (name, f'"{name}"')]
    assert first.body == second.body


async def test_a_secret_that_is_shown_once_is_not_kept_for_a_second_time(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    first, second = [await keyed(trader, "/api/auth/api-keys/", {"name": "robot"}, name) for _ in range(2)]
    assert (first.status, second.status, second.code) == (201, 409, "idempotency.answer_gone")
    [stored] = await api.database.collection(NAME).find({"_id": {"$regex": name}}).to_list(2)
    assert stored["status"] == 201
    assert first.json["key"] not in repr(stored)


async def test_other_methods_take_no_notice_of_the_header(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    made = (await keyed(trader, STRATEGIES, STRATEGY, name)).json
    headers = {"Idempotency-Key": name}
    path = f"{STRATEGIES}{made['id']}/"
    assert (await trader.request("PATCH", path, json={"name": "b"}, headers=headers)).json["name"] == "b"
    assert (await trader.request("GET", path, headers=headers)).json["name"] == "b"


# -- what is left when a request did not end as it should ------------------------------------------------------------


def another_process(api: Api) -> IdempotencyKeys:
    return IdempotencyKeys(
        repo=IdempotencyKeysRepo(api.database),
        keyring=keyring_of(api.services.settings, api.database, time.time_ns),
        clock=time.time_ns,
    )


async def test_what_another_process_left_unanswered_is_not_done_again(api: Api) -> None:
    trader, name = await api.new_client(Role.TRADER), key()
    body = b'{"name": "once", "risk_limit": "1000", "symbols": ["IBM"]}'
    caller = Caller(uuid.UUID(trader.user["id"]), "", Role.TRADER)
    dead = another_process(api)
    claimed = await dead.claim(caller, name, f"POST {STRATEGIES}", body)
    assert isinstance(claimed, str)
    again = await trader.request("POST", STRATEGIES, body=body, headers={"Idempotency-Key": name})
    assert (again.status, again.code) == (409, "idempotency.unfinished")
    assert await count(trader) == 0
    refusal = again.body.replace(b"unfinished", b"told_by_the_other")
    await dead.keep(claimed, Answer(409, {"Content-Type": again.headers["Content-Type"]}, refusal))
    told = await trader.request("POST", STRATEGIES, body=body, headers={"Idempotency-Key": name})
    assert told.code == "idempotency.told_by_the_other"


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Unavailable("storage is away"), [503, 201]),  # nothing was done: it may come again
        (OutcomeUnknown("perhaps"), [503, 409]),
        (RuntimeError("a fault of ours"), [500, 409]),
    ],
)
async def test_only_what_surely_did_nothing_may_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, failure: QSuiteError, expected: list[int]
) -> None:
    trader, name, create = await api.new_client(Role.TRADER), key(), api.services.strategies.create
    failures = [failure]

    async def fail_first(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return await create(*args, **kwargs)

    monkeypatch.setattr(api.services.strategies, "create", fail_first)
    answers = [await keyed(trader, STRATEGIES, STRATEGY, name) for _ in range(2)]
    assert [answer.status for answer in answers] == expected


async def test_a_request_whose_client_has_gone_is_answered_when_it_comes_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader, name, create = await api.new_client(Role.TRADER), key(), api.services.strategies.create
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await create(*args, **kwargs)

    monkeypatch.setattr(api.services.strategies, "create", slowly)
    leaving = asyncio.create_task(keyed(trader, STRATEGIES, STRATEGY, name))
    await begun.wait()
    leaving.cancel()
    again = asyncio.create_task(keyed(trader, STRATEGIES, STRATEGY, name))
    go_on.set()
    answer = await again
    assert (answer.status, answer.headers["Idempotency-Replayed"]) == (201, "true")
    assert await count(trader) == 1


async def test_work_that_was_done_is_answered_for_also_where_the_answer_cannot_be_kept(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    trader, name = await api.new_client(Role.TRADER), key()

    async def fail(*args: Any) -> None:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as broken:
        broken.setattr(IdempotencyKeysRepo, "end", fail)
        assert (await keyed(trader, STRATEGIES, STRATEGY, name)).status == 201
    again = await keyed(trader, STRATEGIES, STRATEGY, name)
    assert (again.code, await count(trader)) == ("idempotency.unfinished", 1)


async def test_no_password_can_be_guessed_from_what_is_stored(api: Api) -> None:
    """A plain digest of the body could be tried against a list of passwords; this one needs the server's secret."""
    name = key()
    user = {"username": f"u{uuid.uuid4().hex[:8]}", "password": "a long passphrase of mine", "role": "viewer"}
    answer = await keyed(api.admin, "/api/v1/users/", user, name)
    assert answer.status == 201, answer
    one, other = [first_ring(secret).derived_key(PURPOSE, first_key(secret).id) for secret in ("one", "other")]
    assert one != other
    [stored] = await api.database.collection(NAME).find({"_id": {"$regex": name}}).to_list(2)
    assert user["password"] not in repr(stored)
