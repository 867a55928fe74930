"""Where one is logged in, and putting an end to it: on REST and on open sockets."""

from typing import Any

import pytest

from qsuite.domain.access import clean_user_agent
from tests.support.client import ApiClient
from tests.support.running_app import PASSWORD, Api
from tests.support.waiting import eventually
from tests.support.ws import WsClient

ID = "01920000-0000-7000-8000-000000000001"


async def again(api: Api, client: ApiClient, **headers: str) -> ApiClient:
    """Log the same user in once more."""
    given = {"username": client.user["username"], "password": PASSWORD}
    answer = await api.anonymous.post("/api/auth/login/", given, headers=headers)
    found = client.as_(answer.json["access"])
    found.user = {**client.user, "refresh": answer.json["refresh"]}
    return found


async def sessions(client: ApiClient) -> list[dict[str, Any]]:
    answer = await client.get("/api/auth/sessions/")
    assert answer.status == 200, answer
    assert answer.json["count"] == len(answer.json["results"])
    return list(answer.json["results"])


async def status_of_me(client: ApiClient) -> int:
    return (await client.get("/api/auth/me/")).status


async def test_a_user_sees_their_live_sessions_and_which_is_this_one(api: Api) -> None:
    first = await api.new_client("viewer")
    second = await again(api, first, **{"User-Agent": "Zx/1.0 " + "y" * 400})
    seen = await sessions(second)
    assert [each["is_current"] for each in seen] == [True, False]
    assert [each["is_current"] for each in await sessions(first)] == [False, True]
    newest = seen[0]
    assert set(newest) == {
        "id", "created_at", "refreshed_at", "expires_at", "address", "user_agent", "is_current",
    }  # fmt: skip
    assert newest["address"] == "127.0.0.1"
    assert newest["user_agent"] == "Zx/1.0 " + "y" * 193
    assert newest["created_at"] == newest["refreshed_at"] < newest["expires_at"]
    refreshed = await api.anonymous.post("/api/auth/refresh/", {"refresh": second.user["refresh"]})
    assert refreshed.status == 200
    after = (await sessions(first))[0]
    assert (after["id"], after["created_at"]) == (newest["id"], newest["created_at"])
    assert after["refreshed_at"] >= newest["refreshed_at"]
    assert (await second.post("/api/auth/logout/", {})).status == 204
    assert len(await sessions(first)) == 1


async def test_ending_one_session_acts_at_once_and_leaves_the_others(api: Api) -> None:
    mine = await api.new_client("trader")
    other, third = await again(api, mine), await again(api, mine)
    theirs = next(each["id"] for each in await sessions(other) if each["is_current"])
    assert await status_of_me(other) == 200
    assert (await mine.delete(f"/api/auth/sessions/{theirs}/")).status == 204
    assert [await status_of_me(each) for each in (mine, other, third)] == [200, 401, 200]
    assert (await api.anonymous.post("/api/auth/refresh/", {"refresh": other.user["refresh"]})).status == 401
    for gone in (theirs, ID, "x", "$ne"):
        assert (await mine.delete(f"/api/auth/sessions/{gone}/")).status == 404
    own = next(each["id"] for each in await sessions(mine) if each["is_current"])
    assert (await mine.delete(f"/api/auth/sessions/{own}/")).status == 204
    assert await status_of_me(mine) == 401


async def recorded(api: Api, kind: str, subject: str) -> list[dict[str, Any]]:
    found = api.database.collection("audit_access").find({"kind": kind, "subject": subject})
    return [dict(each) async for each in found]


async def test_what_ends_a_session_is_on_record_with_who_did_it_and_a_try_that_found_none_is_not(api: Api) -> None:
    mine = await api.new_client("trader")
    other = await again(api, mine)
    theirs = next(each["id"] for each in await sessions(other) if each["is_current"])
    assert (await mine.delete(f"/api/auth/sessions/{theirs}/")).status == 204
    assert (await mine.delete(f"/api/auth/sessions/{theirs}/")).status == 404
    assert (await mine.delete("/api/auth/sessions/")).status == 204
    (entry,) = await recorded(api, "session.ended", theirs)
    assert (entry["actor"], entry["actor_name"]) == (mine.user["id"], mine.user["username"])
    assert [each["actor"] for each in await recorded(api, "sessions.ended", mine.user["id"])] == [mine.user["id"]]


async def test_somebody_elses_session_is_not_found(api: Api) -> None:
    maria, jonas = await api.new_client("trader"), await api.new_client("trader")
    theirs = (await sessions(maria))[0]["id"]
    assert (await jonas.delete(f"/api/auth/sessions/{theirs}/")).status == 404
    assert (await api.admin.delete(f"/api/auth/sessions/{theirs}/")).status == 404
    assert await status_of_me(maria) == 200


async def test_ending_all_others_keeps_the_one_that_asks_and_closes_their_sockets(api: Api) -> None:
    mine = await api.new_client("trader")
    other = await again(api, mine)
    async with await WsClient.open(api.port, token=other.token) as socket:
        await socket.receive_type("authenticated")
        assert (await mine.delete("/api/auth/sessions/")).status == 204
        assert (await socket.closed()).code == 1008
    assert [await status_of_me(each) for each in (mine, other)] == [200, 401]
    assert [each["is_current"] for each in await sessions(mine)] == [True]


async def test_an_admin_sees_and_ends_a_users_sessions_and_nobody_else_does(api: Api) -> None:
    maria = await api.new_client("trader")
    await again(api, maria)
    path = f"/api/v1/users/{maria.user['id']}/sessions/"
    listed = (await api.admin.get(path)).json["results"]
    assert [each["id"] for each in listed] == [each["id"] for each in await sessions(maria)]
    assert not any(each["is_current"] for each in listed)
    for client in (maria, api.auditor, api.risk_manager):
        assert (await client.get(path)).status == (await client.delete(path)).status == 403
    async with await WsClient.open(api.port, token=maria.token) as socket:
        await socket.receive_type("authenticated")
        assert (await api.admin.delete(path)).status == 204
        assert (await socket.closed()).code == 1008
    assert await status_of_me(maria) == 401
    assert (await api.admin.get(path)).json["results"] == []
    assert (await api.admin.delete(f"/api/v1/users/{ID}/sessions/")).status == 404


def test_a_client_is_shown_by_plain_characters_alone() -> None:
    assert clean_user_agent("Zx/1.0 (\x1b[31mred\x07)\u202e é\r\n<b>") == "Zx/1.0 ([31mred) <b>"
    assert clean_user_agent("") == ""


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("DELETE", f"{ID}/")])
async def test_an_api_key_sees_and_ends_no_sessions(api: Api, method: str, path: str) -> None:
    robot = api.trader.as_((await api.trader.post("/api/auth/api-keys/", {"name": "robot"})).json["key"])
    answer = await robot.request(method, f"/api/auth/sessions/{path}")
    assert (answer.status, answer.code) == (403, "forbidden")


async def test_a_session_ended_by_another_process_is_out_within_the_watchs_next_round(api: Api) -> None:
    maria = await api.new_client("trader")
    assert await status_of_me(maria) == 200
    await api.database.collection("refresh_tokens").update_many(
        {"username": maria.user["username"]},
        [{"$set": {"ended_at": "$$NOW", "end_reason": "elsewhere"}}],
    )

    async def out() -> bool:
        return await status_of_me(maria) == 401

    await eventually(out)
