"""What an API key may be kept to beside its role: parts of the API, and networks it may come from.

A role says what its user may do; a scope only narrows that for one key. Whoever logged in, and a key without scopes,
may do all of their role (``Caller.limits`` is None, which is all that an order's way looks at).

    market:read       reference data, prices, ticks, bars, depth        market:write      changing them
    trading:read      orders, executions, positions, accounts,          orders:write      orders; closing positions
                      strategies, limits and figures of risk            strategies:write  making and running strategies
    analytics         indicators, signals, backtests, sentiment,        risk:write        limits and kill switches
                      news, models, and their jobs                      admin             users and accounts
    reports:read      reports                                           system:read       figures of the system
    audit:read        the audit trail

Invariant: what no scope is named for is refused to every key that has scopes.
"""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from qsuite.domain.errors import Forbidden

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Scope(StrEnum):
    """A part of the API."""

    MARKET_READ = "market:read"
    MARKET_WRITE = "market:write"
    TRADING_READ = "trading:read"
    ORDERS_WRITE = "orders:write"
    STRATEGIES_WRITE = "strategies:write"
    RISK_WRITE = "risk:write"
    ANALYTICS = "analytics"
    REPORTS_READ = "reports:read"
    AUDIT_READ = "audit:read"
    SYSTEM_READ = "system:read"
    ADMIN = "admin"


Scopes = frozenset[Scope]

EVERY_SCOPE: Scopes = frozenset(Scope)
"""Of what any key may do: each of them suffices."""
NO_SCOPE: Scopes = frozenset()
"""Of what is for people who logged in: none of them suffices."""


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key is kept to: these scopes (None for all), and these networks (none for anywhere)."""

    scopes: Scopes | None = None
    networks: tuple[Network, ...] = ()

    def require(self, sufficient: Scopes) -> None:
        """Refuse unless the key has one of these scopes. Forbidden."""
        if self.scopes is not None and self.scopes.isdisjoint(sufficient):
            wanted = " or ".join(sorted(sufficient)) or "a login"
            raise Forbidden(f"the scopes of the API key do not cover this, which takes {wanted}", code="scope")

    def require_address(self, address: str) -> None:
        """Refuse a caller from outside the key's networks. Forbidden; so is an address that is not known."""
        if not self.networks:
            return
        found = _read_address(address)
        if found is None or not any(found in network for network in self.networks):
            raise Forbidden("the API key is not let in from this address", code="address")


def parse_network(text: str) -> Network:
    """Read ``203.0.113.7`` or ``203.0.113.0/24``. ValueError for anything else, host bits behind the mask included."""
    return ipaddress.ip_network(text)


@lru_cache(maxsize=4_096)
def _read_address(text: str) -> Address | None:
    """Return an address, an IPv4 one also where it came over IPv6; None for a UNIX socket, or nothing known."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
