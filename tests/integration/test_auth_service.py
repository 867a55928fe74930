"""Logging in, staying in and being put out, on a real database."""

import asyncio
import json
import logging
import stat
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import jwt
import pytest
import structlog
from uuid_utils.compat import uuid7

from qsuite.domain.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from qsuite.domain.listing import Listing
from qsuite.domain.roles import Role
from qsuite.services.logging import QUIET_LIBRARIES
from qsuite.services.passwords import Passwords
from qsuite.services.supervisor import Supervisor
from qsuite.settings import AuthSettings
from tests.support.auth import PASSWORD, login_services, prepare
from tests.support.waiting import eventually

HERE, ELSEWHERE = "203.0.113.7", "203.0.113.8"
WRONG = "wrong horse battery staple"


@pytest.fixture
def here(database, settings, tmp_path, io_loop):
    """One process; ``there`` is another on the same database."""
    io_loop.run_sync(lambda: prepare(database))
    made = login_services(database, settings, tmp_path)
    yield made
    made.close()


@pytest.fixture
def there(database, settings, tmp_path, here):
    made = login_services(database, settings, tmp_path, clock=here.clock)
    yield made
    made.close()


@pytest.fixture
def maria(here, io_loop):
    return io_loop.run_sync(lambda: here.users.create("maria", PASSWORD, Role.TRADER))


@pytest.fixture
def admin(here, io_loop):
    return io_loop.run_sync(lambda: here.users.create("root.admin", PASSWORD, Role.ADMIN))


async def login(process, username="maria", password=PASSWORD, address=HERE):
    return await process.auth.login(username, password, address)


async def caller_of(process, pair):
    return await process.auth.authenticate(f"Bearer {pair.access}")


async def is_out(process, pair):
    assert process.auth.remembered(f"Bearer {pair.access}") is None
    with pytest.raises(Unauthenticated):
        await caller_of(process, pair)
    return True


async def session_of(process, pair):
    return await process.sessions.find(UUID(jwt.decode(pair.access, options={"verify_signature": False})["sid"]))


# -- login --------------------------------------------------------------------------------------------------------


async def test_who_logs_in_is_known_by_the_token(here, maria):
    pair = await login(here)
    assert pair.expires_in == 3_600
    caller = await caller_of(here, pair)
    assert (caller.user, caller.username, caller.role, caller.accounts) == (
        maria.id,
        "maria",
        Role.TRADER,
        maria.accounts,
    )
    assert await here.auth.authenticate_token(pair.access) == caller


async def test_a_header_seen_before_is_answered_from_memory(here, maria):
    pair = await login(here)
    header = f"bearer {pair.access}"
    assert here.auth.remembered(header) is None
    caller = await here.auth.authenticate(header)
    assert here.auth.remembered(header) is caller


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("maria", WRONG),
        ("maria", ""),
        ("maria", PASSWORD + " "),
        ("nobody", PASSWORD),
        ("", ""),
        ("x" * 1000, "y" * 1000),
    ],
)
async def test_whatever_is_wrong_the_answer_is_the_same(here, maria, username, password):
    with pytest.raises(Unauthenticated) as refused:
        await login(here, username, password)
    assert refused.value.detail == "wrong username or password"


async def test_the_name_may_be_typed_in_any_case(here, maria):
    assert await login(here, "MaRiA")


async def test_a_disabled_user_is_told_the_same_as_an_unknown_one(here, maria):
    await here.users.update(maria.id, {"is_active": False})
    with pytest.raises(Unauthenticated, match="wrong username or password"):
        await login(here)


async def test_guessing_is_slowed_where_it_happens_and_never_locks_the_right_user_out(here, maria):
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await login(here, password=WRONG)
    with pytest.raises(TooMany) as refused:
        await login(here)  # even the right password waits here ...
    assert refused.value.retry_after_s == 1
    assert await login(here, address=ELSEWHERE)  # ... and nowhere else
    here.clock.move(1)
    assert await login(here)


