"""A named rate, and how what became of a request is told: the fields ``RateLimit-Policy`` and ``RateLimit``.

They follow draft-ietf-httpapi-ratelimit-headers-11: ``q`` tokens come in ``w`` seconds; ``r`` are left; no more than
these can be used before ``t`` seconds are over, when the next token is there.
"""

from collections.abc import Sequence
from typing import NamedTuple

from qsuite.domain.errors import Invalid, QSuiteError, Throttled
from qsuite.domain.throttling import Buckets, Rate


class Policy:
    """One rate under its name, with its buckets in this process."""

    __slots__ = ("buckets", "name", "rate", "refused", "said", "stored_under")

    def __init__(self, name: str, rate: Rate) -> None:
        self.name = name
        self.rate = rate
        self.buckets = Buckets(rate)
        self.refused = 0
        # A rate that is changed begins new buckets: the old ones' debts are in other units.
        self.stored_under = f"{name}:{rate.count}.{rate.seconds}.{rate.burst}"
        burst = "" if rate.burst == rate.count else f";qsuite-burst={rate.burst}"
        self.said = f'"{name}";q={rate.count};w={rate.seconds}{burst}'

    def left(self, debt: int) -> str:
        """Return the item of the RateLimit field for a bucket that lacks so much."""
        return f'"{self.name}";r={self.rate.left(debt)};t={self.rate.more_in_s(debt)}'


Claims = Sequence[tuple[Policy, str]]
"""The buckets that one request takes of, each under its owner's name; none where nothing is limited."""


class Verdict(NamedTuple):
    """What became of a request: the lines its answer's head gets, and why it was refused, if it was."""

    fields: str
    refusal: QSuiteError | None


NOT_COUNTED = Verdict("", None)


def verdict(claims: Claims, debts: Sequence[int], *, passed: bool, tokens: int) -> Verdict:
    """Say how a request fared whose buckets now lack so much; ``tokens`` is what it asked of each."""
    said = left = ""
    for (policy, _), debt in zip(claims, debts, strict=True):
        comma = ", " if said else ""
        said += comma + policy.said
        left += comma + policy.left(debt)
    if not said:
        return NOT_COUNTED
    fields = f"RateLimit-Policy: {said}\r\nRateLimit: {left}\r\n"
    return Verdict(fields, None if passed else _refusal(claims, debts, tokens))


def _refusal(claims: Claims, debts: Sequence[int], tokens: int) -> QSuiteError:
    waits = {}
    for (policy, _), debt in zip(claims, debts, strict=True):
        if tokens > policy.rate.burst:
            detail = f"at most {policy.rate.burst} of these can be let in at once"
            return Invalid(detail, code="throttle.too_many_at_once", limits=[policy.name])
        wait_s = policy.rate.wait_s(debt, tokens)
        if wait_s:
            waits[policy.name] = wait_s
            policy.refused += 1
    return Throttled(
        f"too many requests under the limit {' and '.join(waits)}",
        retry_after_s=max(waits.values()),
        limits=list(waits),
    )
