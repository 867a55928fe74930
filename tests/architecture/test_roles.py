"""Who may call what: one table by hand, tried over HTTP for every route, method and role, and for nobody.

Written from the contract, not from the declarations: a role added to a route by mistake fails here. Duties are kept
apart: who sets prices or limits cannot trade, and who audits changes nothing.
"""

import asyncio

import pytest

from qsuite.domain.roles import Role
from qsuite.handlers.base import METHODS, ApiHandler
from qsuite.handlers.operations import operation
from qsuite.handlers.routes import all_routes
from tests.support.running_app import Api

ID = "01920000-0000-7000-8000-000000000001"
LETTERS = {"V": Role.VIEWER, "T": Role.TRADER, "R": Role.RISK_MANAGER, "U": Role.AUDITOR, "A": Role.ADMIN}

# V viewer, T trader, R risk manager, U auditor, A admin; "anyone" needs no login.
TABLE = """
POST    /api/auth/login/                         anyone
POST    /api/auth/refresh/                       anyone
POST    /api/auth/logout/                        V T R U A
GET     /api/auth/me/                            V T R U A
POST    /api/auth/password/                      V T R U A
GET     /api/auth/api-keys/                      V T R U A
POST    /api/auth/api-keys/                      V T R U A
DELETE  /api/auth/api-keys/{id}/                 V T R U A
GET     /api/auth/jwks/                          anyone
GET     /api/auth/sessions/                      V T R U A
DELETE  /api/auth/sessions/                      V T R U A
DELETE  /api/auth/sessions/{id}/                 V T R U A
GET     /api/auth/totp/                          V T R U A
POST    /api/auth/totp/                          V T R U A
POST    /api/auth/totp/confirm/                  V T R U A
POST    /api/auth/totp/recovery-codes/           V T R U A
POST    /api/auth/totp/disable/                  V T R U A
GET     /api/v1/users/                           A
POST    /api/v1/users/                           A
GET     /api/v1/users/{id}/                      A
PATCH   /api/v1/users/{id}/                      A
GET     /api/v1/users/{id}/sessions/             A
DELETE  /api/v1/users/{id}/sessions/             A
DELETE  /api/v1/users/{id}/totp/                 A
GET     /api/v1/audit/                           U A
GET     /api/v1/audit/verify/                    U A
GET     /api/v1/data-sources/                    V T R U A
POST    /api/v1/data-sources/                    A
GET     /api/v1/data-sources/{id}/               V T R U A
PUT     /api/v1/data-sources/{id}/               A
PATCH   /api/v1/data-sources/{id}/               A
DELETE  /api/v1/data-sources/{id}/               A
GET     /api/v1/tickers/                         V T R U A
POST    /api/v1/tickers/                         A
GET     /api/v1/tickers/{id}/                    V T R U A
PUT     /api/v1/tickers/{id}/                    A
PATCH   /api/v1/tickers/{id}/                    A
DELETE  /api/v1/tickers/{id}/                    A
GET     /api/v1/tickers/{id}/latest_price/       V T R U A
GET     /api/v1/tickers/{id}/statistics/         V T R U A
GET     /api/v1/tickers/{id}/depth/              V T R U A
GET     /api/v1/market-data/                     V T R U A
POST    /api/v1/market-data/                     A
POST    /api/v1/market-data/bulk_create/         A
GET     /api/v1/market-data/real_time_feed/      V T R U A
GET     /api/v1/market-data/{id}/                V T R U A
PUT     /api/v1/market-data/{id}/                A
PATCH   /api/v1/market-data/{id}/                A
DELETE  /api/v1/market-data/{id}/                A
GET     /api/v1/ticks/                           V T R U A
POST    /api/v1/ticks/                           A
GET     /api/v1/bars/                            V T R U A
GET     /api/v1/orders/                          T R U A
POST    /api/v1/orders/                          T
POST    /api/v1/orders/bulk/                     T
POST    /api/v1/orders/cancel_all/               T
GET     /api/v1/orders/performance_metrics/      T R U A
GET     /api/v1/reports/trades/                  T R U A
GET     /api/v1/reports/positions/               T R U A
GET     /api/v1/reports/pnl/                     T R U A
GET     /api/v1/reports/orders/                  T R U A
GET     /api/v1/reports/execution/               T R U A
GET     /api/v1/reports/daily/                   T R U A
GET     /api/v1/reports/daily/{account}/{date}/ T R U A
GET     /api/v1/orders/by-client-id/{id}/        T R U A
GET     /api/v1/orders/{id}/                     T R U A
PATCH   /api/v1/orders/{id}/                     T
DELETE  /api/v1/orders/{id}/                     T
POST    /api/v1/orders/{id}/cancel/              T
POST    /api/v1/orders/{id}/execute/             T
GET     /api/v1/orders/{id}/executions/          T R U A
GET     /api/v1/executions/                      T R U A
GET     /api/v1/executions/{id}/                 T R U A
GET     /api/v1/executions/{id}/why/             T R U A
GET     /api/v1/positions/                       T R U A
GET     /api/v1/positions/{id}/                  T R U A
DELETE  /api/v1/positions/{id}/                  T
GET     /api/v1/account/                         T
GET     /api/v1/account/history/                 T R U A
GET     /api/v1/accounts/                        T R U A
POST    /api/v1/accounts/                        A
GET     /api/v1/accounts/{id}/                   T R U A
PATCH   /api/v1/accounts/{id}/                   R A
POST    /api/v1/accounts/{id}/reset/             R A
GET     /api/v1/risk/limits/                     T R U A
PUT     /api/v1/risk/limits/                     R A
GET     /api/v1/risk/exposure/                   T R U A
GET     /api/v1/risk/var/                        T R U A
GET     /api/v1/risk/correlation/                T R U A
GET     /api/v1/risk/events/                     T R U A
POST    /api/v1/risk/check/                      T
GET     /api/v1/risk/kill-switch/                T R U A
POST    /api/v1/risk/kill-switch/                R A
DELETE  /api/v1/risk/kill-switch/                R A
GET     /api/v1/backtests/                       T R U A
POST    /api/v1/backtests/                       T R A
GET     /api/v1/backtests/{id}/                  T R U A
GET     /api/v1/backtests/{id}/report/           T R U A
GET     /api/v1/backtests/sweep/                 T R U A
POST    /api/v1/backtests/sweep/                 T R A
GET     /api/v1/backtests/sweep/{id}/            T R U A
GET     /api/v1/strategies/                      T R U A
POST    /api/v1/strategies/                      T
GET     /api/v1/strategies/{id}/                 T R U A
PUT     /api/v1/strategies/{id}/                 T
PATCH   /api/v1/strategies/{id}/                 T
DELETE  /api/v1/strategies/{id}/                 T
POST    /api/v1/strategies/{id}/run/             T
POST    /api/v1/strategies/{id}/start/           T
POST    /api/v1/strategies/{id}/stop/            T R A
GET     /api/v1/strategies/{id}/performance/     T R U A
GET     /api/v1/indicators/{id}/                 V T R U A
GET     /api/v1/signals/                         V T R U A
POST    /api/v1/signals/generate/                T R A
POST    /api/v1/sentiment/                       V T R U A
GET     /api/v1/news/                            V T R U A
POST    /api/v1/news/                            A
GET     /api/v1/news/{id}/                       V T R U A
DELETE  /api/v1/news/{id}/                       A
GET     /api/v1/models/                          V T R U A
POST    /api/v1/models/                          T R A
GET     /api/v1/models/{id}/                     V T R U A
DELETE  /api/v1/models/{id}/                     A
GET     /api/v1/jobs/                            V T R U A
GET     /api/v1/jobs/{id}/                       V T R U A
DELETE  /api/v1/jobs/{id}/                       T R A
GET     /api/v1/stream/                          V T R U A
GET     /api/v1/system-metrics/                  V T R U A
GET     /ws/v1/stream/                           anyone
GET     /health/                                 anyone
GET     /health/live/                            anyone
GET     /health/ready/                           anyone
GET     /metrics/                                anyone
GET     /api/schema/                             anyone
GET     /api/docs/                               anyone
GET     /api/docs/errors/                        anyone
GET     /api/docs/assets/{name}                  anyone
GET     /                                        anyone
GET     /console/{name}                          anyone
GET     /api/redoc/                              anyone
GET     /api/redoc/{name}                        anyone
"""