async def test_a_hundred_guesses_sent_at_once_try_few_passwords(here, maria):
    tries = [login(here, password=f"{WRONG} {number}") for number in range(100)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    tried = sum(isinstance(outcome, Unauthenticated) for outcome in outcomes)
    assert 5 <= tried <= 7  # five, and those two threads had begun
    assert sum(isinstance(outcome, TooMany) for outcome in outcomes) == 100 - tried


async def test_a_hash_of_older_parameters_is_replaced_at_the_next_login(here, maria):
    weak = Passwords(AuthSettings(argon2_memory_kib=32, argon2_time_cost=1), workers=1)
    old = replace(maria, password_hash=await weak.hash(PASSWORD), version=maria.version + 1)
    weak.close()
    await here.users_repo.save(old)
    pair = await login(here)
    stored = await here.users_repo.get(maria.id)
    assert "m=64,t=1" in stored.password_hash
    assert await login(here)
    assert await caller_of(here, pair)


async def test_a_login_that_a_password_change_overtakes_opens_nothing(here, maria, monkeypatch):
    verify = here.passwords.verify

    async def slow_verify(*args, **kwargs):
        right = await verify(*args, **kwargs)
        monkeypatch.setattr(here.passwords, "verify", verify)
        await here.users.update(maria.id, {"password": "another horse battery staple"})
        return right

    monkeypatch.setattr(here.passwords, "verify", slow_verify)
    with pytest.raises(Unauthenticated):
        await login(here)
    assert await here.sessions.end_of_user(maria.id, now=0, reason="none should be left") == []


# -- refresh ------------------------------------------------------------------------------------------------------


async def test_a_refresh_gives_a_new_pair_and_both_access_tokens_count(here, maria):
    first = await login(here)
    second = await here.auth.refresh(first.refresh)
    assert second.refresh != first.refresh
    assert (await caller_of(here, first)).user == (await caller_of(here, second)).user == maria.id


async def test_a_refresh_token_used_again_ends_its_whole_family_and_no_other(here, maria):
    first, other = await login(here), await login(here)
    second = await here.auth.refresh(first.refresh)
    third = await here.auth.refresh(second.refresh)
    assert await caller_of(here, third)
    with pytest.raises(Unauthenticated):
        await here.auth.refresh(first.refresh)
    for pair in (first, second, third):
        assert await is_out(here, pair)
        with pytest.raises(Unauthenticated):
            await here.auth.refresh(pair.refresh)
    assert await caller_of(here, other)


async def test_of_many_who_refresh_with_one_token_at_once_one_wins_and_the_family_ends(here, maria):
    pair = await login(here)
    outcomes = await asyncio.gather(*(here.auth.refresh(pair.refresh) for _ in range(10)), return_exceptions=True)
    won = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    assert len(won) == 1
    assert all(isinstance(outcome, Unauthenticated) for outcome in outcomes if outcome is not won[0])
    assert await is_out(here, pair)
    assert await is_out(here, won[0])


async def test_a_family_ended_in_one_process_is_out_in_the_other_after_one_look(here, there, maria):
    pair = await login(here)
    assert await caller_of(there, pair)
    await here.auth.refresh(pair.refresh)
    with pytest.raises(Unauthenticated):
        await here.auth.refresh(pair.refresh)
    await there.round()
    assert await is_out(there, pair)


async def test_an_expired_refresh_token_is_refused_without_ending_anything(here, maria):
    pair = await login(here)
    here.clock.move(86_401)
    with pytest.raises(Unauthenticated):
        await here.auth.refresh(pair.refresh)
    assert (await session_of(here, pair)).live


async def test_an_access_token_is_no_refresh_token_and_a_refresh_token_no_access_token(here, maria):
    pair = await login(here)
    with pytest.raises(Unauthenticated):
        await here.auth.refresh(pair.access)
    with pytest.raises(Unauthenticated):
        await here.auth.authenticate(f"Bearer {pair.refresh}")
    assert await here.auth.refresh(pair.refresh)


async def test_only_hashes_of_refresh_tokens_are_stored(here, maria, database):
    pair = await login(here)
    stored = str(await database.collection("refresh_tokens").find_one({"user": maria.id}))
    assert not any(part in stored for part in pair.refresh.split("."))


async def test_an_access_token_expires(here, maria):
    pair = await login(here)
    assert await caller_of(here, pair)
    here.clock.move(3_600)
    assert await is_out(here, pair)
    assert await caller_of(here, await here.auth.refresh(pair.refresh))


# -- what ends access ---------------------------------------------------------------------------------------------


async def test_logout_acts_at_once_here_and_after_one_look_there(here, there, maria):
    pair, other = await login(here), await login(here)
    caller = await caller_of(here, pair)
    for process in (here, there):
        assert await caller_of(process, pair)
    await here.auth.logout(caller)
    assert await is_out(here, pair)
    await there.round()
    assert await is_out(there, pair)
    with pytest.raises(Unauthenticated):
        await here.auth.refresh(pair.refresh)
    assert await caller_of(here, other)
    assert await caller_of(there, other)


async def test_logout_also_ends_the_session_of_a_refresh_token_that_is_ones_own(here, maria, admin):
    mine, second, foreign = await login(here), await login(here), await login(here, "root.admin")
    caller = await caller_of(here, mine)
    await here.auth.logout(caller, second.refresh)
    assert await is_out(here, second)
    third = await login(here)
    await here.auth.logout(await caller_of(here, third), foreign.refresh)
    assert await caller_of(here, foreign)


async def test_a_role_change_acts_on_the_next_request_here_and_after_one_look_there(here, there, maria):
    pair = await login(here)
    assert (await caller_of(there, pair)).role is Role.TRADER
    assert (await caller_of(here, pair)).role is Role.TRADER
    await here.users.update(maria.id, {"role": Role.VIEWER})
    assert (await caller_of(here, pair)).role is Role.VIEWER
    await there.round()
    assert (await caller_of(there, pair)).role is Role.VIEWER


async def test_disabling_acts_at_once_here_and_after_one_look_there_and_is_not_undone_by_enabling(here, there, maria):
    pair, untouched = await login(here), await login(here)
    assert await caller_of(here, pair)
    assert await caller_of(there, pair)
    await here.users.update(maria.id, {"is_active": False})
    assert await is_out(here, pair)
    await there.round()
    assert await is_out(there, pair)
    with pytest.raises(Unauthenticated):
        await there.auth.refresh(pair.refresh)
    await here.users.update(maria.id, {"is_active": True})
    assert await is_out(here, pair)
    assert await is_out(here, untouched)
    assert await login(here)


async def test_the_supervised_watch_sees_what_another_process_changed_by_itself(here, there, maria):
    """RELIABILITY section 4: within one second, into which two looks fit."""
    pair = await login(here)
    assert await caller_of(there, pair)
    supervisor = Supervisor(clock=there.clock)
    supervisor.add(there.auth.watch)
    supervisor.start()
    await here.users.update(maria.id, {"is_active": False})
    await eventually(lambda: there.auth.remembered(f"Bearer {pair.access}") is None)
    await supervisor.stop()
    assert await is_out(there, pair)
    assert there.auth.watch.interval_s < 0.5


async def test_a_change_of_password_ends_all_other_sessions(here, there, maria):
    mine, other = await login(here), await login(here)
    caller = await caller_of(here, mine)
    assert await caller_of(there, other)
    await here.users.change_password(caller, PASSWORD, "another horse battery staple", HERE)
    assert await caller_of(here, mine)
    assert await is_out(here, other)
    await there.round()
    assert await is_out(there, other)
    assert await here.auth.refresh(mine.refresh)
    with pytest.raises(Unauthenticated):
        await login(here)
    assert await login(here, password="another horse battery staple")


async def test_a_change_of_password_needs_the_old_one_and_guesses_at_it_are_slowed_too(here, maria):
    caller = await caller_of(here, await login(here))
    for _ in range(5):
        with pytest.raises(Invalid) as refused:
            await here.users.change_password(caller, WRONG, "another horse battery staple", HERE)
        assert list(refused.value.errors) == ["old_password"]
    with pytest.raises(TooMany):
        await here.users.change_password(caller, PASSWORD, "another horse battery staple", HERE)


async def test_a_weak_new_password_is_refused_by_its_field(here, maria):
    caller = await caller_of(here, await login(here))
    with pytest.raises(Invalid) as refused:
        await here.users.change_password(caller, PASSWORD, "mariamaria12", HERE)
    assert list(refused.value.errors) == ["new_password"]


async def test_sockets_are_told_once_of_what_ends_and_not_of_what_does_not(here, there, maria, admin):
    heard_here, heard_there = [], []
    here.auth.on_revoked(heard_here.append)
    there.auth.on_revoked(heard_there.append)
    await here.users.update(maria.id, {"email": "maria@example.com"})
    await there.round()
    assert (heard_here, heard_there) == ([], [])
    for user, changes in (
        (maria, {"role": Role.VIEWER}),
        (maria, {"is_active": False}),
        (admin, {"password": "another horse battery staple"}),
    ):
        pair = await login(here, user.username)
        await here.users.update(user.id, changes)
        assert set(heard_here) == {user.id}
        heard_here.clear()
        for _ in range(2):
            await there.round()
            await here.round()
        assert (heard_here, heard_there) == ([], [user.id])
        heard_there.clear()
        assert pair.access


async def test_a_user_who_comes_back_right_after_logging_out_is_not_put_out_by_the_next_look(here, maria):
    await here.round()
    heard = []
    here.auth.on_revoked(heard.append)
    caller = await caller_of(here, await login(here))
    await here.auth.logout(caller)
    assert heard == [maria.id]
    again = await login(here)
    assert await caller_of(here, again)
    await here.round()
    assert heard == [maria.id]
    assert here.auth.remembered(f"Bearer {again.access}")


async def test_a_check_that_a_logout_overtakes_is_not_remembered(here, maria, monkeypatch):
    pair = await login(here)
    caller = await caller_of(here, await login(here))
    find = here.sessions.find

    async def slow_find(session):
        found = await find(session)
        await here.auth.logout(replace(caller, token=f"session:{session}"))
        return found

    monkeypatch.setattr(here.sessions, "find", slow_find)
    assert await caller_of(here, pair)  # it began before the logout
    monkeypatch.undo()
    assert await is_out(here, pair)


async def test_while_the_database_is_away_the_remembered_go_on_and_the_rest_are_told_to_wait(here, maria, monkeypatch):
    pair, other = await login(here), await login(here)
    await caller_of(here, pair)

    async def away(*_):
        raise Unavailable("the database is away")

    for repo in (here.users_repo, here.sessions):
        monkeypatch.setattr(repo, "changes_since", away)
        monkeypatch.setattr(repo, "find", away)
    await here.round()
    assert await caller_of(here, pair)
    with pytest.raises(Unavailable):
        await caller_of(here, other)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  x",
        "Basic bWFyaWE6eA==",
        "Bearer a.b.c",
        "Bearer " + "A" * 100_000,
        "Bearer qsk_",
        "Bearer qsk_" + "A" * 43,
        "Bearer qsk_" + "\u00e9" * 43,
        "Bearer \x00",
        "Bearer \ud800",
        "Bearer null",
        'Bearer {"$ne": null}',
    ],
)
async def test_a_header_that_proves_nothing_is_refused_and_never_an_error(here, header):
    with pytest.raises(Unauthenticated):
        await here.auth.authenticate(header)


