"""Login as a client sees it: the answers, the statuses, and what never gets in."""

from types import SimpleNamespace

import pytest
from uuid_utils.compat import uuid7

from qsuite.handlers import auth as auth_handlers
from qsuite.handlers import users as user_handlers
from qsuite.handlers.routes import Route, make_application
from qsuite.handlers.server import ApiServer
from qsuite.services.throttle import Throttle
from tests.support.auth import ADMIN, MARIA, PASSWORD, login_of_two
from tests.support.client import ApiClient

ROUTES = [Route(*route) for route in (*auth_handlers.routes, *user_handlers.routes)]
NEW = "another horse battery staple"


@pytest.fixture
def process(database, settings, tmp_path, io_loop):
    made = io_loop.run_sync(lambda: login_of_two(database, settings, tmp_path))
    yield made
    made.close()


@pytest.fixture
def api(process, settings, io_loop):
    """Nobody's client of a server with the routes of login and users."""
    throttle = Throttle(settings.throttle)
    services = SimpleNamespace(
        settings=settings, auth=process.auth, users=process.users, throttle=throttle, audit=process.trail, traces=None
    )
    server = ApiServer(make_application(services, routes=ROUTES), settings.http)

    async def start():
        server.listen(0, "127.0.0.1")
        return ApiClient(f"http://127.0.0.1:{server.port}")

    client = io_loop.run_sync(start)
    yield client
    client.close()
    io_loop.run_sync(lambda: server.drain(0))


async def logged_in(api, given=MARIA):
    answer = await api.post("/api/auth/login/", given)
    assert answer.status == 200, answer
    client = api.as_(answer.json["access"])
    client.user = answer.json
    return client


async def status_of_me(client):
    return (await client.get("/api/auth/me/")).status


async def test_login_answers_a_pair_and_me_says_who_that_is(api, process):
    answer = await api.post("/api/auth/login", MARIA)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json) == {"access", "refresh", "token_type", "expires_in"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 3_600)
    me = (await api.as_(answer.json["access"]).get("/api/auth/me/")).json
    maria = await process.users.find_by_username("maria")
    assert me.pop("created_at").endswith("Z")
    assert me == {
        "id": str(maria.id),
        "username": "maria",
        "email": None,
        "role": "trader",
        "accounts": [str(maria.accounts[0])],
        "shared": [],
    }


async def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(api):
    answers = [
        await api.post("/api/auth/login/", given)
        for given in (
            {**MARIA, "password": NEW},
            {**MARIA, "username": "nobody"},
            {"username": "$ne", "password": "$gt"},
        )
    ]
    for answer in answers:
        assert (answer.status, answer.code) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json["detail"] == "wrong username or password"


@pytest.mark.parametrize(
    "body",
    [
        {"username": {"$ne": None}, "password": {"$ne": None}},
        {"username": "maria", "password": {"$ne": None}},
        {"username": {"$gt": ""}, "password": PASSWORD},
        {"username": ["maria"], "password": PASSWORD},
        {"username": 1, "password": 1},
        {"username": True, "password": None},
        {"username": "maria"},
        {"username": "maria", "password": "x" * 1_001},
        {"username": "", "password": ""},
        {"username": "maria", "password": PASSWORD, "role": "admin"},
        {"username": "mar\x00ia", "password": PASSWORD},
        {},
    ],
)
async def test_operators_wrong_types_and_unknown_fields_are_422(api, body):
    answer = await api.post("/api/auth/login/", body)
    assert (answer.status, answer.code) == (422, "validation")
    assert answer.json["errors"]


async def test_what_is_refused_is_not_shown_again(api):
    answer = await api.post("/api/auth/login/", {"username": "maria", "password": {"canary-7": "canary-8"}})
    assert answer.status == 422
    assert b"canary" not in answer.body


