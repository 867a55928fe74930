"""What feeds decide: when to try again, and the order of what a source sends. All times are handed in."""

import itertools
import random

import pytest

from qsuite.domain.feeds.breaker import Breaker, BreakerState, full_jitter_s
from qsuite.domain.feeds.sequence import RESTART_MESSAGES, Range, Sequencer

WAIT_NS, HELD_MAX = 100, 6

TRIPPED = [("failed", 0), ("failed", 1), ("failed", 2)]
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    ("steps", "state", "failures"),
    [
        ([], CLOSED, 0),
        ([("failed", 0), ("failed", 1)], CLOSED, 2),
        ([("failed", 0), ("failed", 1), ("worked", 2), ("failed", 3), ("failed", 4)], CLOSED, 2),
        ([*TRIPPED], OPEN, 3),
        ([*TRIPPED, ("refused", 101)], OPEN, 3),
        ([*TRIPPED, ("allowed", 102)], HALF_OPEN, 3),
        ([*TRIPPED, ("allowed", 102), ("refused", 103)], HALF_OPEN, 3),
        ([*TRIPPED, ("allowed", 102), ("worked", 103)], CLOSED, 0),
        ([*TRIPPED, ("allowed", 102), ("failed", 103), ("refused", 202)], OPEN, 4),
        ([*TRIPPED, ("allowed", 102), ("failed", 103), ("allowed", 203)], HALF_OPEN, 4),
    ],
)  # fmt: skip
def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_try_through_later(
    steps: list[tuple[str, int]], state: BreakerState, failures: int
) -> None:
    breaker = Breaker(failures_max=3, open_ns=100)
    for what, now_ns in steps:
        if what == "worked":
            breaker.worked()
        elif what == "failed":
            breaker.failed(now_ns)
        else:
            assert breaker.allows(now_ns) is (what == "allowed")
    assert (breaker.state, breaker.failures) == (state, failures)


def test_a_breaker_says_how_long_it_stays_open() -> None:
    breaker = Breaker(failures_max=1, open_ns=100)
    assert breaker.wait_ns(5) == 0
    breaker.failed(5)
    assert [breaker.wait_ns(now_ns) for now_ns in (5, 104, 105, 200)] == [100, 1, 0, 0]


@pytest.mark.parametrize(
    ("failures", "uniform", "pause_s"),
    [
        (0, 0.9, 0.0),
        (1, 0.0, 0.0),
        (1, 0.5, 0.25),
        (2, 0.5, 0.5),
        (3, 0.5, 1.0),
        (4, 0.5, 2.0),
        (9, 0.5, 5.0),
        (5_000, 0.9, 9.0),
    ],
)
def test_a_pause_is_spread_over_a_bound_that_doubles_up_to_its_limit(
    failures: int, uniform: float, pause_s: float
) -> None:
    assert full_jitter_s(failures, uniform, first_s=0.5, max_s=10.0) == pytest.approx(pause_s)


class Played:
    """A sequence that began at 10, and what came out of it; a message is its number, and its stamp too."""

    def __init__(self, *first: int) -> None:
        self.sequence: Sequencer[int] = Sequencer(wait_ns=WAIT_NS, held_max=HELD_MAX)
        self.out: list[int] = []
        self.take(*(first or (10,)))
        self.out += self.sequence.settle(WAIT_NS)

    def take(self, *seqs: int, now_ns: int = 0) -> None:
        for seq in seqs:
            self.out += self.sequence.take(seq, seq, seq, now_ns)


@pytest.mark.parametrize(
    ("first", "then", "out"),
    [
        ((10,), (11, 12, 13), [10, 11, 12, 13]),
        ((12, 10, 11), (13,), [10, 11, 12, 13]),  # swapped before the beginning was known
        ((10,), (12, 11, 13), [10, 11, 12, 13]),  # swapped later
        ((10,), (14, 13, 12, 11), [10, 11, 12, 13, 14]),
        ((10,), (11, 11, 12, 10, 12), [10, 11, 12]),  # twice
        ((10,), (12, 12, 11), [10, 11, 12]),  # twice while held
        ((10,), (9, 8, 11), [10, 11]),  # from before the beginning
        ((10,), (12, 13), [10]),  # a gap
    ],
)
def test_messages_come_out_in_order_and_once(first: tuple[int, ...], then: tuple[int, ...], out: list[int]) -> None:
    played = Played(*first)
    played.take(*then)
    assert played.out == out


