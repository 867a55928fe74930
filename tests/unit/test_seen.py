"""A used client order id is never called new, and a new one is seldom called used."""

from uuid import UUID

from qsuite.domain.trading.seen import SeenIds

ONE, OTHER = UUID(int=1), UUID(int=2)


def test_every_id_that_was_added_may_have_been_seen() -> None:
    seen = SeenIds()
    for number in range(20_000):
        seen.add(ONE, str(number))
    seen.complete = True
    assert all(seen.may_hold(ONE, str(number)) for number in range(20_000))


def test_until_all_are_known_any_id_may_have_been_seen() -> None:
    assert SeenIds().may_hold(ONE, "new")


def test_the_same_id_of_another_account_is_another_id() -> None:
    seen = SeenIds()
    seen.add(ONE, "a")
    seen.complete = True
    assert not seen.may_hold(OTHER, "a")


def test_of_new_ids_at_most_one_in_a_hundred_is_looked_up_at_the_expected_size() -> None:
    # 16 to 32 bits an id and 4 probes: (1 - e^(-4/16))^4 = 0.24 % at worst
    seen = SeenIds(expected=300_000)
    for number in range(300_000):
        seen.add(ONE, str(number))
    seen.complete = True
    doubted = sum(seen.may_hold(OTHER, str(number)) for number in range(20_000))
    assert doubted < 200
