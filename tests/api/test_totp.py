"""Logging in with a second factor, as a client sees it."""

import asyncio
from types import SimpleNamespace

import pytest

from qsuite.domain.errors import TooMany
from qsuite.handlers import auth as auth_handlers
from qsuite.handlers import totp as totp_handlers
from qsuite.handlers import users as user_handlers
from qsuite.handlers.routes import Route, make_application
from qsuite.handlers.server import ApiServer
from qsuite.services.throttle import Throttle
from tests.support.auth import ADMIN, MARIA, PASSWORD, login_of_two
from tests.support.client import ApiClient
from tests.support.codes import totp_at

ROUTES = [Route(*route) for route in (*auth_handlers.routes, *totp_handlers.routes, *user_handlers.routes)]
NEW = "another horse battery staple"
WRONG = "000000"


@pytest.fixture
def process(database, settings, tmp_path, io_loop):
    made = io_loop.run_sync(lambda: login_of_two(database, settings, tmp_path))
    yield made
    made.close()


@pytest.fixture
def api(process, settings, io_loop):
    """Nobody's client of a server with the routes of login, second factor and users."""
    services = SimpleNamespace(
        settings=settings,
        auth=process.auth,
        users=process.users,
        second_factor=process.second_factor,
        throttle=Throttle(settings.throttle),
        audit=process.trail,
        traces=None,
    )
    server = ApiServer(make_application(services, routes=ROUTES), settings.http)

    async def start():
        server.listen(0, "127.0.0.1")
        return ApiClient(f"http://127.0.0.1:{server.port}")

    client = io_loop.run_sync(start)
    yield client
    client.close()
    io_loop.run_sync(lambda: server.drain(0))


class Phone:
    """Maria's phone, whose clock is the server's."""

    def __init__(self, process):
        self.clock = process.clock

    def code(self):
        """Return a code not used before."""
        self.clock.move(60)
        return totp_at(self.secret, self.clock() / 1e9)


@pytest.fixture
def phone(process):
    return Phone(process)


async def log_in(api, given=MARIA, **more):
    return await api.post("/api/auth/login/", {**given, **more})


async def logged_in(api, given=MARIA, **more):
    answer = await log_in(api, given, **more)
    assert answer.status == 200, answer
    return api.as_(answer.json["access"])


async def enrol(api, phone):
    maria = await logged_in(api)
    made = await maria.post("/api/auth/totp/", {"password": PASSWORD})
    assert made.status == 201, made
    assert made.headers["Cache-Control"] == "no-store"
    phone.secret = made.json["secret"]
    confirmed = await maria.post("/api/auth/totp/confirm/", {"code": phone.code()})
    assert confirmed.status == 200, confirmed
    return maria, confirmed.json["recovery_codes"]


async def test_enrolling_shows_a_secret_once_and_counts_when_it_is_confirmed(api, phone):
    maria = await logged_in(api)
    off = {"enabled": False, "pending": False, "confirmed_at": None, "recovery_codes_left": 0}
    assert (await maria.get("/api/auth/totp/")).json == off
    made = await maria.post("/api/auth/totp/", {"password": PASSWORD})
    phone.secret = made.json["secret"]
    assert made.json["uri"] == f"otpauth://totp/qsuite:maria?secret={phone.secret}&issuer=qsuite"
    assert len(phone.secret) == 32  # 160 bits, as RFC 4226 asks for
    assert (await maria.get("/api/auth/totp/")).json == {**off, "pending": True}
    assert (await log_in(api)).status == 200  # nobody is locked out by a secret no phone has
    wrong = await maria.post("/api/auth/totp/confirm/", {"code": WRONG})
    assert (wrong.status, list(wrong.json["errors"])) == (422, ["code"])
    confirmed = await maria.post("/api/auth/totp/confirm/", {"code": phone.code()})
    assert len(confirmed.json["recovery_codes"]) == 10
    state = (await maria.get("/api/auth/totp/")).json
    assert (state["enabled"], state["pending"], state["recovery_codes_left"]) == (True, False, 10)
    for path, body, code in (
        ("", {"password": PASSWORD}, "totp_enabled"),
        ("confirm/", {"code": phone.code()}, "totp_not_pending"),
    ):
        answer = await maria.post(f"/api/auth/totp/{path}", body)
        assert (answer.status, answer.code) == (409, code)


async def test_a_login_then_takes_a_code_and_says_so_only_after_the_right_password(api, phone):
    maria, recovery = await enrol(api, phone)
    for given in ({"password": NEW}, {"password": NEW, "code": phone.code()}, {"username": "nobody"}):
        answer = await log_in(api, **given)
        assert (answer.status, answer.code) == (401, "unauthenticated")
        assert answer.json["detail"] == "wrong username or password"
    for given in ({}, {"code": None}):
        answer = await log_in(api, **given)
        assert (answer.status, answer.code) == (401, "totp_required")
        assert "access" not in answer.json
    answer = await log_in(api, code=WRONG)
    assert (answer.status, answer.code) == (401, "totp_wrong")
    code = phone.code()
    assert (await log_in(api, code=code)).status == 200
    again = await log_in(api, code=code)
    assert (again.status, again.code) == (401, "totp_wrong")
    assert (await log_in(api, code=recovery[0])).status == 200
    assert (await log_in(api, code=recovery[0])).code == "totp_wrong"
    assert (await maria.get("/api/auth/me/")).status == 200
    assert (await maria.get("/api/auth/totp/")).json["recovery_codes_left"] == 9


