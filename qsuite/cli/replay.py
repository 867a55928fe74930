"""``qsuite replay``: a recorded market, live, in a running server.

    files ──> Replay (their own spacing, times a speed) ──> POST /api/v1/ticks/ ──> the server's live market

The server is the one on the same data directory, whose database and secret this command may use: it makes itself an
API key of an admin's for an hour at a time and revokes it in the end. ``--url`` and ``--token`` name another server.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import click

from qsuite.cli.connection import open_database
from qsuite.cli.import_ import file_options, open_file, read_columns
from qsuite.domain.errors import SetupError
from qsuite.domain.market import Bar, Tick
from qsuite.domain.times import NS_PER_S, format_rfc3339, parse_rfc3339
from qsuite.services.data_dir import read_runtime
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.progress import Progress
    from tornado.httpclient import HTTPRequest, HTTPResponse

    from qsuite.repos.database import Database
    from qsuite.services.replay import Played

KEY_LIFE_S = 3_600
KEY_RENEWED_S = 2_700
REQUEST_TIMEOUT_S = 60.0
STORED_LATER = "outcome-unknown"
TOO_MANY = 429
STDIN = 0

Authorize = Callable[[], Awaitable[str]]
"""Return the token to send now."""


class Playing(NamedTuple):
    """How to play: how fast, from when on, and before when, in nanoseconds of the recording."""

    speed: float
    start_ns: int | None
    end_ns: int | None


class Instant(click.ParamType[int]):
    """A time with its offset, or a date, which begins at midnight UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return nanoseconds."""
        try:
            return parse_rfc3339(f"{value}T00:00:00Z" if len(str(value)) == len("2015-10-01") else str(value))
        except ValueError as wrong:
            self.fail(f"{value!r} is {wrong}", param, ctx)


INSTANT = Instant()


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--speed", type=click.FloatRange(min=0), default=1.0, help="1 is real time, 0 as fast as possible.")
@click.option("--start", type=INSTANT, help="Play from this time of the recording on, such as 2015-10-01T13:30:00Z.")
@click.option("--end", type=INSTANT, help="Play what is before this time.")
@file_options
@click.option("--url", help="Another server than the one on the data directory, such as http://10.0.0.5:8000.")
@click.option("--token", envvar="QSUITE_TOKEN", help="An admin's access token or API key for it (or QSUITE_TOKEN).")
def replay(
    files: tuple[Path, ...],
    speed: float,
    start: int | None,
    end: int | None,
    url: str | None,
    token: str | None,
    columns: tuple[str, ...],
    **options: Any,
) -> None:
    """Play recorded FILES, live, in a running server, merged by time.

    Ticks keep the times of the recording; bars are played as the trades they stand for. Missing tickers are made.
    In a terminal, space pauses, + and - change the speed, left and right go a minute of the recording back and forth.

    \b
    Example:  qsuite replay ibm_trades.csv.gz ibm_quotes.csv.gz --symbol IBM --speed 60
    """
    how = Playing(speed, start, end)
    played = asyncio.run(
        _replay(load_settings(), files, how, {**options, "columns": read_columns(columns)}, url, token)
    )
    left_out = f", {played.bad_rows:,} rows left out" if played.bad_rows else ""
    click.echo(f"{played.ticks:,} ticks played{left_out}")
    for row in played.first_bad:
        click.echo(f"  line {row.line}: {row.reason}")


async def _replay(
    settings: Settings,
    paths: Sequence[Path],
    how: Playing,
    options: dict[str, Any],
    url: str | None,
    token: str | None,
) -> "Played":
    from qsuite.cli.replay_keys import steered
    from qsuite.services.replay import Replay
    from qsuite.services.replay_feed import first_rows

    files = [await asyncio.to_thread(open_file, path, options) for path in paths]
    async with _server(settings, url, token) as (address, authorize):
        feed = Feed(address, authorize)
        try:
            await feed.ensure_tickers(await asyncio.to_thread(first_rows, files))
            with _progress() as bars:
                task = bars.add_task("", total=None, now="", rate=0.0)
                play = Replay(files, feed.publish, speed=how.speed, start_ns=how.start_ns, end_ns=how.end_ns)
                feed.on_published = lambda: _show(bars, task, play.played, feed.started_s)
                with steered(play, STDIN):
                    return await play.run()
        finally:
            feed.close()


@asynccontextmanager
async def _server(settings: Settings, url: str | None, token: str | None) -> AsyncIterator[tuple[str, Authorize]]:
    """Find the server and a way in. SetupError when there is none."""
    if token is not None:
        given = token

        async def always() -> str:
            return given

        address = await asyncio.to_thread(_local_address, settings) if url is None else url.rstrip("/")
        yield address, always
        return
    if url is not None:
        raise SetupError("give --token (or QSUITE_TOKEN) with --url")
    address = await asyncio.to_thread(_local_address, settings)
    async with open_database(settings, migrated=False) as database:
        key = OwnKey(database)
        try:
            yield address, key.current
        finally:
            await key.revoke()


def _local_address(settings: Settings) -> str:
    runtime = read_runtime(settings.data_dir)
    if runtime is None or not runtime.address:
        raise SetupError(
            f"no server runs on {settings.data_dir}; start one with `qsuite serve`, or give --url and --token"
        )
    return runtime.address


class OwnKey:
    """An API key of an admin's, made for this command and renewed before it runs out."""

    def __init__(self, database: "Database") -> None:
        from qsuite.repos.api_keys import ApiKeysRepo
        from qsuite.repos.audit_access import AuditAccessRepo
        from qsuite.repos.users import UsersRepo
        from qsuite.services.api_keys import ApiKeys
        from qsuite.services.audit_trail import AuditTrail

        self._users = UsersRepo(database)
        self._keys = ApiKeys(keys=ApiKeysRepo(database), users=self._users, trail=AuditTrail(AuditAccessRepo(database)))
        self._made: list[tuple[Any, Any]] = []
        self._secret = ""  # filled in later  # nosec B105
        self._renew_s = 0.0

    async def current(self) -> str:
        """Return a key that holds for a while."""
        if time.monotonic() >= self._renew_s:
            caller = await self._admin()
            made = await self._keys.create(
                caller, f"qsuite replay, process {os.getpid()}", expires_at=time.time_ns() + KEY_LIFE_S * NS_PER_S
            )
            self._made.append((caller, made.key.id))
            self._secret, self._renew_s = made.secret, time.monotonic() + KEY_RENEWED_S
        return self._secret

    async def revoke(self) -> None:
        """Take back every key made."""
        for caller, key in self._made:
            await self._keys.revoke(caller, key)

    async def _admin(self) -> Any:
        from qsuite.domain.listing import Condition, Listing
        from qsuite.domain.roles import Role

        wanted = (Condition("role", "eq", Role.ADMIN), Condition("is_active", "eq", True))
        found = await self._users.page(Listing(wanted, page_size=1))
        if not found.items:
            raise SetupError("only an admin sets prices: make one with `qsuite user create NAME --role admin`")
        return found.items[0].caller("cli")


