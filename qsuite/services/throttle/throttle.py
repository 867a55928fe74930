"""Whether a request may pass: finds the buckets it takes of, and takes a token of each or of none.

    whose            default                 auth       orders, cancels, market_data, analytics
    an address       anonymous               auth       anonymous (it is on its way to a 401)
    a user           user                    auth       the scope's own
    a user's key     user, and the key's     auth       the scope's own

Invariants: in memory it is decided at once, without awaiting (it stands on every order's way); a scope's bucket is its
user's by whatever key or token they come, so that making more of them gains nothing.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

from qsuite.domain.access import KEY_TOKEN
from qsuite.domain.off import OFF, Off
from qsuite.domain.roles import Caller
from qsuite.domain.throttling import Rate, ThrottleScope
from qsuite.services.addresses import one_host
from qsuite.services.redis_calls import RedisDown
from qsuite.services.throttle.policy import NOT_COUNTED, Claims, Policy, Verdict, verdict
from qsuite.services.throttle.shared import Ask, SharedBuckets
from qsuite.settings import ThrottleSettings

NS_PER_US = 1_000


Who = Caller | str
"""A caller, or the address of somebody who is not known."""
Policies = Mapping[str, Policy | None]


class Throttle:
    """All limits. ``take`` at each request."""

    def __init__(
        self,
        settings: ThrottleSettings,
        *,
        shared: SharedBuckets | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        names = ("anonymous", "user", "key", "orders", "cancels", "market_data", "auth", "analytics")
        rates = {name: getattr(settings, name) for name in names}
        self._policies = _policies(rates)
        self._halved = _policies({name: rate if rate is OFF else rate.halved() for name, rate in rates.items()})
        self._clock = clock
        self.shared = shared

    def take(
        self, scope: ThrottleScope, who: Who, cost: int = 1, need: int | None = None
    ) -> Verdict | Awaitable[Verdict]:
        """Take ``cost`` tokens, if there are ``need`` (unless given, the same); awaitable where Redis must be asked."""
        if scope is ThrottleScope.FREE:
            return NOT_COUNTED
        need = cost if need is None else need
        shared = self.shared
        if shared is None:
            return self._take_here(_claims(self._policies, scope, who), cost, need)
        if shared.up:
            return self._take_shared(shared, scope, who, cost, need)
        return self._take_here(_claims(self._halved, scope, who), cost, need)

    @property
    def refused(self) -> dict[str, float]:
        """Return how many requests each limit refused."""
        both = ((name, self._halved[name]) for name in self._policies)
        return {
            name: float(sum(one.refused for one in (self._policies[name], half) if one is not None))
            for name, half in both
        }

    @property
    def kept(self) -> int:
        """Return how many buckets are in this process' memory."""
        policies = (*self._policies.values(), *self._halved.values())
        return sum(len(policy.buckets) for policy in policies if policy is not None)

    def _take_here(self, claims: Claims, cost: int, need: int) -> Verdict:
        now_us = self._clock() // NS_PER_US
        debts = []
        passed = True
        for policy, owner in claims:
            debt = policy.buckets.debt(owner, now_us)
            debts.append(debt)
            if debt + need * policy.rate.unit > policy.rate.full:
                passed = False
        if passed and cost:
            for index, (policy, owner) in enumerate(claims):
                debt = debts[index] = debts[index] + cost * policy.rate.unit
                policy.buckets.owe(owner, debt, now_us)
        return verdict(claims, debts, passed=passed, tokens=need)

    async def _take_shared(
        self, shared: SharedBuckets, scope: ThrottleScope, who: Who, cost: int, need: int
    ) -> Verdict:
        claims = _claims(self._policies, scope, who)
        buckets = [(f"{policy.stored_under}:{owner}", policy.rate) for policy, owner in claims]
        try:
            passed, debts = await shared.take(Ask(buckets, need, cost))
        except RedisDown:
            return self._take_here(_claims(self._halved, scope, who), cost, need)
        return verdict(claims, debts, passed=passed, tokens=need)


def _policies(rates: Mapping[str, Rate | Off]) -> Policies:
    return {name: None if isinstance(rate, Off) else Policy(name, rate) for name, rate in rates.items()}


def _claims(policies: Policies, scope: ThrottleScope, who: Who) -> Claims:
    """Return the buckets a request takes of; none where its limits are switched off."""
    if isinstance(who, str):
        policy, owner = policies["auth" if scope is ThrottleScope.AUTH else "anonymous"], one_host(who)
    elif scope is ThrottleScope.DEFAULT:
        policy, owner = policies["user"], who.user.hex
        key = policies["key"] if who.token.startswith(KEY_TOKEN) else None
        if key is not None:
            return [(key, who.token)] if policy is None else [(policy, owner), (key, who.token)]
    else:
        policy, owner = policies[scope.value], who.user.hex
    return [] if policy is None else [(policy, owner)]