async def test_a_well_signed_token_of_a_user_or_session_that_is_not_there_is_refused(here, maria, admin):
    pair = await login(here)
    claims = jwt.decode(pair.access, options={"verify_signature": False})
    session = claims["sid"]
    for user, sid in ((uuid7(), session), (maria.id, uuid7()), (admin.id, session)):
        with pytest.raises(Unauthenticated):
            await here.auth.authenticate_token(here.auth.signer.issue(user, sid))


# -- users --------------------------------------------------------------------------------------------------------


async def test_a_trader_gets_an_account_with_cash(here, maria):
    rich = await here.users.create("jonas", PASSWORD, Role.TRADER, Decimal("250.25"))
    for user, cash in ((maria, Decimal(1_000_000)), (rich, Decimal("250.25"))):
        account = await here.accounts.get(user.accounts[0])
        assert (account.user, account.name, account.cash, account.deposited, account.currency) == (
            user.id,
            user.username,
            cash,
            cash,
            "USD",
        )
        assert await here.users.get(user.id) == user


async def test_who_does_not_trade_has_no_account_until_they_do(here):
    viewer = await here.users.create("jonas", PASSWORD, Role.VIEWER)
    assert viewer.accounts == ()
    with pytest.raises(Invalid):
        await here.users.create("anna", PASSWORD, Role.VIEWER, Decimal(1))
    trader = await here.users.update(viewer.id, {"role": Role.TRADER})
    assert (await here.accounts.get(trader.accounts[0])).user == viewer.id


