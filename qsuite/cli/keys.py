"""``qsuite keys``: list, rotate, revoke what tokens are signed with. Running servers follow within a second.

Nothing secret is shown or taken: a key is derived from QSUITE_SECRET_KEY, and the database names it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from qsuite.cli.connection import open_database
from qsuite.domain.times import format_rfc3339
from qsuite.settings import load_settings

if TYPE_CHECKING:
    from qsuite.domain.signing_keys import SigningKey
    from qsuite.services.keyring import Keyring

LEAD_MIN_S = 5
LEAD_S = 60
"""Verifiers elsewhere may keep the published keys for half of this (``Cache-Control`` of /api/auth/jwks/)."""


@click.group()
def keys() -> None:
    """List, rotate and revoke the keys that sign access tokens.

    \b
    Example:  qsuite keys list
    """


@keys.command("list")
def list_keys() -> None:
    """List all keys, in the order in which they sign: id, state, from when to when.

    One that is `unknown here` is derived from a secret that QSUITE_SECRET_KEY and QSUITE_SECRET_KEYS_RETIRED lack.

    \b
    Example:  qsuite keys list
    """
    for line in asyncio.run(_list()):
        click.echo(line)


@keys.command()
@click.option(
    "--after",
    "lead_s",
    type=click.IntRange(LEAD_MIN_S, 86_400),
    default=LEAD_S,
    show_default=True,
    help="Seconds until it signs; until then everybody learns to verify it.",
)
def rotate(lead_s: int) -> None:
    """Make a new key from QSUITE_SECRET_KEY, which takes over later; no request fails meanwhile.

    To change the secret itself: give every process the new one, with the old one in QSUITE_SECRET_KEYS_RETIRED; restart
    them one by one; rotate; take the old one away when `qsuite keys list` shows its keys as retired, and no user
    logs in with a second factor that was set up under them.

    \b
    Example:  qsuite keys rotate --after 300
    """
    made = asyncio.run(_rotate(lead_s))
    click.echo(f"{made.id} signs from {format_rfc3339(made.signs_from)}")


@keys.command()
@click.argument("key")
def revoke(key: str) -> None:
    """End a key at once: access tokens under it are refused, clients take new ones with their refresh token.

    For a key that others may know. Where it was the one that signs, a new one signs from now on.

    \b
    Example:  qsuite keys revoke kPrK_qmxVWaYVA9w
    """
    asyncio.run(_revoke(key))
    click.echo(f"{key} is revoked")


async def _list() -> list[str]:
    async with _keyring() as keyring:
        lines = []
        for key, state, end in keyring.ring.states(time.time_ns()):
            begin = format_rfc3339(key.signs_from) if key.signs_from else "the beginning"
            until = f", verifies until {format_rfc3339(end)}" if end is not None else ""
            word = "unknown here" if state is None else state.value
            lines.append(f"{key.id}  {word:<12}  signs from {begin}{until}")
        return lines


async def _rotate(lead_s: int) -> "SigningKey":
    async with _keyring() as keyring:
        return await keyring.rotate(lead_s)


async def _revoke(key: str) -> None:
    async with _keyring() as keyring:
        await keyring.revoke(key)


@asynccontextmanager
async def _keyring() -> AsyncIterator["Keyring"]:
    from qsuite.composition.access import keyring_of

    settings = load_settings()
    async with open_database(settings) as database:
        keyring = keyring_of(settings, database, time.time_ns)
        await keyring.start()
        yield keyring
