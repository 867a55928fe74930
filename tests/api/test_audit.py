"""What is recorded of what clients do, and how auditors read and verify it over HTTP."""

import json
from pathlib import Path
from typing import Any

import orjson

from tests.support.running_app import PASSWORD, Api
from tests.support.waiting import eventually
from tests.support.ws import WsClient


async def entries(api: Api, **filters: str) -> list[dict[str, Any]]:
    """The newest entries of the access chain, newest first."""
    query = "&".join(f"{name}={value}" for name, value in {"page_size": "1000", **filters}.items())
    answer = await api.auditor.get(f"/api/v1/audit/?{query}")
    assert answer.status == 200, answer
    found: list[dict[str, Any]] = answer.json["results"]
    return found


async def noted(api: Api, count: int = 1, **filters: str) -> list[dict[str, Any]]:
    """Wait until so many entries were stored, since refusals are stored together."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = await entries(api, **filters)
        return len(found) >= count

    await eventually(there)
    return found


async def test_a_login_a_key_and_a_logout_are_recorded_with_who_and_from_where(api: Api) -> None:
    client = await api.new_client("viewer")
    made = await client.post("/api/auth/api-keys/", {"name": "notebook"}, headers={"X-Request-ID": "key-of-a-test"})
    await client.delete(f"/api/auth/api-keys/{made.json['id']}/")
    await client.post("/api/auth/logout/", {})
    mine = await entries(api, actor=client.user["id"])
    assert [entry["kind"] for entry in mine] == [
        "session.ended",
        "api_key.revoked",
        "api_key.created",
        "login.succeeded",
    ]
    assert {entry["actor_name"] for entry in mine} == {client.user["username"]}
    assert {entry["address"] for entry in mine} == {"127.0.0.1"}
    created = mine[2]
    assert (created["subject"], created["request_id"]) == (made.json["id"], "key-of-a-test")
    assert made.json["key"] not in json.dumps(mine)


async def test_a_change_of_a_user_names_the_admin_and_what_became_of_it(api: Api) -> None:
    user = (await api.new_client("viewer")).user
    answer = await api.admin.patch(f"/api/v1/users/{user['id']}/", {"role": "auditor", "email": "x@example.com"})
    assert answer.status == 200
    changed, created = await entries(api, subject=user["id"])
    assert (changed["kind"], created["kind"]) == ("user.changed", "user.created")
    assert changed["actor"] == api.admin.user["id"]
    assert changed["facts"] == {"fields": ["email", "role"], "role": "auditor"}


async def test_failed_logins_refusals_and_nobody_are_recorded_once_and_counted(api: Api) -> None:
    user = (await api.new_client("viewer")).user
    for _ in range(3):
        answer = await api.anonymous.post("/api/auth/login/", {"username": user["username"], "password": "wrong"})
        assert answer.status == 401
    (failed,) = await noted(api, kind="login.failed", subject=user["id"])
    assert failed["actor"] == ""
    assert "wrong" not in json.dumps(failed)
    assert (await api.viewer.get("/api/v1/users/")).status == 403
    (refused,) = await noted(api, kind="request.refused", actor=api.viewer.user["id"])
    assert (refused["subject"], refused["facts"]["status"]) == ("GET /api/v1/users/", 403)
    assert (await api.anonymous.get("/api/v1/orders/")).status == 401
    (nobody,) = await noted(api, kind="request.refused", subject="")
    assert nobody["facts"]["status"] == 401


async def test_what_a_socket_is_refused_is_recorded(api: Api) -> None:
    viewer = await api.new_client("viewer")
    async with await WsClient.open(api.port, token=viewer.token) as socket:
        assert (await socket.receive_some(2))[1]["type"] == "authenticated"
        assert (await socket.ask({"action": "cancel", "id": "1", "order_id": viewer.user["id"]}))["code"] == "forbidden"
    (refused,) = await noted(api, kind="stream.refused", actor=viewer.user["id"])
    assert (refused["subject"], refused["facts"]["code"]) == ("stream", "forbidden")
    assert refused["address"] == "127.0.0.1"


async def test_a_ticker_is_recorded_with_its_change_and_without_it_there_is_no_entry(api: Api) -> None:
    made = await api.admin.post("/api/v1/tickers/", {"symbol": "AUDT", "name": "Audited"})
    assert made.status == 201
    assert (await api.admin.post("/api/v1/tickers/", {"symbol": "AUDT", "name": "Twice"})).status == 409
    assert (await api.admin.patch("/api/v1/tickers/AUDT/", {"name": "Renamed"})).status == 200
    assert (await api.admin.delete("/api/v1/tickers/AUDT/")).status == 204
    kinds = [entry["kind"] for entry in await entries(api, subject="AUDT")]
    assert kinds == ["ticker.deleted", "ticker.changed", "ticker.created"]


async def test_a_used_refresh_token_that_comes_again_is_recorded(api: Api) -> None:
    user = (await api.new_client("viewer")).user
    pair = await api.anonymous.post("/api/auth/login/", {"username": user["username"], "password": PASSWORD})
    used = {"refresh": pair.json["refresh"]}
    assert (await api.anonymous.post("/api/auth/refresh/", used)).status == 200
    assert (await api.anonymous.post("/api/auth/refresh/", used)).status == 401
    reused = (await entries(api, kind="session.reused"))[0]
    assert reused["facts"] == {"reason": "reuse", "user": user["id"]}


async def test_the_record_is_listed_by_cursor_and_downloaded_whole(api: Api) -> None:
    await api.new_client("viewer")
    pages = []
    answer = await api.auditor.get("/api/v1/audit/?page_size=3&cursor=")
    while True:
        pages.append([entry["seq"] for entry in answer.json["results"]])
        if answer.json["next"] is None:
            break
        answer = await api.auditor.get(answer.json["next"].partition(str(api.port))[2])
    seqs = [seq for page in pages for seq in page]
    assert seqs == list(range(len(seqs), 0, -1))
    whole = await api.auditor.get("/api/v1/audit/?ordering=seq", headers={"Accept": "application/x-ndjson"})
    lines = [orjson.loads(line) for line in whole.body.splitlines()]
    assert [line["seq"] for line in lines[: len(seqs)]] == seqs[::-1]
    table = await api.auditor.get("/api/v1/audit/?chain=trading", headers={"Accept": "text/csv"})
    assert table.status == 200


async def test_an_auditor_has_both_chains_verified(api: Api) -> None:
    await api.app._audit.heads.run_once(0)
    answer = await api.auditor.get("/api/v1/audit/verify/")
    assert answer.status == 200
    assert answer.json["ok"] is True
    trading, access = answer.json["chains"]
    assert (trading["chain"], access["chain"]) == ("trading", "access")
    assert access["entries"] > 0
    assert access["signed_heads"] >= 1
    assert access["first_bad"] is None
    assert (await api.admin.get("/api/v1/audit/verify/")).status == 200


async def test_security_events_are_in_a_file_of_their_own_without_secrets(api: Api) -> None:
    path: Path = api.services.settings.data_dir / "security.jsonl"
    user = (await api.new_client("viewer")).user
    await eventually(lambda: any(user["id"] in line for line in lines_of(path)))
    lines = [orjson.loads(line) for line in lines_of(path)]
    assert {"login.succeeded", "user.created"} <= {line["kind"] for line in lines}
    assert not any(line["kind"].startswith("ticker.") for line in lines)
    assert not any(PASSWORD in line for line in lines_of(path))
    assert mode_of(path) & 0o077 == 0


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def mode_of(path: Path) -> int:
    return path.stat().st_mode
