"""Prices for notebooks and scripts: a whole range over HTTP as a pandas DataFrame or a pyarrow Table::

    client = Client.login("http://127.0.0.1:8000", "demo", "…")
    frame = client.frame("bars", symbol="IBM", interval="1d", start="2013-01-01T00:00:00Z")
    table = client.table("ticks", symbol="EURUSD", kind="quote")

Stands on its own: nothing else of QSuite is imported, and the server may be anywhere. Invariant: what comes back is
whole. An answer that was cut short raises, it is never a shorter table.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pyarrow as pa
import pyarrow.compute as pc

ARROW = "application/vnd.apache.arrow.stream"
TIMEOUT_S = 60.0
_MARK = b"qsuite.kind"
_NARROW, _WIDE = 38, 76
"""Digits of a decimal of 128 and of 256 bits."""


class ApiError(Exception):
    """What the server refused: its ``status``, stable ``code``, and the ``problem`` as it came."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", "error"))
        self.problem = problem
        super().__init__(f"{status} {self.code}: {problem.get('detail', '')}")


class Client:
    """Read from a QSuite server with an access token or an API key."""

    def __init__(self, url: str, token: str, *, timeout_s: float = TIMEOUT_S) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"not an address of a server: {url}")
        self._url = url.rstrip("/")
        self._token = token
        self._timeout_s = timeout_s

    @classmethod
    def login(cls, url: str, username: str, password: str, *, code: str | None = None) -> "Client":
        """Return a client with a fresh token, good for an hour.

        ApiError when they are not known, and with the code ``totp_required`` where a second factor is asked for.
        """
        client = cls(url, "")
        given = {"username": username, "password": password} | ({} if code is None else {"code": code})
        body = json.dumps(given).encode()
        headers = {"Content-Type": "application/json"}
        with client._open(Request(f"{client._url}/api/auth/login/", body, headers)) as answer:  # noqa: S310
            client._token = json.load(answer)["access"]
        return client

    def table(self, path: str, **query: Any) -> pa.Table:
        """Return all rows of ``ticks``, ``bars`` or ``market-data`` with exact decimals.

        ``query`` holds the route's parameters; times are RFC 3339 or datetimes with a zone. Every decimal column takes
        128 bits with the places its values need, or 256 where those are too few.
        """
        return _typed(self._read(path, query), _decimal)

    def frame(self, path: str, **query: Any) -> Any:
        """Return the same as a DataFrame of floats (the nearest to each decimal), for statistics and charts."""
        return _typed(self._read(path, query), lambda column: pc.cast(column, pa.float64())).to_pandas()

    def _read(self, path: str, query: dict[str, Any]) -> pa.Table:
        given = urlencode({name: _text(value) for name, value in query.items() if value is not None})
        headers = {"Accept": ARROW, "Authorization": f"Bearer {self._token}"}
        address = f"{self._url}/api/v1/{path.strip('/')}/?{given}"
        with self._open(Request(address, headers=headers)) as answer:  # noqa: S310  the scheme was looked at
            return pa.ipc.open_stream(answer).read_all()

    @contextmanager
    def _open(self, request: Request) -> Iterator[Any]:
        try:
            with urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310  the scheme was looked at  # nosec B310
                yield answer
        except HTTPError as refused:
            raise ApiError(refused.code, _problem(refused)) from None


def _problem(refused: HTTPError) -> dict[str, Any]:
    try:
        found = json.load(refused)
    except ValueError:  # of a proxy in between
        found = None
    return found if isinstance(found, dict) else {"detail": refused.reason}


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time needs a zone")
        return value.isoformat()
    return str(value)


def _typed(table: pa.Table, convert: Any) -> pa.Table:
    """Turn the columns that hold decimals as text into something to compute with."""
    for place, field in enumerate(table.schema):
        if (field.metadata or {}).get(_MARK) == b"decimal":
            table = table.set_column(place, field.name, convert(table.column(place)))
    return table


def _decimal(column: pa.ChunkedArray) -> pa.ChunkedArray:
    length, point = pc.utf8_length(column), pc.find_substring(column, ".")
    whole = pc.max(pc.if_else(pc.less(point, 0), length, point)).as_py() or 0
    places = pc.max(pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(length, point), 1))).as_py() or 0
    fits = whole + places <= _NARROW
    return pc.cast(column, pa.decimal128(_NARROW, places) if fits else pa.decimal256(_WIDE, places))
