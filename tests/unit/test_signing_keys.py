"""Which key signs and which verifies at any instant, and that a document alone makes none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite.domain.errors import NotFound, Unavailable
from qsuite.domain.signing_keys import SLACK_NS, KeyState, SigningKey, ends_at, in_order, signing, state_of
from qsuite.services.keyring import Ring, first_key, new_key
from qsuite.services.secrets import Secrets, secret_id

NS = 1_000_000_000
LIFE = 3_600 * NS
OLD, NEW = "old-secret-of-more-than-32-characters-01234", "new-secret-of-more-than-32-characters-98765"


def key(name: str, signs_from: int, revoked_at: int | None = None) -> SigningKey:
    return SigningKey(name, "secret", b"", made_at=0, signs_from=signs_from, revoked_at=revoked_at)


def test_a_key_waits_signs_verifies_and_retires() -> None:
    first, second = key("a", 0), key("b", 100 * NS)
    keys = [first, second]
    end = 100 * NS + LIFE + SLACK_NS
    assert ends_at(first, keys, LIFE) == end
    expected = {
        99 * NS: (KeyState.SIGNING, KeyState.WAITING),
        100 * NS: (KeyState.VERIFYING, KeyState.SIGNING),
        end - 1: (KeyState.VERIFYING, KeyState.SIGNING),
        end: (KeyState.RETIRED, KeyState.SIGNING),
    }
    for now, states in expected.items():
        assert tuple(state_of(each, keys, now, LIFE) for each in keys) == states


def test_a_key_revoked_before_its_time_takes_nothing_over() -> None:
    first, never, third = key("a", 0), key("b", 100, revoked_at=50), key("c", 500)
    keys = [first, never, third]
    assert signing(keys, 400) == first
    assert ends_at(first, keys, LIFE) == 500 + LIFE + SLACK_NS


def test_a_key_that_signed_and_was_revoked_does_not_bring_back_the_one_before() -> None:
    assert signing([key("a", 0), key("b", 100, revoked_at=200)], 300) is None


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(0, 100), st.integers(1, 20))
def test_what_any_key_signed_is_verified_for_as_long_as_a_token_lives(
    starts: list[int], issued: int, life: int
) -> None:
    keys = in_order([key("first", 0), *(key(f"k{number}", start) for number, start in enumerate(starts))])
    signer = signing(keys, issued)
    assert signer is not None
    end = ends_at(signer, keys, life)
    assert end is None or end > issued + life


def test_a_document_makes_a_key_only_with_the_secret_it_names() -> None:
    mine = new_key(NEW, now=0, signs_from=0)
    assert Ring(Secrets(NEW), [mine], LIFE).signing(1).key == mine
    for forged in (replace(mine, salt=b"x" * 32), replace(mine, secret=secret_id(OLD)), replace(mine, id="A" * 16)):
        ring = Ring(Secrets(NEW, (OLD,)), [forged], LIFE)
        assert ring.foreign == [forged.id]
        assert ring.published(1) == []
        with pytest.raises(Unavailable):
            ring.signing(1)


def test_what_was_derived_under_a_key_of_an_old_secret_is_derived_again_while_that_is_configured() -> None:
    before, after = first_key(OLD), new_key(NEW, now=5, signs_from=5)
    then = Ring(Secrets(OLD), [before], LIFE).derived_key(b"totp", before.id)
    now = Ring(Secrets(NEW, (OLD,)), [before, after], LIFE)
    assert now.derived_key(b"totp", before.id) == then
    others = {now.derived_key(b"totp", after.id), now.derived_key(b"other", before.id), then}
    assert len(others) == 3
    with pytest.raises(NotFound):
        Ring(Secrets(NEW), [before, after], LIFE).derived_key(b"totp", before.id)


def test_neither_secrets_nor_keys_show_themselves() -> None:
    assert OLD not in repr(Secrets(NEW, (OLD,)))
    assert NEW not in repr(Secrets(NEW, (OLD,)))
