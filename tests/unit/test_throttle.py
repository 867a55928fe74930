"""Which buckets a request takes of, and what it is told about them."""

import re
from dataclasses import replace
from uuid import UUID

import pytest

from qsuite.domain.errors import Invalid, Throttled
from qsuite.domain.off import OFF
from qsuite.domain.roles import Caller, Role
from qsuite.domain.throttling import ThrottleScope, parse_rate
from qsuite.services.throttle import Throttle, Verdict
from qsuite.settings import ThrottleSettings, load_settings
from tests.support.running_app import SECRET

ANNA = Caller(UUID(int=1), "anna", Role.TRADER, (), "session:1")
ANNAS_KEY = replace(ANNA, token="key:1")
ANNAS_OTHER_KEY = replace(ANNA, token="key:2")
BERT = Caller(UUID(int=2), "bert", Role.TRADER, (), "session:2")
SMALL = {"anonymous": "3/hour", "user": "5/hour", "key": "2/hour", "orders": "4/minute", "cancels": "9/minute"}
ITEM = re.compile(r'"(\w+)"((?:;[a-z-]+=\d+)+)')


class Clock:
    ns = 12_345_678_901

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return made(clock, **SMALL)


def made(clock: Clock, **rates: str) -> Throttle:
    limits = {name: parse_rate(text) if text != "off" else OFF for name, text in rates.items()}
    return Throttle(replace(ThrottleSettings(), **limits), clock=clock)


def take(throttle: Throttle, who: Caller | str, scope=ThrottleScope.DEFAULT, **how: int) -> Verdict:
    told = throttle.take(scope, who, **how)
    assert isinstance(told, Verdict)  # at once, without awaiting
    return told


def passes(throttle: Throttle, who: Caller | str, scope=ThrottleScope.DEFAULT, **how: int) -> bool:
    return take(throttle, who, scope, **how).refusal is None


def fields(told: Verdict) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """Read the two fields as the draft writes them: quoted names, whole numbers."""
    lines = told.fields.split("\r\n")
    assert [line.partition(":")[0] for line in lines] == ["RateLimit-Policy", "RateLimit", ""]
    both = []
    for line in lines[:2]:
        items = line.partition(": ")[2].split(", ")
        matches = [ITEM.fullmatch(item) for item in items]
        both.append({m[1]: {k: int(v) for k, v in re.findall(r"([a-z-]+)=(\d+)", m[2])} for m in matches if m})
        assert len(both[-1]) == len(items)
    return both[0], both[1]


def test_the_shipped_limits_are_those_of_the_contract() -> None:
    shipped = ThrottleSettings()
    given = {"QSUITE_PROFILE": "production", "QSUITE_SECRET_KEY": SECRET, "QSUITE_MONGODB_URI": "mongodb://localhost"}
    assert load_settings(given, dotenv=None).throttle == shipped
    assert (str(shipped.anonymous), str(shipped.user)) == ("100/hour", "1000/hour")
    for machine in (shipped.orders, shipped.cancels, shipped.market_data):
        assert machine is not OFF
        assert machine.count / machine.seconds >= 100
        assert machine.burst >= 1_000  # of one orders/bulk/
    local = load_settings({}, dotenv=None).throttle
    for name in ThrottleSettings.__dataclass_fields__:
        assert str(getattr(local, name)) == "1000000/second"
    assert load_settings({"QSUITE_THROTTLE__USER": "off"}, dotenv=None).throttle.user is OFF


def test_what_is_told_is_what_is_left_and_when_there_is_more(throttle: Throttle, clock: Clock) -> None:
    policy, left = fields(take(throttle, "192.0.2.1"))
    assert policy == {"anonymous": {"q": 3, "w": 3600}}
    assert left == {"anonymous": {"r": 2, "t": 1200}}
    clock.ns += 1_000_000_000
    assert fields(take(throttle, "192.0.2.1"))[1] == {"anonymous": {"r": 1, "t": 1199}}
    assert fields(take(throttle, "192.0.2.1"))[1] == {"anonymous": {"r": 0, "t": 1199}}
    refused = take(throttle, "192.0.2.1")
    assert isinstance(refused.refusal, Throttled)
    assert refused.refusal.code == "throttled"
    assert refused.refusal.retry_after_s == 1199
    assert refused.refusal.facts == {"retry_after_s": 1199, "limits": ["anonymous"]}
    assert fields(refused)[1] == {"anonymous": {"r": 0, "t": 1199}}