def test_nothing_comes_out_before_it_is_known_where_the_sequence_begins() -> None:
    sequence: Sequencer[int] = Sequencer(wait_ns=WAIT_NS, held_max=HELD_MAX)
    assert sequence.take(7, 7, 7, now_ns=1_000) == []
    assert sequence.settle(1_000 + WAIT_NS - 1) == []
    assert sequence.missing(10_000) is None
    assert sequence.settle(1_000 + WAIT_NS) == [7]


def test_a_gap_is_named_once_its_neighbours_have_had_their_time() -> None:
    played = Played()
    played.take(13, 14, 17, now_ns=1_000)
    assert played.sequence.missing(1_000 + WAIT_NS - 1) is None
    assert played.sequence.missing(1_000 + WAIT_NS) == Range(11, 12)
    played.take(11, 12, now_ns=1_200)
    assert played.out == [10, 11, 12, 13, 14]
    assert played.sequence.missing(1_200) == Range(15, 16)


def test_what_is_given_up_is_counted_and_what_came_meanwhile_is_kept() -> None:
    played = Played()
    played.take(12, 15, 18)
    played.out += played.sequence.skip(Range(11, 17))
    assert played.out == [10, 12, 15, 18]
    assert played.sequence.counts.lost == len([11, 13, 14, 16, 17])
    assert played.sequence.skip(Range(11, 17)) == []


def test_a_long_gap_makes_the_caller_wait_and_is_due_at_once() -> None:
    played = Played()
    played.take(*range(20, 20 + HELD_MAX))
    assert played.sequence.full
    assert played.sequence.missing(0) == Range(11, 19)
    played.out += played.sequence.skip(Range(11, 19))
    assert not played.sequence.full
    assert played.out == [10, *range(20, 20 + HELD_MAX)]


def test_a_source_that_counts_anew_is_followed_and_nothing_of_it_is_left_out() -> None:
    sequence: Sequencer[str] = Sequencer(wait_ns=0, held_max=HELD_MAX)
    out: list[str] = []
    before = [(50, 1_000), (51, 1_001), (53, 1_003)]  # 52 is missing, so 53 is held
    after = [(1, 2_000), (2, 2_001), (3, 2_002), (4, 2_003)]
    for seq, stamp in before + after:
        out += sequence.take(seq, stamp, f"{seq}@{stamp}", 0)
        out += sequence.settle(0)
    assert out == ["50@1000", "51@1001", "53@1003", "1@2000", "2@2001", "3@2002", "4@2003"]
    assert (sequence.counts.restarts, sequence.counts.lost, sequence.counts.duplicates) == (1, 1, 0)
    assert RESTART_MESSAGES == 3


def test_old_messages_sent_again_are_no_restart_however_many() -> None:
    played = Played()
    played.take(*range(11, 40))
    played.take(*range(10, 40))
    assert played.out == list(range(10, 40))
    assert (played.sequence.counts.restarts, played.sequence.counts.duplicates) == (0, 30)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_lost_doubled_or_swapped_each_number_comes_out_once_after_the_fills(seed: int) -> None:
    dice = random.Random(seed)
    sent = [seq for seq in range(100, 400) if dice.random() > 0.1]
    sent += dice.choices(sent, k=60)
    sent.sort(key=lambda seq: seq + dice.uniform(0, 4))
    sequence: Sequencer[int] = Sequencer(wait_ns=3, held_max=50)
    out: list[int] = []
    for now_ns, seq in enumerate(itertools.chain(sent, [400])):
        out += sequence.take(seq, seq, seq, now_ns)
        out += sequence.settle(now_ns)
        if (gap := sequence.missing(now_ns)) is not None:
            for fetched in dice.sample(range(gap.first, gap.last + 1), gap.last + 1 - gap.first):
                out += sequence.take(fetched, fetched, fetched, now_ns)
    while (gap := sequence.missing(10_000)) is not None:
        for fetched in range(gap.first, gap.last + 1):
            out += sequence.take(fetched, fetched, fetched, 10_000)
    assert out == list(range(out[0], 401))
    assert out[0] <= min(sent[:3])
    assert sequence.counts.lost == 0