async def test_a_user_whose_account_cannot_be_opened_does_not_come_to_be(here, monkeypatch):
    async def fail(*_):
        raise Unavailable("the database is away")

    monkeypatch.setattr(here.users, "_open_account", fail)
    with pytest.raises(Unavailable):
        await here.users.create("jonas", PASSWORD, Role.TRADER)
    monkeypatch.undo()
    assert await here.users.create("jonas", PASSWORD, Role.TRADER)


async def test_an_account_that_a_killed_process_left_unopened_is_opened_once_by_the_next_change(here, maria, database):
    accounts = database.collection("accounts")
    await accounts.delete_many({})
    await asyncio.gather(*(here.users.update(maria.id, {}) for _ in range(5)))
    assert [document["_id"] async for document in accounts.find()] == list(maria.accounts)
    await accounts.update_one({}, {"$set": {"is_active": False}})
    await here.users.update(maria.id, {"email": "maria@example.com"})
    assert (await accounts.find_one())["is_active"] is False


async def test_a_name_is_given_once(here, maria, database):
    with pytest.raises(AlreadyExists):
        await here.users.create("MARIA", PASSWORD, Role.TRADER)
    assert await database.collection("accounts").count_documents({}) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"username": "ab"}, "username"),
        ({"username": "x" * 65}, "username"),
        ({"username": "maria lopez"}, "username"),
        ({"username": ".maria"}, "username"),
        ({"username": "maria\n"}, "username"),
        ({"username": "m\u0430ria"}, "username"),  # a Cyrillic letter
        ({"username": "$where"}, "username"),
        ({"password": "short"}, "password"),
        ({"password": "jonas.meier1"}, "password"),
        ({"email": "not an address"}, "email"),
        ({"email": "a@b\n"}, "email"),
        ({"cash": Decimal(-1)}, "cash"),
    ],
)
async def test_a_user_who_cannot_be_made_is_refused_by_field(here, changes, field):
    given = {"username": "jonas.meier", "password": PASSWORD, "role": Role.TRADER, **changes}
    with pytest.raises(Invalid) as refused:
        await here.users.create(**given)
    assert list(refused.value.errors) == [field]
    assert (await here.users.page(Listing())).items == []


