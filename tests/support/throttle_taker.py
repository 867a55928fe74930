"""A process of its own that takes of shared buckets, a hundred at a time, and prints how many it got.

python -m tests.support.throttle_taker REDIS_URL PREFIX RATE REQUESTS
"""

import asyncio
import sys
from dataclasses import replace

from qsuite.domain.throttling import ThrottleScope, parse_rate
from qsuite.services.throttle import SharedBuckets, Throttle, Verdict
from qsuite.settings import ThrottleSettings


async def take_many(throttle: Throttle, who: str, requests: int, *, at_once: int = 100) -> int:
    """Return how many of so many requests passed."""
    left = iter(range(requests))
    passed = 0

    async def client() -> None:
        nonlocal passed
        for _ in left:
            told = throttle.take(ThrottleScope.DEFAULT, who)
            verdict = told if isinstance(told, Verdict) else await told
            passed += verdict.refusal is None

    await asyncio.gather(*(client() for _ in range(at_once)))
    return passed


def limits(**rates: str) -> ThrottleSettings:
    """Return the shipped limits but for these."""
    return replace(ThrottleSettings(), **{name: parse_rate(text) for name, text in rates.items()})


def sharing(url: str, prefix: str, rate: str, *, timeout_s: float = 5.0, **rates: str) -> Throttle:
    """Make a throttle whose buckets are in Redis."""
    return Throttle(limits(anonymous=rate, **rates), shared=SharedBuckets(url, prefix, timeout_s=timeout_s))


async def main(url: str, prefix: str, rate: str, requests: str) -> None:
    """Take them."""
    throttle = sharing(url, prefix, rate)
    passed = await take_many(throttle, "192.0.2.1", int(requests))
    assert throttle.shared is not None
    await throttle.shared.stop()
    sys.stdout.write(f"{passed} {throttle.shared.falls}\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