async def test_six_wrong_passwords_are_429_with_a_time_to_wait_even_for_the_right_one(api):
    for _ in range(5):
        assert (await api.post("/api/auth/login/", {**MARIA, "password": NEW})).status == 401
    answer = await api.post("/api/auth/login/", MARIA)
    assert (answer.status, answer.code) == (429, "too_many_logins")
    assert answer.headers["Retry-After"] == "1"
    # Nobody can pretend to be elsewhere: only configured proxies are believed.
    moved = await api.post("/api/auth/login/", MARIA, headers={"X-Forwarded-For": "198.51.100.1"})
    assert moved.status == 429


async def test_without_or_with_a_worthless_token_nothing_is_shown(api):
    maria = await logged_in(api)
    pair = maria.user
    for header in (
        None,
        "",
        "Bearer",
        "Bearer x",
        f"Basic {pair['access']}",
        f"Bearer {pair['refresh']}",
        f"Bearer {pair['access']}x",
        f"Bearer {pair['access']} x",
        f"Bearer {'A' * 6_000}",
        "Bearer qsk_" + "A" * 43,
    ):
        answer = await api.get("/api/auth/me/", headers={} if header is None else {"Authorization": header})
        assert (answer.status, answer.code) == (401, "unauthenticated"), header


async def test_a_refresh_token_works_once_and_used_again_ends_everything_it_led_to(api):
    first = await logged_in(api)
    answer = await api.post("/api/auth/refresh/", {"refresh": first.user["refresh"]})
    assert answer.status == 200
    second = api.as_(answer.json["access"])
    assert await status_of_me(first) == await status_of_me(second) == 200
    again = await api.post("/api/auth/refresh/", {"refresh": first.user["refresh"]})
    assert (again.status, again.code) == (401, "unauthenticated")
    assert await status_of_me(first) == await status_of_me(second) == 401
    assert (await api.post("/api/auth/refresh/", {"refresh": answer.json["refresh"]})).status == 401


@pytest.mark.parametrize("token", [{"$ne": None}, None, 7, "", ["x"]])
async def test_a_refresh_token_that_is_not_text_is_422(api, token):
    assert (await api.post("/api/auth/refresh/", {"refresh": token})).status == 422


async def test_an_access_token_does_not_refresh(api):
    maria = await logged_in(api)
    assert (await api.post("/api/auth/refresh/", {"refresh": maria.token})).status == 401


@pytest.mark.parametrize("body", [None, b"", b"{}"])
async def test_logout_acts_at_once_with_or_without_a_body(api, body):
    maria, other = await logged_in(api), await logged_in(api)
    assert await status_of_me(maria) == 200
    answer = await maria.request("POST", "/api/auth/logout/", body=body)
    assert (answer.status, answer.body) == (204, b"")
    assert await status_of_me(maria) == 401
    assert (await api.post("/api/auth/refresh/", {"refresh": maria.user["refresh"]})).status == 401
    assert await status_of_me(other) == 200


async def test_a_changed_password_ends_the_other_sessions(api):
    maria, other = await logged_in(api), await logged_in(api)
    wrong = await maria.post("/api/auth/password/", {"old_password": NEW, "new_password": NEW})
    assert (wrong.status, list(wrong.json["errors"])) == (422, ["old_password"])
    weak = await maria.post("/api/auth/password/", {"old_password": PASSWORD, "new_password": "maria.1234567"})
    assert (weak.status, list(weak.json["errors"])) == (422, ["new_password"])
    done = await maria.post("/api/auth/password/", {"old_password": PASSWORD, "new_password": NEW})
    assert done.status == 204
    assert (await status_of_me(maria), await status_of_me(other)) == (200, 401)
    assert (await api.post("/api/auth/login/", MARIA)).status == 401
    assert (await api.post("/api/auth/login/", {**MARIA, "password": NEW})).status == 200