async def test_wrong_codes_are_slowed_down_as_passwords_are_and_the_right_password_gives_no_further_tries(api, phone):
    await enrol(api, phone)
    for _ in range(5):
        assert (await log_in(api, code=WRONG)).code == "totp_wrong"
        phone.clock.move(-1)  # the server's clock must not run on
    answer = await log_in(api, code=phone_code_now(phone))
    assert (answer.status, answer.code) == (429, "too_many_logins")
    assert int(answer.headers["Retry-After"]) >= 1


def phone_code_now(phone):
    return totp_at(phone.secret, phone.clock() / 1e9)


async def test_many_codes_tried_at_once_are_all_counted(api, phone, process):
    await enrol(api, phone)
    user = await process.users.find_by_username("maria")
    factor = await process.second_factors.find(user.id)
    codes = ("A" * 15 + letter for letter in "ABCDEFGHIJKLMNOPQRST")  # recovery codes: those are asked of the database
    tries = (process.auth.use_code(user, factor, code, "203.0.113.7") for code in codes)
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert [each for each in found if not isinstance(each, TooMany)] == [False] * 5


async def test_codes_are_counted_for_the_user_wherever_they_come_from(process, api, phone):
    await enrol(api, phone)
    for number in range(5):
        with pytest.raises(Exception, match="the code is wrong"):
            await process.auth.login("maria", PASSWORD, f"203.0.113.{number}", code=WRONG)
    with pytest.raises(Exception, match="too many"):
        await process.auth.login("maria", PASSWORD, "203.0.113.99", code=WRONG)
    # Whoever does not know the password delays nobody but themselves.
    with pytest.raises(Exception, match="wrong username or password"):
        await process.auth.login("maria", NEW, "203.0.113.98")


async def test_turning_it_off_takes_password_and_code(api, phone):
    maria, recovery = await enrol(api, phone)
    for body, field in (
        ({"password": NEW, "code": phone.code()}, "password"),
        ({"password": PASSWORD, "code": WRONG}, "code"),
    ):
        answer = await maria.post("/api/auth/totp/disable/", body)
        assert (answer.status, list(answer.json["errors"])) == (422, [field])
    renewed = await maria.post("/api/auth/totp/recovery-codes/", {"password": PASSWORD, "code": phone.code()})
    assert len({*renewed.json["recovery_codes"], *recovery}) == 20
    assert (await maria.post("/api/auth/totp/disable/", {"password": PASSWORD, "code": phone.code()})).status == 204
    assert (await log_in(api)).status == 200
    for path in ("disable/", "recovery-codes/"):
        answer = await maria.post(f"/api/auth/totp/{path}", {"password": PASSWORD, "code": WRONG})
        assert (answer.status, answer.code) == (409, "totp_disabled")


async def test_turning_it_on_and_off_is_on_record_and_a_try_that_failed_is_not(api, phone, database, process):
    maria, _ = await enrol(api, phone)
    given = {"password": PASSWORD, "code": WRONG}
    assert (await maria.post("/api/auth/totp/disable/", given)).status == 422
    assert (await maria.post("/api/auth/totp/recovery-codes/", {**given, "code": phone.code()})).status == 200
    assert (await maria.post("/api/auth/totp/disable/", {**given, "code": phone.code()})).status == 204
    maria_id = (await process.users.find_by_username("maria")).id
    await process.second_factor.begin(await process.auth.authenticate_token(maria.token), PASSWORD, "::1")
    await process.users.reset_second_factor(maria_id)
    entries = database.collection("audit_access").find({"kind": {"$regex": "^totp"}}, sort=[("_id", 1)])
    found = [entry async for entry in entries]
    kinds = ["totp.enabled", "totp.recovery_renewed", "totp.disabled", "totp.reset"]
    assert [entry["kind"] for entry in found] == kinds
    assert {entry["subject"] for entry in found} == {str(maria_id)}
    assert phone.secret not in str(found)


async def test_a_stolen_session_or_key_turns_nothing_on_or_off(api, phone):
    maria = await logged_in(api)
    robot = api.as_((await maria.post("/api/auth/api-keys/", {"name": "robot"})).json["key"])
    assert (await maria.post("/api/auth/totp/", {"password": NEW})).status == 422
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"password": PASSWORD}),
        ("POST", "confirm/", {"code": WRONG}),
        ("POST", "disable/", {"password": PASSWORD, "code": WRONG}),
        ("POST", "recovery-codes/", {"password": PASSWORD, "code": WRONG}),
    ):
        answer = await robot.request(method, f"/api/auth/totp/{path}", json=body)
        assert (answer.status, answer.code) == (403, "forbidden"), answer


async def test_an_admin_takes_it_away_for_who_lost_phone_and_codes_and_nobody_else_does(api, phone, process):
    maria, _ = await enrol(api, phone)
    path = f"/api/v1/users/{(await process.users.find_by_username('maria')).id}/totp/"
    assert (await maria.delete(path)).status == 403
    admin = await logged_in(api, ADMIN)
    assert (await admin.delete(path)).status == 204
    assert (await admin.delete(path)).status == 404
    assert (await log_in(api)).status == 200


@pytest.mark.parametrize("code", [123456, {"$ne": None}, ["123456"], True, "", "1" * 65, "12\x003456"])
async def test_a_code_that_is_not_text_of_a_codes_length_is_422(api, code):
    assert (await log_in(api, code=code)).status == 422


async def test_neither_secrets_nor_codes_are_logged(api, phone, caplog, capsys):
    _, recovery = await enrol(api, phone)
    code = phone.code()
    await log_in(api, code=code)
    await log_in(api, code=recovery[0])
    await log_in(api, code="AAAA-BBBB-CCCC-DDDD")
    written = caplog.text + "".join(capsys.readouterr())
    for secret in (phone.secret, code, *recovery, "AAAA-BBBB", PASSWORD):
        assert secret not in written
