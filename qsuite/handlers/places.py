"""Where each method of each route is carried out, where several processes serve one database: one table, by address.

    ENGINE     by the process with the engine; another one sends it on, and waits for an engine a while
    PREFERRED  there while it can be reached, else here: what is true there first, and known here a moment later
    HERE       by whoever is asked, on the database

Invariant: a method that is not in the table fails a test (``tests/architecture/test_places.py``); until then it is
carried out here.
"""

from enum import Enum, auto

import orjson
from tornado.httputil import HTTPServerRequest

IDEMPOTENCY_KEY = "Idempotency-Key"


class Place(Enum):
    """Who carries a request out."""

    HERE = auto()
    PREFERRED = auto()
    ENGINE = auto()


# What changes orders, money or limits. The mark after a method says whether it may be asked again when no answer came,
# because doing it twice is doing it once: "=" always, "#" where each order of it has a client id. Every POST under an
# Idempotency-Key may.
ENGINE = """
/api/v1/orders/                       POST#
/api/v1/orders/bulk/                  POST#
/api/v1/orders/cancel_all/            POST
/api/v1/orders/{id}/                  PATCH DELETE=
/api/v1/orders/{id}/cancel/           POST=
/api/v1/orders/{id}/execute/          POST
/api/v1/positions/{id}/               DELETE
/api/v1/accounts/{id}/                PATCH
/api/v1/accounts/{id}/reset/          POST
/api/v1/risk/limits/                  PUT
/api/v1/risk/check/                   POST=
/api/v1/risk/exposure/                GET=
/api/v1/risk/kill-switch/             POST DELETE
/api/v1/strategies/{id}/run/          POST
"""

# What the engine keeps in memory and other processes take over from the database, and figures of the engine itself.
PREFERRED = """
/api/v1/ticks/                        POST
/api/v1/tickers/                      POST
/api/v1/tickers/{id}/                 PUT PATCH DELETE
/api/v1/data-sources/                 POST
/api/v1/data-sources/{id}/            PUT PATCH DELETE
/api/v1/strategies/                   GET= POST
/api/v1/strategies/{id}/              GET= PUT PATCH DELETE
/api/v1/strategies/{id}/start/        POST
/api/v1/strategies/{id}/stop/         POST
/api/v1/system-metrics/               GET=
"""

HERE = """
/                                     GET
/api/auth/api-keys/                   GET POST
/api/auth/api-keys/{id}/              DELETE
/api/auth/jwks/                       GET
/api/auth/login/                      POST
/api/auth/logout/                     POST
/api/auth/me/                         GET
/api/auth/password/                   POST
/api/auth/refresh/                    POST
/api/auth/sessions/                   GET DELETE
/api/auth/sessions/{id}/              DELETE
/api/auth/totp/                       GET POST
/api/auth/totp/confirm/               POST
/api/auth/totp/disable/               POST
/api/auth/totp/recovery-codes/        POST
/api/docs/                            GET
/api/docs/assets/{name}               GET
/api/docs/errors/                     GET
/api/redoc/                           GET
/api/redoc/{name}                     GET
/api/schema/                          GET
/api/v1/account/                      GET
/api/v1/account/history/              GET
/api/v1/accounts/                     GET POST
/api/v1/accounts/{id}/                GET
/api/v1/audit/                        GET
/api/v1/audit/verify/                 GET
/api/v1/backtests/                    GET POST
/api/v1/backtests/sweep/              GET POST
/api/v1/backtests/sweep/{id}/         GET
/api/v1/backtests/{id}/               GET
/api/v1/backtests/{id}/report/        GET
/api/v1/bars/                         GET
/api/v1/data-sources/                 GET
/api/v1/data-sources/{id}/            GET
/api/v1/executions/                   GET
/api/v1/executions/{id}/              GET
/api/v1/executions/{id}/why/          GET
/api/v1/indicators/{id}/              GET
/api/v1/jobs/                         GET
/api/v1/jobs/{id}/                    GET DELETE
/api/v1/market-data/                  GET POST
/api/v1/market-data/bulk_create/      POST
/api/v1/market-data/real_time_feed/   GET
/api/v1/market-data/{id}/             GET PUT PATCH DELETE
/api/v1/models/                       GET POST
/api/v1/models/{id}/                  GET DELETE
/api/v1/news/                         GET POST
/api/v1/news/{id}/                    GET DELETE
/api/v1/orders/                       GET
/api/v1/orders/by-client-id/{id}/     GET
/api/v1/orders/performance_metrics/   GET
/api/v1/orders/{id}/                  GET
/api/v1/orders/{id}/executions/       GET
/api/v1/positions/                    GET
/api/v1/positions/{id}/               GET
/api/v1/reports/daily/                GET
/api/v1/reports/daily/{account}/{date}/ GET
/api/v1/reports/execution/            GET
/api/v1/reports/orders/               GET
/api/v1/reports/pnl/                  GET
/api/v1/reports/positions/            GET
/api/v1/reports/trades/               GET
/api/v1/risk/correlation/             GET
/api/v1/risk/events/                  GET
/api/v1/risk/kill-switch/             GET
/api/v1/risk/limits/                  GET
/api/v1/risk/var/                     GET
/api/v1/sentiment/                    POST
/api/v1/signals/                      GET
/api/v1/signals/generate/             POST
/api/v1/stream/                       GET
/api/v1/strategies/{id}/performance/   GET
/api/v1/tickers/                      GET
/api/v1/tickers/{id}/                 GET
/api/v1/tickers/{id}/depth/           GET
/api/v1/tickers/{id}/latest_price/    GET
/api/v1/tickers/{id}/statistics/      GET
/api/v1/ticks/                        GET
/api/v1/users/                        GET POST
/api/v1/users/{id}/                   GET PATCH
/api/v1/users/{id}/sessions/          GET DELETE
/api/v1/users/{id}/totp/              DELETE
/console/{name}                       GET
/health/                              GET
/health/live/                         GET
/health/ready/                        GET
/metrics/                             GET
/ws/v1/stream/                        GET
"""


class Entry:
    """What the table says of one method of a route; ``mark`` says when it may be asked again."""

    __slots__ = ("mark", "place")

    def __init__(self, place: Place, mark: str = "") -> None:
        self.place = place
        self.mark = mark

    def again(self, request: HTTPServerRequest) -> bool:
        """Say whether this request may be asked again when no answer came."""
        if self.mark == "=" or (request.method == "POST" and IDEMPOTENCY_KEY in request.headers):
            return True
        return self.mark == "#" and all(client_ids(request.body))


def client_ids(body: bytes) -> list[str | None]:
    """Return the client id of each order in a body, None where one has none; of what is no such body, one None."""
    try:
        asked = orjson.loads(body)
        orders = asked.get("orders", [asked])
        return [order.get("client_order_id") for order in orders] or [None]
    except (ValueError, AttributeError, TypeError):
        return [None]


def _read(text: str, place: Place) -> dict[tuple[str, str], Entry]:
    found = {}
    for line in text.strip().splitlines():
        template, *methods = line.split()
        for method in methods:
            name = method.rstrip("=#")
            found[name, template] = Entry(place, method[len(name) :])
    return found


TABLE = {**_read(ENGINE, Place.ENGINE), **_read(PREFERRED, Place.PREFERRED), **_read(HERE, Place.HERE)}
NOT_SAID = Entry(Place.HERE)


def entry_of(method: str, template: str) -> Entry:
    """Return what the table says of a method of a route."""
    return TABLE.get(("GET" if method == "HEAD" else method, template), NOT_SAID)
