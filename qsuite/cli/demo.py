"""What ``qsuite serve --demo`` shows: a progress bar while prices are loaded, then how to use what is running.

The three lines are for a POSIX shell with curl, to be pasted as they stand, in their order.
"""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from shlex import quote
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qsuite.app import App

SYMBOL = "IBM"
QUANTITY = "10"
CHANNELS = f"trades:{SYMBOL},orders,executions,positions"
PASSWORD_VARIABLE = "$QSUITE_PASSWORD"  # noqa: S105  a name  # nosec B105


async def start_demo(app: "App", address: str) -> None:
    """Load, play and tell."""
    started_s = time.monotonic()
    with LoadingBar() as bar:
        username, password = await app.start_demo(bar.update)
    if bar.shown:
        click.echo(f"Loaded {bar.total:,} real daily prices in {time.monotonic() - started_s:.1f} s")
    click.echo(instructions(address, username, password))


class LoadingBar:
    """A progress bar that appears only when there is something to wait for."""

    def __init__(self) -> None:
        self.shown = False
        self.total = 0
        self._stack = ExitStack()
        self._advance: Callable[[int], None] = lambda done: None

    def __enter__(self) -> "LoadingBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def update(self, done: int, total: int) -> None:
        """Show how far it is."""
        self.total = total
        if not self.shown and done < total:
            self._appear()
        self._advance(done)

    def _appear(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("Loading daily prices"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        progress = self._stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = progress.add_task("", total=self.total)
        self._advance = lambda done: progress.update(task, completed=done)
        self.shown = True


def instructions(address: str, username: str, password: str) -> str:
    """Write the address, the credentials and what to try. A password that is not known is asked from a variable."""
    login, buy, watch = curl_lines(address, username, password)
    return f"""
A live market plays real days of AAPL, GOOG, IBM and MSFT (2000 to 2013); the path inside each day is simulated.

  Address    {address}
  Username   {username}
  Password   {password or "the one that was set since"}

Log in:
{login}

Buy:
{buy}

Watch (Ctrl-C ends it):
{watch}

Ctrl-C stops QSuite.
"""


def curl_lines(address: str, username: str, password: str) -> tuple[str, str, str]:
    """Return the lines that log in, buy and watch."""
    body = quote(json.dumps({"username": username, "password": password}))
    if not password:
        body = f'"{{\\"username\\":\\"{username}\\",\\"password\\":\\"{PASSWORD_VARIABLE}\\"}}"'
    order = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": QUANTITY}
    content, bearer = "-H 'Content-Type: application/json'", '-H "Authorization: Bearer $TOKEN"'
    take = r"""sed 's/.*"access":"\([^"]*\)".*/\1/'"""
    return (
        f"TOKEN=$(curl -s {address}/api/auth/login/ {content} -d {body} | {take})",
        f"curl -s -w '\\n' {address}/api/v1/orders/ {bearer} {content} -d {quote(json.dumps(order))}",
        f"curl -sN {quote(f'{address}/api/v1/stream/?channels={CHANNELS}')} {bearer}",
    )