async def test_an_api_key_is_shown_once_lets_in_and_is_gone_when_deleted(api):
    maria = await logged_in(api)
    made = await maria.post("/api/auth/api-keys/", {"name": "notebook", "role": "viewer"})
    assert made.status == 201
    key = made.json["key"]
    assert key.startswith("qsk_")
    robot = api.as_(key)
    assert (await robot.get("/api/auth/me/")).json["role"] == "viewer"
    listed = await maria.get("/api/auth/api-keys/")
    assert listed.json["results"] == [{name: value for name, value in made.json.items() if name != "key"}]
    assert key.encode() not in listed.body
    assert (await robot.get("/api/auth/api-keys/")).status == 403
    assert (await robot.post("/api/auth/logout/")).status == 403
    admin = await logged_in(api, ADMIN)
    assert (await admin.delete(f"/api/auth/api-keys/{made.json['id']}/")).status == 404
    assert (await maria.delete(f"/api/auth/api-keys/{made.json['id']}/")).status == 204
    assert await status_of_me(robot) == 401
    for gone in (made.json["id"], "x", str(uuid7())):
        assert (await maria.delete(f"/api/auth/api-keys/{gone}/")).status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "x", "role": "admin"}, 403),
        ({"name": "x", "role": "emperor"}, 422),
        ({"name": "x" * 101}, 422),
        ({"name": ""}, 422),
        ({}, 422),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, 422),
        ({"name": "x", "expires_at": "tomorrow"}, 422),
        ({"name": "x", "key_hash": "0" * 64}, 422),
        ({"name": "x", "expires_at": "2100-01-01T00:00:00Z"}, 201),
        ({"name": "x", "expires_at": "9999-12-31T23:59:59.999999999Z"}, 201),
        ({"name": "x", "expires_at": "9999-12-31T23:59:60Z"}, 422),
    ],
)
async def test_an_api_key_is_made_only_from_what_makes_sense(api, body, status):
    maria = await logged_in(api)
    answer = await maria.post("/api/auth/api-keys/", body)
    assert answer.status == status, answer


async def test_anybody_may_read_the_public_keys(api):
    answer = await api.get("/api/auth/jwks/")
    assert answer.status == 200
    (key,) = answer.json["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["alg"]) == ("OKP", "Ed25519", "EdDSA")


# -- users --------------------------------------------------------------------------------------------------------


async def test_an_admin_makes_shows_lists_and_changes_users_and_never_sees_a_password(api):
    admin = await logged_in(api, ADMIN)
    made = await admin.post(
        "/api/v1/users/",
        {"username": "Jonas", "password": NEW, "role": "trader", "email": "jonas@example.com", "cash": "250.25"},
    )
    assert made.status == 201, made
    path = made.headers["Location"]
    assert set(made.json) == {
        "id", "username", "email", "role", "is_active", "accounts", "created_at", "updated_at", "version",
    }  # fmt: skip
    shown = await admin.get(path)
    assert shown.json == made.json
    assert (await admin.get(path, headers={"If-None-Match": shown.headers["ETag"]})).status == 304
    listed = (await admin.get("/api/v1/users/", query={"role": "trader", "ordering": "-username"})).json
    assert [user["username"] for user in listed["results"]] == ["maria", "Jonas"]
    assert listed["count"] == 2
    found = (await admin.get("/api/v1/users/", query={"search": "jon"})).json
    assert [user["username"] for user in found["results"]] == ["Jonas"]
    for answer in (made, shown):
        assert b"password" not in answer.body
        assert b"argon2" not in answer.body
    assert (await api.post("/api/auth/login/", {"username": "jonas", "password": NEW})).status == 200


async def test_a_change_acts_on_the_very_next_request(api):
    admin, maria = await logged_in(api, ADMIN), await logged_in(api)
    path = f"/api/v1/users/{(await maria.get('/api/auth/me/')).json['id']}/"
    changed = await admin.patch(path, {"role": "viewer"})
    assert changed.status == 200, changed
    assert (await maria.get("/api/auth/me/")).json["role"] == "viewer"
    assert (await admin.patch(path, {"is_active": False})).json["is_active"] is False
    assert await status_of_me(maria) == 401
    assert (await api.post("/api/auth/login/", MARIA)).status == 401
    assert (await admin.patch(path, {"is_active": True, "password": NEW})).status == 200
    assert await status_of_me(maria) == 401
    assert (await api.post("/api/auth/login/", {**MARIA, "password": NEW})).status == 200


async def test_of_two_admins_who_change_one_reading_the_second_is_told(api):
    admin = await logged_in(api, ADMIN)
    path = f"/api/v1/users/{(await admin.get('/api/auth/me/')).json['id']}/"
    tag = (await admin.get(path)).headers["ETag"]
    first = await admin.patch(path, {"email": "a@example.com"}, headers={"If-Match": tag})
    assert first.status == 200
    assert first.headers["ETag"] != tag
    second = await admin.patch(path, {"email": "b@example.com"}, headers={"If-Match": tag})
    assert (second.status, second.code) == (412, "precondition_failed")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "MARIA"}, 409),
        ({"username": "a"}, 422),
        ({"username": "a b c"}, 422),
        ({"username": {"$gt": ""}}, 422),
        ({"password": "password1234"}, 422),
        ({"password": None}, 422),
        ({"role": "emperor"}, 422),
        ({"role": ["admin"]}, 422),
        ({"role": "viewer", "cash": "1"}, 422),
        ({"cash": "NaN"}, 422),
        ({"cash": "-1"}, 422),
        ({"cash": True}, 422),
        ({"email": "nobody"}, 422),
        ({"is_active": True}, 422),
        ({"id": str(uuid7())}, 422),
        ({"password_hash": "x"}, 422),
    ],
)
async def test_a_user_is_made_only_from_what_makes_sense(api, body, status):
    admin = await logged_in(api, ADMIN)
    given = {"username": "jonas", "password": NEW, "role": "trader", **body}
    answer = await admin.post("/api/v1/users/", given)
    assert answer.status == status, answer
    assert (await admin.get("/api/v1/users/")).json["count"] == 2


