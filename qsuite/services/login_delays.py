"""Slows guessing down: after five wrong passwords for a name from an address, each further try waits twice as long.

Invariant: the delay belongs to a name *and* an address, so that nobody can lock the right user out from elsewhere.
Memory is bounded; what is forgotten first is what failed longest ago.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from qsuite.domain.errors import TooMany
from qsuite.domain.times import NS_PER_S
from qsuite.services.addresses import one_host

FREE_FAILURES = 5
MAX_DELAY_S = 900
FORGOTTEN_AFTER_S = 3_600
MAX_KEPT = 20_000

Key = tuple[str, str]


class LoginDelays:
    """Count failures and say when to wait."""

    def __init__(self, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._failures: OrderedDict[Key, tuple[int, int]] = OrderedDict()

    def check(self, key: Key) -> None:
        """Refuse a try that comes too early. TooMany says how long to wait."""
        count, last = self._failures.get(key, (0, 0))
        if count < FREE_FAILURES:
            return
        delay_s = min(MAX_DELAY_S, 2 ** min(count - FREE_FAILURES, 32))
        left_s = delay_s - (self._clock() - last) / NS_PER_S
        if left_s > 0:
            raise TooMany("too many wrong passwords", retry_after_s=math.ceil(left_s), code="too_many_logins")

    def failed(self, key: Key) -> None:
        """Note a wrong password."""
        now = self._clock()
        count, last = self._failures.pop(key, (0, now))
        if now - last > FORGOTTEN_AFTER_S * NS_PER_S:
            count = 0
        self._failures[key] = (count + 1, now)
        if len(self._failures) > MAX_KEPT:
            self._failures.popitem(last=False)

    def succeeded(self, key: Key) -> None:
        """Forget the failures before the right password."""
        self._failures.pop(key, None)


def login_key(username: str, address: str) -> Key:
    """Return what failures are counted by: the name in any case, and the address, of IPv6 the /64 one host owns."""
    return username.lower(), one_host(address)