class Feed:
    """Send ticks to a server over HTTP."""

    def __init__(self, address: str, authorize: Authorize) -> None:
        from tornado.simple_httpclient import SimpleAsyncHTTPClient

        self._address = address
        self._authorize = authorize
        self._http = SimpleAsyncHTTPClient(force_instance=True)
        self.on_published: Callable[[], None] = lambda: None
        self.started_s = time.monotonic()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    async def ensure_tickers(self, rows: dict[str, list[Tick | Bar]]) -> None:
        """Make the tickers that the server does not have."""
        from qsuite.services.ticker_guess import guess_ticker

        for symbol, sample in rows.items():
            status, _ = await self._send("GET", f"/api/v1/tickers/{quote(symbol, safe='')}/")
            if status == 404:
                guess = {name: str(value) for name, value in guess_ticker(symbol, sample, "a replay").items()}
                await self._send("POST", "/api/v1/tickers/", json.dumps({"symbol": symbol, **guess}), (409,))

    async def publish(self, ticks: list[Tick]) -> None:
        """Send ticks; returns when the server has stored them."""
        from qsuite.handlers.market_schemas import shown_tick

        body = "\n".join(json.dumps(shown_tick(tick)) for tick in ticks)
        status, answer = await self._send("POST", "/api/v1/ticks/", body, (503,), "application/x-ndjson")
        # Live all the same: the server stores them when its database is back, so sending again would double them.
        if status == 503 and answer.get("code") != STORED_LATER:
            raise SetupError(f"the server at {self._address} takes no ticks: {answer.get('detail')}")
        if answer.get("rejected"):
            first = answer["errors"][0]
            raise SetupError(f"the server at {self._address} refused a tick: {first['detail']}")
        self.on_published()

    async def _send(
        self,
        method: str,
        path: str,
        body: str | None = None,
        fine: tuple[int, ...] = (),
        media: str = "application/json",
    ) -> tuple[int, dict[str, Any]]:
        from tornado.httpclient import HTTPRequest

        headers = {"Authorization": f"Bearer {await self._authorize()}", "Content-Type": media}
        url = self._address + path
        request = HTTPRequest(url, method, headers, body, request_timeout=REQUEST_TIMEOUT_S, connect_timeout=10.0)
        response = await self._fetch(request)
        while response.code == TOO_MANY:  # nothing was done: the server says when to come again
            await asyncio.sleep(int(response.headers.get("Retry-After", 1)))
            response = await self._fetch(request)
        try:
            answer = json.loads(response.body)
        except ValueError:
            answer = {}
        if response.code >= 400 and response.code not in (404, *fine):
            raise SetupError(f"{self._address} answered {response.code}: {answer.get('detail', response.reason)}")
        return response.code, answer

    async def _fetch(self, request: "HTTPRequest") -> "HTTPResponse":
        try:
            response = await self._http.fetch(request, raise_error=False)
        except OSError as error:
            raise SetupError(f"no answer from {self._address}: {error.strerror or error}") from None
        if response.code == 599:
            raise SetupError(f"no answer from {self._address}: {response.error}")
        return response


def _show(bars: "Progress", task: Any, played: "Played", started_s: float) -> None:
    rate = played.ticks / max(time.monotonic() - started_s, 1e-3)
    now = "" if played.last_ns is None else format_rfc3339(played.last_ns)[:19].replace("T", " ")
    bars.update(task, completed=played.ticks, now=now, rate=rate)


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[now]}"),
        TextColumn("{task.completed:,.0f} ticks"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
