"""Which passwords are refused, and that hashing tells nothing about who exists."""

import asyncio

import pytest

from qsuite.domain.errors import Invalid, TooMany, Unavailable
from qsuite.domain.passwords import normalized, objections
from qsuite.services import passwords as module
from qsuite.services.passwords import Passwords
from qsuite.settings import AuthSettings

CHEAP = AuthSettings(argon2_memory_kib=64, argon2_time_cost=1)


@pytest.fixture
def passwords():
    made = Passwords(CHEAP, workers=2)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("password", "about"),
    [
        ("Tr0ub4dor&3", ()),  # 11 characters
        ("493718205617", ()),
        ("49 37-18.20/56,17", ()),
        ("٤٩٣٧١٨٢٠٥٦١٧", ()),  # twelve Arabic digits are digits too
        ("maria.lopez1", ("maria.lopez",)),
        ("Maria-Lopez-26", ("maria.lopez",)),
        ("zepol.airam99", ("maria.lopez",)),
        ("bobbobbobbob", ("bob",)),
        ("maria.1234567", ("maria",)),
        ("19031987-maria", ("maria",)),
        ("maria@example.com", ("ml", "maria@example.com")),
    ],
)
def test_a_short_numeric_or_name_like_password_is_refused(password, about):
    assert objections(normalized(password), about, min_length=12)


@pytest.mark.parametrize(
    ("password", "about"),
    [
        ("correct horse battery staple", ("maria.lopez",)),
        ("Zq8!vK2#pLm4", ()),
        ("bobsled-quantum-tractor", ("bob",)),
        ("пароль-из-длинных-слов", ("maria.lopez",)),
    ],
)
async def test_a_long_unusual_password_is_taken(passwords, password, about):
    assert objections(normalized(password), about, min_length=12) == []
    await passwords.refuse_weak(password, about)


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "qwertyuiop12",
        "P@ssw0rd1234",
        "aaaaaaaaaaaa",
        "abcdefghijkl",
        "Test1234Test1234",
        "qsuiteqsuite1",
    ],
)
async def test_a_common_password_is_refused_with_a_reason_per_field(passwords, password):
    with pytest.raises(Invalid) as refused:
        await passwords.refuse_weak(password, (), field="new_password")
    assert list(refused.value.errors) == ["new_password"]
    assert password not in str(refused.value.errors)


async def test_a_password_of_a_thousand_characters_works_and_a_longer_one_is_refused(passwords):
    long = "Zq8!vK2#pLm4 " * 76 + "x" * 12
    assert len(long) == 1000
    await passwords.refuse_weak(long, ())
    assert await passwords.verify(await passwords.hash(long), long)
    with pytest.raises(Invalid):
        await passwords.refuse_weak(long + "x", ())


async def test_a_password_of_lookalikes_is_judged_without_trying_all_their_meanings(passwords, monkeypatch):
    judged = []
    monkeypatch.setattr("zxcvbn.zxcvbn", lambda text, user_inputs: judged.append(text) or {"score": 4})
    await passwords.refuse_weak("4@8({[<3691!|0$5+7%2", ())
    assert judged == ["aabcccceggiiiossttxz"]


async def test_the_right_password_is_verified_however_its_characters_were_typed(passwords):
    composed, decomposed = "caf\u00e9 con leche y pan", "cafe\u0301 con leche y pan"
    assert await passwords.verify(await passwords.hash(composed), decomposed)


async def test_a_wrong_password_no_hash_and_no_argon2_hash_are_all_no(passwords):
    hashed = await passwords.hash("correct horse battery staple")
    assert not await passwords.verify(hashed, "correct horse battery stable")
    assert not await passwords.verify(None, "correct horse battery staple")
    assert not await passwords.verify("plain text", "correct horse battery staple")


async def test_an_unknown_user_costs_a_hash_as_well(passwords, monkeypatch):
    tried = []
    verify = type(passwords._hasher).verify
    monkeypatch.setattr(
        type(passwords._hasher), "verify", lambda self, hashed, raw: tried.append(hashed) or verify(self, hashed, raw)
    )
    await passwords.verify(None, "correct horse battery staple")
    assert len(tried) == 1
    assert tried[0].startswith("$argon2id$v=19$m=64,t=1,p=1$")


async def test_the_hash_is_argon2id_with_the_configured_parameters_and_another_salt_each_time():
    made = Passwords(AuthSettings(), workers=1)
    first, second = await made.hash("correct horse battery staple"), await made.hash("correct horse battery staple")
    made.close()
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second


async def test_a_hash_of_other_parameters_is_outdated(passwords):
    stronger = Passwords(AuthSettings(argon2_memory_kib=128, argon2_time_cost=1), workers=1)
    hashed = await passwords.hash("correct horse battery staple")
    assert stronger.outdated(hashed)
    assert not passwords.outdated(hashed)
    stronger.close()


async def test_what_is_checked_when_the_turn_comes_keeps_the_password_from_being_tried(passwords, monkeypatch):
    tried = []
    monkeypatch.setattr(passwords, "_verify", lambda *given: tried.append(given))

    def refuse():
        raise TooMany("later")

    with pytest.raises(TooMany):
        await passwords.verify("x", "y", before=refuse)
    assert tried == []


async def test_more_logins_than_may_wait_are_refused_and_the_waiting_ones_served(passwords, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    outcomes = await asyncio.gather(*(passwords.hash("x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 2
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 3
    assert await passwords.hash("x")
