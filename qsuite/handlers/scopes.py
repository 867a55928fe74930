"""Which scopes of an API key suffice for a route: one table by address, so that a reviewer reads it at a glance.

The longest address that a route begins with decides. Invariant: a route that is not in the table is refused to every
key with scopes, and fails a test (``tests/architecture/test_scopes.py``).
"""

from qsuite.domain.scopes import EVERY_SCOPE, NO_SCOPE, Scope, Scopes

READING = frozenset({"GET", "HEAD"})

_MARKET_READ: Scopes = frozenset({Scope.MARKET_READ})
_MARKET = (_MARKET_READ, frozenset({Scope.MARKET_WRITE}))
_TRADING_READ: Scopes = frozenset({Scope.TRADING_READ})
_ORDERS = (_TRADING_READ, frozenset({Scope.ORDERS_WRITE}))
_ANALYTICS = (frozenset({Scope.ANALYTICS}), frozenset({Scope.ANALYTICS}))
_ADMIN: Scopes = frozenset({Scope.ADMIN})

TABLE: dict[str, tuple[Scopes, Scopes]] = {
    # address: enough to read there, enough to change something there
    "/api/auth/": (NO_SCOPE, NO_SCOPE),
    "/api/auth/me/": (EVERY_SCOPE, NO_SCOPE),
    "/api/v1/stream/": (EVERY_SCOPE, NO_SCOPE),  # each channel has a scope of its own
    "/api/v1/data-sources/": _MARKET,
    "/api/v1/tickers/": _MARKET,
    "/api/v1/market-data/": _MARKET,
    "/api/v1/ticks/": _MARKET,
    "/api/v1/bars/": _MARKET,
    "/api/v1/orders/": _ORDERS,
    "/api/v1/executions/": _ORDERS,
    "/api/v1/positions/": _ORDERS,
    "/api/v1/account/": _ORDERS,
    "/api/v1/accounts/": (_TRADING_READ, _ADMIN),
    "/api/v1/strategies/": (_TRADING_READ, frozenset({Scope.STRATEGIES_WRITE})),
    "/api/v1/risk/": (_TRADING_READ, frozenset({Scope.RISK_WRITE})),
    "/api/v1/risk/check/": (_TRADING_READ, frozenset({Scope.TRADING_READ, Scope.ORDERS_WRITE})),
    "/api/v1/indicators/": _ANALYTICS,
    "/api/v1/signals/": _ANALYTICS,
    "/api/v1/backtests/": _ANALYTICS,
    "/api/v1/jobs/": _ANALYTICS,
    "/api/v1/sentiment/": _ANALYTICS,
    "/api/v1/news/": _ANALYTICS,
    "/api/v1/models/": _ANALYTICS,
    "/api/v1/reports/": (frozenset({Scope.REPORTS_READ}), frozenset({Scope.REPORTS_READ})),
    "/api/v1/audit/": (frozenset({Scope.AUDIT_READ}), frozenset({Scope.AUDIT_READ})),
    "/api/v1/system-metrics/": (frozenset({Scope.SYSTEM_READ}), NO_SCOPE),
    "/api/v1/users/": (_ADMIN, _ADMIN),
}


def scopes_of(template: str, method: str) -> Scopes | None:
    """Return the scopes each of which suffices for a method of a route; None for a route nobody gave a scope."""
    known = [address for address in TABLE if template.startswith(address)]
    if not known:
        return None
    reads, changes = TABLE[max(known, key=len)]
    return reads if method in READING else changes
