"""Guessing is slowed down where it happens, and nowhere else."""

import pytest

from qsuite.domain.errors import TooMany
from qsuite.services import login_delays
from qsuite.services.login_delays import LoginDelays, login_key

MARIA = login_key("maria", "203.0.113.7")
S = 1_000_000_000


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def delays(clock):
    return LoginDelays(clock=clock)


def wait_of(delays, key):
    try:
        delays.check(key)
    except TooMany as refused:
        return refused.retry_after_s
    return 0


def test_the_first_five_failures_cost_nothing_and_each_further_one_doubles_the_wait(delays, clock):
    waits = []
    for _ in range(10):
        waits.append(wait_of(delays, MARIA))
        clock.now += waits[-1] * S
        delays.check(MARIA)
        delays.failed(MARIA)
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16]


def test_the_wait_never_exceeds_a_quarter_of_an_hour(delays):
    for _ in range(1_000):
        delays.failed(MARIA)
    assert wait_of(delays, MARIA) == 900


def test_a_hundred_failures_from_one_address_delay_nobody_at_another(delays):
    for _ in range(100):
        delays.failed(MARIA)
    assert wait_of(delays, login_key("maria", "203.0.113.8")) == 0
    assert wait_of(delays, login_key("jonas", "203.0.113.7")) == 0


def test_a_name_in_another_case_is_the_same_name(delays):
    for _ in range(6):
        delays.failed(MARIA)
    assert wait_of(delays, login_key("MARIA", "203.0.113.7")) == 2


def test_the_addresses_of_one_ipv6_host_are_one(delays):
    assert login_key("maria", "2001:db8:1:2::1") == login_key("maria", "2001:db8:1:2:ffff::9%eth0")
    assert login_key("maria", "2001:db8:1:2::1") != login_key("maria", "2001:db8:1:3::1")
    assert login_key("maria", "not an address")[1] == "not an address"


def test_the_right_password_forgets_the_failures(delays):
    for _ in range(8):
        delays.failed(MARIA)
    delays.succeeded(MARIA)
    assert wait_of(delays, MARIA) == 0


def test_failures_of_an_hour_ago_are_forgotten(delays, clock):
    for _ in range(8):
        delays.failed(MARIA)
    clock.now += 3_601 * S
    delays.failed(MARIA)
    assert wait_of(delays, MARIA) == 0


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(delays, monkeypatch):
    monkeypatch.setattr(login_delays, "MAX_KEPT", 3)
    for _ in range(6):
        delays.failed(MARIA)
    for number in range(2):
        delays.failed(login_key(f"user{number}", "203.0.113.7"))
    assert wait_of(delays, MARIA) == 2
    delays.failed(login_key("user3", "203.0.113.7"))
    assert wait_of(delays, MARIA) == 0
