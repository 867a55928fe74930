"""Whatever is sent, the answer is a problem in the 400s: thousands of bad requests, made from the declarations."""

import asyncio
import os
from collections import Counter
from zlib import crc32

import pytest
from marshmallow import Schema

from qsuite.domain.roles import Role
from qsuite.handlers.operations import ARROW, CSV, JSON, NDJSON
from qsuite.handlers.routes import all_routes
from tests.support.bad_input import BODIES, ROWS, BadRequest, bad_requests, bad_rows, valid_object
from tests.support.client import Answer, ApiClient
from tests.support.running_app import Api

AT_ONCE = 16
SCALE = int(os.environ.get("TEST_SCALE", "1"))
ROUTES = all_routes()
BODY_SCHEMAS = [
    declared.body
    for route in ROUTES
    for declared in route.handler.operations.values()  # type: ignore[attr-defined]
    if declared.body is not None
]


async def send(api: Api, clients: dict[Role | None, ApiClient], bad: BadRequest) -> Answer:
    return await clients[bad.role].request(bad.method, bad.path, body=bad.body, headers=bad.headers)


async def test_no_bad_input_is_accepted_and_none_is_our_fault(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """Every route, every field and parameter, every bad value of its kind; at TEST_SCALE 1 a fixed quarter of them."""
    clients: dict[Role | None, ApiClient] = {role: await api.new_client(role) for role in Role}
    clients[None] = api.anonymous
    every = [bad for route in ROUTES for bad in bad_requests(route)]
    queue = (
        every if SCALE > 1 else [bad for bad in every if crc32(f"{bad.method} {bad.path} {bad.why}".encode()) % 4 == 0]
    )
    sent: Counter[int] = Counter()
    wrong: list[str] = []

    async def work() -> None:
        while queue:
            bad = queue.pop()
            try:
                answer = await send(api, clients, bad)
            except AssertionError as error:
                wrong.append(f"{bad.why}: {error}"[:600])
                continue
            sent[answer.status] += 1
            if not 400 <= answer.status < 500 or not answer.code:
                wrong.append(f"{bad.why}: {answer}"[:600])

    total = len(queue)
    await asyncio.gather(*[work() for _ in range(AT_ONCE)])
    with capsys.disabled():
        print(f"\n{total} bad requests to {len(ROUTES)} routes: {dict(sorted(sent.items()))}")  # noqa: T201  n is part of the claim
    assert not wrong, f"{len(wrong)} of {total}:\n" + "\n".join(wrong[:40])
    assert total >= 2_000


@pytest.mark.parametrize("path", ROWS)
async def test_no_bad_row_of_many_is_stored_and_none_is_our_fault(api: Api, path: str) -> None:
    await api.admin.post("/api/v1/tickers/", {"symbol": "IBM", "name": "IBM"})
    good = await api.admin.post(path, [ROWS[path]])
    assert _stored(good) == 1, good
    rows = list(bad_rows(ROWS[path]))
    for why, media, body in rows:
        answer = await api.admin.post(path, body=body, headers={"Content-Type": media})
        assert answer.status < 500, f"{why}: {answer}"
        assert answer.status >= 400 or _stored(answer) == 0, f"{media} {why}: {body!r} {answer}"
    assert len(rows) > 300


@pytest.mark.parametrize("path", ROWS)
@pytest.mark.parametrize("media", [JSON, NDJSON, CSV, ARROW])
async def test_no_body_of_many_rows_is_our_fault(api: Api, path: str, media: str) -> None:
    for why, body in BODIES.items():
        answer = await api.admin.post(path, body=body, headers={"Content-Type": media})
        assert answer.status < 500, f"{why}: {answer}"
        assert answer.status >= 400 or _stored(answer) == 0, f"{why}: {answer}"


def _stored(answer: Answer) -> int:
    return int(answer.json.get("created", answer.json.get("accepted", -1)))


@pytest.mark.parametrize("schema", BODY_SCHEMAS, ids=lambda schema: type(schema).__name__)
def test_what_the_bad_values_are_put_into_is_good_otherwise(schema: Schema) -> None:
    raw = valid_object(schema)
    schema.load([raw] if schema.many else raw)
