"""Rates and buckets: exact to the microsecond, whatever the figures, and bounded in memory."""

import random
from fractions import Fraction

import pytest

from qsuite.domain.throttling import Buckets, Rate, parse_rate
from qsuite.services.addresses import one_host

HOUR_US = 3_600_000_000


def take(buckets: Buckets, rate: Rate, owner: str, now_us: int) -> bool:
    debt = buckets.debt(owner, now_us)
    if debt + rate.unit > rate.full:
        return False
    buckets.owe(owner, debt + rate.unit, now_us)
    return True


@pytest.mark.parametrize(
    ("text", "count", "seconds", "burst"),
    [
        ("1000/hour", 1000, 3600, 1000),
        ("7/second", 7, 1, 7),
        ("100/day burst 5", 100, 86_400, 5),
        (" 6000/minute burst 9000 ", 6000, 60, 9000),
    ],
)
def test_a_rate_is_read_and_written_the_same_way(text: str, count: int, seconds: int, burst: int) -> None:
    rate = parse_rate(text)
    assert (rate.count, rate.seconds, rate.burst) == (count, seconds, burst)
    assert parse_rate(str(rate)) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1000",
        "0/hour",
        "1/hour burst 0",
        "-1/hour",
        "1/week",
        "1.5/hour",
        "٣/hour",
        "1/hour;burst=2",
        "999999937/day",
    ],
)
def test_what_is_no_rate_or_cannot_be_kept_exactly_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate|write it|exactly"):
        parse_rate(text)


def test_the_next_token_comes_at_its_microsecond_and_not_before() -> None:
    rate = parse_rate("7/second burst 2")  # one in 142,857 and 1/7 microseconds
    buckets = Buckets(rate)
    assert [take(buckets, rate, "a", 0) for _ in range(3)] == [True, True, False]
    assert not take(buckets, rate, "a", 142_857)
    assert take(buckets, rate, "a", 142_858)
    # 285,714 and 2/7 have passed when the second one is there: the sevenths were not lost.
    assert not take(buckets, rate, "a", 285_714)
    assert take(buckets, rate, "a", 285_715)
    assert take(buckets, rate, "b", 0)


def test_decisions_agree_with_fractions_for_any_rate_and_any_times() -> None:
    rng = random.Random(20261122)
    for _ in range(150):
        rate = Rate(rng.randint(1, 5_000), rng.choice((1, 60, 3_600, 86_400)), rng.randint(1, 20))
        buckets, now, tokens, last = Buckets(rate), 0, Fraction(rate.burst), 0
        for _ in range(60):
            now += rng.choice((0, 1, rng.randint(0, rate.seconds * 1_000_000 // rate.count + 2), rng.randint(0, 10**8)))
            tokens = min(Fraction(rate.burst), tokens + Fraction((now - last) * rate.count, rate.seconds * 1_000_000))
            last = now
            assert rate.left(buckets.debt("a", now)) == int(tokens)
            passes = tokens >= 1
            if not passes:
                short = (1 - tokens) * rate.seconds / rate.count
                assert rate.wait_s(buckets.debt("a", now), 1) == -(-short.numerator // short.denominator)
            assert take(buckets, rate, "a", now) is passes
            tokens -= passes


@pytest.mark.parametrize("text", ["1000/hour", "7/hour", "1/day", "9/second burst 3", "6000/minute burst 2000"])
def test_half_a_rate_is_exactly_half_and_lets_one_through(text: str) -> None:
    rate = parse_rate(text)
    half = rate.halved()
    assert Fraction(half.count, half.seconds) == Fraction(rate.count, rate.seconds) / 2
    assert half.burst == max(1, rate.burst // 2)


def test_a_flood_of_strange_addresses_frees_nobody_who_has_used_a_bucket_up() -> None:
    rate = parse_rate("100/hour")
    buckets = Buckets(rate, kept=1_000)
    assert sum(take(buckets, rate, "greedy", 0) for _ in range(150)) == 100
    for number in range(20_000):
        assert take(buckets, rate, f"strange {number}", 0)
        assert len(buckets) <= 1_000
    assert not take(buckets, rate, "greedy", 0)
    # What is full again is forgotten first, and is as good as new.
    assert take(buckets, rate, "greedy", HOUR_US)


def test_an_ipv6_host_is_its_64_and_an_ipv4_address_is_one_however_it_is_written() -> None:
    assert one_host("2001:db8:1:2::5") == one_host("2001:db8:1:2:ffff::1%eth0") != one_host("2001:db8:1:3::5")
    assert one_host("::ffff:192.0.2.7") == one_host("192.0.2.7") != one_host("192.0.2.8")
    assert one_host("") == ""