def test_a_burst_of_its_own_is_told_beside_the_rate(clock: Clock) -> None:
    policy, left = fields(take(made(clock, user="100/minute burst 7"), ANNA))
    assert policy == {"user": {"q": 100, "w": 60, "qsuite-burst": 7}}
    assert left == {"user": {"r": 6, "t": 1}}


@pytest.mark.parametrize("rate", ["100/hour", "7/hour", "3/second", "977/minute burst 3", "1/day", "1000000/second"])
def test_who_waits_as_long_as_told_gets_in_and_as_many_pass_as_are_said_to_be_left(rate: str, clock: Clock) -> None:
    throttle = made(clock, user=rate)
    for step in range(5):
        told = take(throttle, ANNA, cost=0)
        left = fields(told)[1]["user"]["r"]
        tried = min(left, 500)
        assert sum(passes(throttle, ANNA) for _ in range(tried)) == tried
        if tried < left:
            return
        refusal = take(throttle, ANNA).refusal
        assert isinstance(refusal, Throttled)
        clock.ns += int(refusal.retry_after_s) * 1_000_000_000
        assert passes(throttle, ANNA)
        clock.ns += 333_333_337 * (step + 1)


def test_a_key_takes_of_its_own_bucket_and_of_its_users_or_of_neither(throttle: Throttle) -> None:
    assert [passes(throttle, ANNAS_KEY) for _ in range(4)] == [True, True, False, False]
    # The two refusals took nothing of the user's: three of five are left.
    assert fields(take(throttle, ANNA, cost=0))[1]["user"]["r"] == 3
    told = take(throttle, ANNAS_OTHER_KEY)
    assert list(fields(told)[1]) == ["user", "key"]
    assert [passes(throttle, ANNA) for _ in range(3)] == [True, True, False]
    # More keys are no more requests.
    refused = take(throttle, replace(ANNA, token="key:3"))
    assert refused.refusal is not None
    assert refused.refusal.facts["limits"] == ["user"]
    assert fields(refused)[1]["key"]["r"] == 2
    assert passes(throttle, BERT)


def test_each_kind_of_request_has_a_bucket_of_its_own_whatever_it_is_called_by(throttle: Throttle) -> None:
    orders = ThrottleScope.ORDERS
    assert [passes(throttle, ANNAS_KEY, orders) for _ in range(3)] == [True] * 3
    assert [passes(throttle, ANNA, orders) for _ in range(2)] == [True, False]
    assert not passes(throttle, ANNAS_OTHER_KEY, orders)
    assert passes(throttle, ANNA)
    assert passes(throttle, ANNA, ThrottleScope.CANCELS)
    assert passes(throttle, BERT, orders)
    assert throttle.refused["orders"] == 2


def test_logins_and_other_requests_of_an_address_are_counted_apart(clock: Clock) -> None:
    throttle = made(clock, anonymous="1/hour", auth="2/hour")
    auth = ThrottleScope.AUTH
    assert [passes(throttle, "2001:db8::1", auth) for _ in range(3)] == [True, True, False]
    assert [passes(throttle, "2001:db8::2") for _ in range(2)] == [True, False]
    # On an order's route somebody unknown is no trader yet.
    assert not passes(throttle, "2001:db8::3", ThrottleScope.ORDERS)


def test_many_orders_at_once_take_as_many_tokens_or_none(throttle: Throttle) -> None:
    orders = ThrottleScope.ORDERS
    assert passes(throttle, ANNA, orders, cost=0, need=1)
    assert passes(throttle, ANNA, orders, cost=3)
    refusal = take(throttle, ANNA, orders, cost=2).refusal
    assert isinstance(refusal, Throttled)
    assert refusal.retry_after_s == 15
    assert passes(throttle, ANNA, orders, cost=1)
    assert not passes(throttle, ANNA, orders, cost=0, need=1)
    never = take(throttle, ANNA, orders, cost=5).refusal
    assert isinstance(never, Invalid)
    assert never.code == "throttle.too_many_at_once"


def test_what_is_free_or_switched_off_is_neither_counted_nor_told(clock: Clock) -> None:
    throttle = made(clock, user="off", key="1/hour", anonymous="1/hour")
    assert take(throttle, "192.0.2.1", ThrottleScope.FREE) == take(throttle, ANNA) == Verdict("", None)
    assert [passes(throttle, ANNAS_KEY) for _ in range(2)] == [True, False]
    assert throttle.kept == 1