def read_table() -> dict[tuple[str, str], frozenset[Role]]:
    table = {}
    for line in TABLE.strip().splitlines():
        method, path, *letters = line.split()
        roles = frozenset() if letters == ["anyone"] else frozenset(LETTERS[letter] for letter in letters)
        assert roles or letters == ["anyone"]
        table[method, path] = roles
    return table


ALLOWED = read_table()


def test_the_table_names_every_method_of_every_route() -> None:
    served = {
        (method, route.template)
        for route in all_routes()
        for method in route.handler.operations  # type: ignore[attr-defined]
    }
    assert served == ALLOWED.keys()


@pytest.mark.parametrize(("method", "path"), ALLOWED)
async def test_a_route_lets_in_whom_the_table_names_and_nobody_else(api: Api, method: str, path: str) -> None:
    allowed = ALLOWED[method, path]
    address = path.replace("{id}", ID).replace("{name}", "swagger.js")
    nobody = await status(api.port, method, address, None)
    assert (nobody == 401) == bool(allowed), f"without a token: {nobody}"
    assert await status(api.port, method, address, "forged") == (401 if allowed else nobody)
    for role, client in api.clients.items():
        if path == "/api/auth/logout/":
            client = await api.new_client(role)  # its session ends here
        answered = await status(api.port, method, address, client.token)
        if allowed:
            assert (answered == 403) == (role not in allowed), f"{role.value}: {answered}"
            assert answered != 401, f"{role.value}: {answered}"
        else:
            assert answered == nobody, f"{role.value}: {answered}"