async def test_the_last_active_admin_can_neither_leave_nor_be_demoted(here, admin, maria):
    for changes in ({"role": Role.AUDITOR}, {"is_active": False}):
        with pytest.raises(Conflict):
            await here.users.update(admin.id, changes)
    await here.users.update(maria.id, {"role": Role.ADMIN})
    assert (await here.users.update(admin.id, {"is_active": False})).is_active is False


async def test_a_change_against_an_older_version_is_refused(here, maria):
    changed = await here.users.update(maria.id, {"email": "maria@example.com"}, version=maria.version)
    assert changed.version == maria.version + 1
    with pytest.raises(PreconditionFailed):
        await here.users.update(maria.id, {"email": None}, version=maria.version)


async def test_a_change_that_changes_nothing_leaves_the_version_and_the_sessions(here, maria):
    pair = await login(here)
    same = await here.users.update(maria.id, {"role": Role.TRADER, "is_active": True, "email": None})
    assert same == maria
    assert await caller_of(here, pair)


async def test_a_further_account_shows_at_once_and_closes_nothing(here, maria):
    pair = await login(here)
    assert len((await caller_of(here, pair)).accounts) == 1
    heard = []
    here.auth.on_revoked(heard.append)
    second = uuid7()
    for _ in range(2):
        await here.users.attach_account(maria.id, second)
    assert (await caller_of(here, pair)).accounts == (*maria.accounts, second)
    assert heard == []


