"""The whole API against its own document: requests made by schemathesis, right and wrong ones, and every answer held to
what is declared. No answer is a fault of ours."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from tornado.httputil import HTTPHeaders

from qsuite.domain.roles import Role
from qsuite.handlers.openapi import document
from qsuite.handlers.routes import all_routes
from tests.crash.clients import SCALE
from tests.support.client import Answer
from tests.support.running_app import Api

CASES = 5_000 * SCALE
ASKED = CASES * 3 // 2
"""A quarter of what is asked for is not there: an address without parameters cannot be asked for in many ways."""
ENDLESS = {"/ws/v1/stream/", "/api/v1/stream/"}
"""Their answers have no end; the stream has tests of its own."""


def operations() -> Iterator[Any]:
    described = document(all_routes())
    described["paths"] = {path: item for path, item in described["paths"].items() if path not in ENDLESS}
    for item in described["paths"].values():
        for name, operation in item.items():
            if name != "parameters":
                del operation["security"]  # or most of its wrong requests would be those without a token
    for found in schemathesis.openapi.from_dict(described).get_all_operations():
        yield found.ok()


class Fuzzer:
    """Send the cases of one operation after the other, from a thread beside the server's loop."""

    def __init__(self, api: Api, tokens: dict[str, str], spare: str) -> None:
        self.api = api
        self.spare = spare  # of a session that may end
        self.tokens = tokens
        self.session = requests.Session()
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []

    def run(self) -> None:
        """Try every operation, with data as declared and with data that is not."""
        found = list(operations())
        each = -(-ASKED // (2 * len(found)))
        for operation in found:
            roles = operation.definition.raw["x-roles"]
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                token = (
                    self.spare if operation.path == "/api/auth/logout/" else self.tokens[roles[0]] if roles else None
                )
                self._try(operation, mode, token, each)

    def _try(self, operation: Any, mode: GenerationMode, token: str | None, cases: int) -> None:
        @settings(
            max_examples=cases,
            database=None,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            self._send(case, token)

        try:
            send()
        except Unsatisfiable:  # an address without parameters cannot be asked for wrongly
            return

    def _send(self, case: Any, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = case.call(base_url=self.api.anonymous.base_url, session=self.session, headers=headers)
        found = response.response if hasattr(response, "response") else response
        self.statuses[response.status_code] += 1
        sent = response.request
        answer = Answer(
            case.method.upper(),
            sent.path_url,
            response.status_code,
            HTTPHeaders(
                {
                    name: ",".join(values) if isinstance(values, list) else values
                    for name, values in found.headers.items()
                }
            ),
            response.content,
        )
        try:
            assert answer.status < 500, answer
            self.api.contract.check(answer)
        except AssertionError as error:
            self.wrong.append(f"{answer.method} {answer.path} {sent.body!r:.300}: {error}"[:900])


@pytest.mark.timeout(600 * SCALE)
# The driver numbers the commands of the server, in the same process, by the module `random`: no strategy draws from it.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
async def test_every_answer_to_whatever_is_sent_is_as_declared_and_none_is_our_fault(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    clients = {role.value: await api.new_client(role) for role in Role}
    spare = (await api.new_client()).token or ""
    fuzzer = Fuzzer(api, {role: client.token or "" for role, client in clients.items()}, spare)
    await asyncio.to_thread(fuzzer.run)
    fuzzer.session.close()
    total = fuzzer.statuses.total()
    with capsys.disabled():
        print(f"\n{total} cases by schemathesis: {dict(sorted(fuzzer.statuses.items()))}")  # noqa: T201
    assert not fuzzer.wrong, f"{len(fuzzer.wrong)} of {total}:\n" + "\n".join(fuzzer.wrong[:25])
    assert total >= CASES
