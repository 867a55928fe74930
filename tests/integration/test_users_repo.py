"""Users, sessions and API keys in the database: one contract, on a real mongod and on the in-memory fallback."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from qsuite.domain.access import ApiKey, Session
from qsuite.domain.errors import AlreadyExists, Invalid, NotFound, PreconditionFailed
from qsuite.domain.listing import Condition, Listing
from qsuite.domain.roles import Role
from qsuite.domain.users import User
from qsuite.repos.api_keys import ApiKeysRepo
from qsuite.repos.refresh_tokens import RefreshTokensRepo
from qsuite.repos.users import UsersRepo
from tests.support.auth import prepare

MS = 1_000_000
NOW = 4_102_444_800_000 * MS  # 2100: a session of the past would be removed while it is looked at
HASH = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA"


@pytest.fixture(params=["mongod", "memory"])
def store(request, io_loop):
    found = request.getfixturevalue("database" if request.param == "mongod" else "memory_database")
    io_loop.run_sync(lambda: prepare(found))
    return found


def user(username="Maria", role=Role.TRADER, **changes):
    return User(id=uuid7(), username=username, role=role, password_hash=HASH, created_at=NOW, updated_at=NOW, **changes)


def session(owner, **changes):
    known = {
        "id": uuid7(),
        "user": owner.id,
        "username": owner.username,
        "handle_hash": f"{uuid7().int:064x}",
        "secret_hash": "a" * 64,
        "created_at": NOW,
        "refreshed_at": NOW,
        "expires_at": NOW + 1_000 * MS,
        "kept_until": NOW + 1_000 * MS,
    }
    return Session(**{**known, **changes})


async def test_a_user_comes_back_as_they_were_stored(store):
    repo = UsersRepo(store)
    maria = user(email="maria@example.com", accounts=(uuid7(), uuid7()), access_changed_at=NOW)
    await repo.add(maria)
    assert await repo.get(maria.id) == maria
    assert await repo.find_by_username("mARIA") == maria
    assert await repo.find(uuid7()) is None
    with pytest.raises(NotFound):
        await repo.get(uuid7())


async def test_a_username_is_taken_whatever_its_case(store):
    repo = UsersRepo(store)
    await repo.add(user("Maria"))
    with pytest.raises(AlreadyExists):
        await repo.add(user("mARIA"))


async def test_of_two_changes_made_from_one_reading_the_second_is_refused(store):
    repo = UsersRepo(store)
    maria = user()
    await repo.add(maria)
    await repo.save(replace(maria, email="a@example.com", version=2))
    with pytest.raises(PreconditionFailed):
        await repo.save(replace(maria, email="b@example.com", version=2))
    assert (await repo.get(maria.id)).email == "a@example.com"


async def test_a_list_filters_by_role_and_by_name_in_any_case(store):
    repo = UsersRepo(store)
    for found in (user("Maria"), user("jonas", Role.ADMIN), user("Anna", is_active=False)):
        await repo.add(found)
    order = (("username", False),)

    async def names(*conditions, search=None):
        page = await repo.page(Listing(conditions=conditions, order=order, search=search))
        return [found.username for found in page.items]

    assert await names() == ["Anna", "jonas", "Maria"]
    assert await names(Condition("role", "eq", Role.ADMIN)) == ["jonas"]
    assert await names(Condition("role", "in", (Role.ADMIN, Role.TRADER))) == ["Anna", "jonas", "Maria"]
    assert await names(Condition("username", "eq", "MARIA")) == ["Maria"]
    assert await names(Condition("is_active", "eq", False)) == ["Anna"]
    assert await names(search="ARI") == ["Maria"]
    assert await repo.count_active(Role.TRADER) == 1


async def test_what_changed_since_an_instant_is_found_once_for_each_kind_of_change(store):
    repo = UsersRepo(store)
    old = user("old", access_changed_at=NOW - 60_000 * MS)
    changed = replace(user("changed", access_changed_at=NOW + 5 * MS), updated_at=NOW + 5 * MS, version=2)
    renamed = replace(user("renamed", access_changed_at=NOW - 60_000 * MS), updated_at=NOW + 5 * MS, version=7)
    for found in (old, changed, renamed):
        await repo.add(found)
    found = await repo.changes_since(NOW + 1 * MS)
    assert {(one.user, one.mark, one.revokes) for one in found} == {
        (changed.id, 2, False),
        (changed.id, NOW + 5 * MS, True),
        (renamed.id, 7, False),
    }


async def test_a_password_in_clear_does_not_fit_the_collection(database):
    await prepare(database)
    with pytest.raises(Invalid):
        await UsersRepo(database).add(replace(user(), password_hash="correct horse battery staple"))


async def test_a_session_comes_back_as_it_was_stored(store):
    repo = RefreshTokensRepo(store)
    mine = session(user())
    await repo.add(mine)
    assert await repo.find(mine.id) == mine
    assert await repo.find_by_handle(mine.handle_hash) == mine


async def rotate(repo, mine, old, new, now=NOW):
    later = now + 2_000 * MS
    return await repo.rotate(mine.handle_hash, old * 64, new * 64, now=now, expires_at=later, kept_until=later)


async def test_a_secret_is_exchanged_once(store):
    repo = RefreshTokensRepo(store)
    mine = session(user())
    await repo.add(mine)
    rotated = await rotate(repo, mine, "a", "b")
    assert (rotated.secret_hash, rotated.rotations, rotated.expires_at) == ("b" * 64, 1, NOW + 2_000 * MS)
    assert await rotate(repo, mine, "a", "c") is None
    assert (await rotate(repo, mine, "b", "c")).rotations == 2


async def test_of_twenty_who_exchange_one_secret_at_once_one_succeeds(store):
    repo = RefreshTokensRepo(store)
    mine = session(user())
    await repo.add(mine)
    outcomes = await asyncio.gather(*(rotate(repo, mine, "a", letter) for letter in "bcdefghijklmnopqrstu"))
    assert sum(outcome is not None for outcome in outcomes) == 1


async def test_an_expired_or_ended_session_exchanges_nothing(store):
    repo = RefreshTokensRepo(store)
    mine = session(user())
    await repo.add(mine)
    assert await rotate(repo, mine, "a", "b", now=NOW + 1_000 * MS) is None
    change = await repo.end(mine.id, now=NOW + 1 * MS, reason="logout")
    assert (change.user, change.subject, change.mark) == (mine.user, mine.id, NOW + 1 * MS)
    assert await rotate(repo, mine, "a", "b") is None
    assert await repo.end(mine.id, now=NOW + 2 * MS, reason="reuse") is None
    assert (await repo.find(mine.id)).end_reason == "logout"


async def test_all_sessions_of_a_user_end_but_the_one_to_keep(store):
    repo = RefreshTokensRepo(store)
    maria, jonas = user(), user("jonas")
    mine = [session(maria) for _ in range(3)]
    other = session(jonas)
    for one in (*mine, other):
        await repo.add(one)
    ended = await repo.end_of_user(maria.id, now=NOW, reason="password", keep=mine[0].id)
    assert {change.subject for change in ended} == {mine[1].id, mine[2].id}
    assert set(await repo.changes_since(NOW)) == set(ended)
    assert [(await repo.find(one.id)).live for one in (*mine, other)] == [True, False, False, True]


async def test_mongodb_removes_a_session_when_no_token_of_it_can_be_shown_any_more(database):
    await prepare(database)
    indexes = await database.collection("refresh_tokens").index_information()
    assert indexes["remove_when_over"]["key"] == [("kept_until", 1)]
    assert indexes["remove_when_over"]["expireAfterSeconds"] == 0


async def test_a_key_is_found_by_its_hash_and_listed_until_it_is_revoked(store):
    repo = ApiKeysRepo(store)
    maria = user()
    key = ApiKey(
        id=uuid7(),
        user=maria.id,
        username=maria.username,
        name="notebook",
        role=Role.VIEWER,
        prefix="qsk_abcd",
        key_hash="f" * 64,
        created_at=NOW,
        expires_at=NOW + 5 * MS,
    )
    await repo.add(key)
    assert await repo.find_by_hash("f" * 64) == key
    assert (await repo.page(maria.id, Listing())).items == [key]
    assert (await repo.page(uuid7(), Listing())).items == []
    assert await repo.revoke(key.id, uuid7(), now=NOW) is None
    change = await repo.revoke(key.id, maria.id, now=NOW + 1 * MS)
    assert await repo.changes_since(NOW) == [change]
    assert (await repo.page(maria.id, Listing())).items == []
    assert await repo.count(maria.id) == 0
    assert (await repo.find_by_hash("f" * 64)).usable(NOW) is False


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("users", {"username_key": "maria"}),
        ("users", {"updated_at": {"$gte": None}}),
        ("refresh_tokens", {"handle_hash": "x"}),
        ("refresh_tokens", {"ended_at": {"$gte": None}}),
        ("refresh_tokens", {"user": UUID(int=1), "ended_at": None}),
        ("api_keys", {"key_hash": "x"}),
        ("api_keys", {"revoked_at": {"$gte": None}}),
    ],
)
async def test_what_is_asked_often_is_answered_from_an_index(database, name, query):
    await prepare(database)
    plan = await database.collection(name).find(query).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