async def status(port: int, method: str, path: str, token: str | None) -> int:
    """Return the status alone, so that answers without an end are no trouble."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    body = "" if method in ("GET", "DELETE") else "{}"
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{authorization}"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    try:
        line = await asyncio.wait_for(reader.readline(), 20)
        return int(line.split()[1])
    finally:
        writer.close()


async def test_nobody_gets_further_by_spelling_the_address_another_way(api: Api) -> None:
    for path in ("/api/v1/users", "//api/v1/users/", "/API/V1/USERS/", "/api/v1/users//", "/api/v1/./users/"):
        for spelled in (path, path.replace("users", "%75sers")):
            assert await status(api.port, "GET", spelled, api.trader.token) in (403, 404)
            assert await status(api.port, "GET", spelled, None) in (401, 404)


def test_every_method_of_every_handler_declares_its_roles() -> None:
    for route in all_routes():
        handler = route.handler
        assert issubclass(handler, ApiHandler), f"{handler} is not checked by the base"
        own = {method.upper() for method in METHODS if getattr(handler, method) is not getattr(ApiHandler, method)}
        assert own == set(handler.operations)
        for declared in handler.operations.values():
            assert isinstance(declared.roles, frozenset)


def test_a_method_without_a_declaration_stops_the_start() -> None:
    with pytest.raises(TypeError, match="declares no operation"):

        class _Undeclared(ApiHandler):
            def get(self) -> None:
                """Show it."""


def test_a_declaration_without_roles_stops_the_start() -> None:
    with pytest.raises(TypeError):
        operation("Show it", returns={200: None})  # type: ignore[call-arg]