@pytest.mark.parametrize(
    "body",
    [{"username": "other"}, {"accounts": []}, {"version": 9}, {"is_active": "no"}, {"role": None}],
)
async def test_what_of_a_user_cannot_change_is_422(api, body):
    admin = await logged_in(api, ADMIN)
    path = f"/api/v1/users/{(await admin.get('/api/auth/me/')).json['id']}/"
    assert (await admin.patch(path, body)).status == 422


async def test_the_last_admin_cannot_go(api):
    admin = await logged_in(api, ADMIN)
    path = f"/api/v1/users/{(await admin.get('/api/auth/me/')).json['id']}/"
    for body in ({"is_active": False}, {"role": "viewer"}):
        assert (await admin.patch(path, body)).status == 409


async def test_nobody_but_an_admin_sees_users(api):
    maria = await logged_in(api)
    me = (await maria.get("/api/auth/me/")).json["id"]
    for answer in (
        await maria.get("/api/v1/users/"),
        await maria.post("/api/v1/users/", {}),
        await maria.get(f"/api/v1/users/{me}/"),
        await maria.patch(f"/api/v1/users/{me}/", {"role": "admin"}),
    ):
        assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize("user", ["x", str(uuid7()), "%24ne", "00000000-0000-0000-0000-000000000000"])
async def test_a_user_who_is_not_there_is_404(api, user):
    admin = await logged_in(api, ADMIN)
    assert (await admin.get(f"/api/v1/users/{user}/")).status == 404
    assert (await admin.patch(f"/api/v1/users/{user}/", {})).status == 404


@pytest.mark.parametrize(
    "query", [{"role": "emperor"}, {"password_hash": "x"}, {"ordering": "password_hash"}, {"is_active": "?"}]
)
async def test_a_list_of_users_refuses_what_it_does_not_offer(api, query):
    admin = await logged_in(api, ADMIN)
    assert (await admin.get("/api/v1/users/", query=query)).status == 422