async def test_the_demo_users_are_made_once_and_their_passwords_kept_for_their_owner_alone(here, tmp_path):
    username, password = await here.users.ensure_demo()
    assert username == "demo"
    assert await here.users.ensure_demo() == (username, password)
    path = tmp_path / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = json.loads(path.read_text())
    assert kept["demo"] == password
    assert (await caller_of(here, await login(here, "demo", password))).role is Role.TRADER
    assert (await caller_of(here, await login(here, "admin", kept["admin"]))).role is Role.ADMIN
    assert (await here.users.page(Listing())).count == 2


async def test_two_processes_that_start_at_once_make_one_demo(here, there):
    assert len(set(await asyncio.gather(here.users.ensure_demo(), there.users.ensure_demo()))) == 1
    assert (await here.users.page(Listing())).count == 2


async def test_a_demo_password_set_since_is_left_alone_and_not_printed(here):
    await here.users.ensure_demo()
    demo = await here.users.find_by_username("demo")
    await here.users.update(demo.id, {"password": PASSWORD})
    assert await here.users.ensure_demo() == ("demo", "")
    assert await login(here, "demo", PASSWORD)


# -- API keys -----------------------------------------------------------------------------------------------------


async def test_an_api_key_lets_in_until_it_is_deleted(here, there, maria):
    caller = await caller_of(here, await login(here))
    made = await here.auth.keys.create(caller, "notebook")
    assert made.secret.startswith(made.key.prefix)
    assert len(made.key.prefix) == 12
    for process in (here, there):
        known = await process.auth.authenticate_token(made.secret)
        assert (known.user, known.role, known.accounts) == (maria.id, Role.TRADER, maria.accounts)
        assert process.auth.remembered(f"Bearer {made.secret}") is known
    await here.auth.delete_key(caller, made.key.id)
    await there.round()
    for process in (here, there):
        assert process.auth.remembered(f"Bearer {made.secret}") is None
        with pytest.raises(Unauthenticated):
            await process.auth.authenticate_token(made.secret)
    with pytest.raises(NotFound):
        await here.auth.delete_key(caller, made.key.id)


async def test_a_key_does_at_most_what_its_user_may_do_now(here, maria, admin):
    trader = await caller_of(here, await login(here))
    chief = await caller_of(here, await login(here, "root.admin"))
    for caller, role in ((trader, Role.ADMIN), (trader, Role.RISK_MANAGER), (chief, Role.TRADER)):
        with pytest.raises(Forbidden):
            await here.auth.keys.create(caller, "too much", role=role)
    lesser = await here.auth.keys.create(trader, "reader", role=Role.VIEWER)
    equal = await here.auth.keys.create(trader, "robot")
    assert (await here.auth.authenticate_token(lesser.secret)).role is Role.VIEWER
    await here.users.update(maria.id, {"role": Role.AUDITOR})
    assert (await here.auth.authenticate_token(lesser.secret)).role is Role.VIEWER
    with pytest.raises(Forbidden):
        await here.auth.authenticate_token(equal.secret)
    await here.users.update(maria.id, {"is_active": False})
    with pytest.raises(Unauthenticated):
        await here.auth.authenticate_token(lesser.secret)


