"""The first users of a stack and what they trade: made through the command line and the API, as people make theirs."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ops.stack.server import COMMAND, Server, environment
from qsuite.domain.errors import SetupError
from qsuite.domain.times import format_rfc3339

CASH = "10000000"
CONFLICT = 409
COMMAND_S = 60


class User(NamedTuple):
    """Somebody who can log in."""

    username: str
    password: str
    role: str


def make_admin(user: User, folder: Path, settings: Mapping[str, str]) -> None:
    """Make the first user by ``qsuite user create``; one that is there stays as it is. SetupError when refused."""
    command = [*COMMAND, "user", "create", user.username, "--role", user.role, "--password-stdin"]
    done = subprocess.run(
        command,
        input=user.password,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(settings),
        timeout=COMMAND_S,
    )
    if done.returncode and "already" not in done.stderr:
        raise SetupError(f"cannot make the user {user.username}: {done.stderr}")


def make_users(server: Server, users: Sequence[User], token: str) -> None:
    """Make users by the API, with an administrator's token; those that are there stay as they are."""
    for user in users:
        asked = {"username": user.username, "password": user.password, "role": user.role}
        status, answer = server.ask(
            "POST", "/api/v1/users/", asked | ({"cash": CASH} if user.role == "trader" else {}), token
        )
        if status not in (201, CONFLICT):
            raise SetupError(f"cannot make the user {user.username}: {answer}")


def quote(server: Server, token: str, symbol: str, bid: str, ask: str) -> None:
    """Send a quote with plenty of size on both sides, for a symbol that is made if it is new."""
    server.ask("POST", "/api/v1/tickers/", {"symbol": symbol, "name": symbol}, token)
    tick = {"symbol": symbol, "ts": format_rfc3339(time.time_ns()), "kind": "quote", "bid": bid, "ask": ask}
    status, answer = server.ask(
        "POST", "/api/v1/ticks/", [tick | {"bid_size": "100000000", "ask_size": "100000000"}], token
    )
    if status >= 300 or answer["rejected"]:
        raise SetupError(f"no quote for {symbol}: {answer}")