async def test_a_key_can_make_list_and_delete_no_keys_nor_change_the_password_nor_log_out(here, maria):
    caller = await caller_of(here, await login(here))
    made = await here.auth.keys.create(caller, "robot")
    robot = await here.auth.authenticate_token(made.secret)
    for attempt in (
        here.auth.keys.create(robot, "child"),
        here.auth.keys.page(robot, Listing()),
        here.auth.delete_key(robot, made.key.id),
        here.users.change_password(robot, PASSWORD, "another horse battery staple", HERE),
        here.auth.logout(robot),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_a_key_expires(here, maria):
    caller = await caller_of(here, await login(here))
    made = await here.auth.keys.create(caller, "short", expires_at=here.clock() + 60_000_000_000)
    assert await here.auth.authenticate_token(made.secret)
    here.clock.move(60)
    assert here.auth.remembered(f"Bearer {made.secret}") is None
    with pytest.raises(Unauthenticated):
        await here.auth.authenticate_token(made.secret)
    with pytest.raises(Invalid):
        await here.auth.keys.create(caller, "past", expires_at=here.clock() - 1_000_000_000)


async def test_keys_are_bounded_listed_to_their_owner_and_stored_as_hashes(here, maria, admin, database, monkeypatch):
    monkeypatch.setattr("qsuite.services.api_keys.MAX_KEYS", 2)
    caller, other = await caller_of(here, await login(here)), await caller_of(here, await login(here, "root.admin"))
    made = [await here.auth.keys.create(caller, name) for name in ("one", "two")]
    with pytest.raises(Conflict):
        await here.auth.keys.create(caller, "three")
    assert {key.name for key in (await here.auth.keys.page(caller, Listing())).items} == {"one", "two"}
    assert (await here.auth.keys.page(other, Listing())).items == []
    with pytest.raises(NotFound):
        await here.auth.delete_key(other, made[0].key.id)
    stored = str(await database.collection("api_keys").find().to_list(None))
    assert made[0].secret not in stored


# -- secrets ------------------------------------------------------------------------------------------------------


async def test_no_secret_appears_in_a_log_an_error_or_a_repr(here, maria, caplog):
    canary = "canary sings in a cold mine 7"
    caplog.set_level(logging.DEBUG)
    for name in QUIET_LIBRARIES:  # as the process is set up: the driver would log whole documents
        caplog.set_level(logging.WARNING, logger=name)
    shown = []
    with structlog.testing.capture_logs() as lines:
        user = await here.users.create("jonas", canary, Role.TRADER)
        pair = await login(here, "jonas", canary)
        caller = await caller_of(here, pair)
        made = await here.auth.keys.create(caller, "robot")
        fresh = await here.auth.refresh(pair.refresh)
        for attempt in (
            login(here, "jonas", canary + "!"),
            login(here, canary, "x"),
            here.auth.refresh(pair.refresh),
            here.auth.authenticate_token(pair.access + "x"),
            here.auth.authenticate_token(made.secret + "x"),
            here.users.change_password(caller, canary, "short", HERE),
            here.users.create("anna", canary[:11], Role.VIEWER),
            here.users.create("anna", f"{canary}\ud800" * 50, Role.VIEWER),
        ):
            with pytest.raises((Unauthenticated, Invalid)) as refused:
                await attempt
            error = refused.value
            shown += [str(error), repr(error), error.facts, getattr(error, "errors", ""), error.__cause__]
    session = await session_of(here, pair)
    things = [user, pair, fresh, caller, made, made.key, session, here.auth, here.users, here.auth.signer]
    text = " ".join(map(repr, [*lines, *shown, *things, caplog.text]))
    assert lines
    for secret in (canary, canary[:11], pair.access, *pair.refresh.split("."), *fresh.refresh.split("."), made.secret):
        assert secret not in text
    for hashed in (user.password_hash, session.secret_hash, session.handle_hash, made.key.key_hash):
        assert hashed not in text
