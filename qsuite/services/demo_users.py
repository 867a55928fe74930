"""The two users of a first start: somebody to trade as, and somebody to manage the rest.

Their passwords are random and are kept in ``credentials.json``, so that later starts can print them again.
"""

import asyncio
import json
import secrets
import string
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qsuite.domain.errors import AlreadyExists, SetupError
from qsuite.domain.roles import Role
from qsuite.services.passwords import Passwords
from qsuite.services.private_files import read_or_make

if TYPE_CHECKING:
    from qsuite.services.users import UserService

FILE_NAME = "credentials.json"
TRADER = "demo"
ADMIN = "admin"
LENGTH = 20
_ALPHABET = "".join(sorted(set(string.ascii_letters + string.digits) - set("0O1lI")))  # what nobody misreads


async def ensure_demo(users: "UserService", passwords: Passwords, data_dir: Path) -> tuple[str, str]:
    """Make both users unless they are there; return the trader's name and password.

    A password set since is never touched: what is returned is then empty instead of the one in the file.
    """
    known = await asyncio.to_thread(_credentials, data_dir / FILE_NAME)
    await asyncio.gather(
        _ensure(users, TRADER, known[TRADER], Role.TRADER), _ensure(users, ADMIN, known[ADMIN], Role.ADMIN)
    )
    trader = await users.find_by_username(TRADER)
    right = trader is not None and await passwords.verify(trader.password_hash, known[TRADER])
    return TRADER, known[TRADER] if right else ""


async def _ensure(users: "UserService", username: str, password: str, role: Role) -> None:
    user = await users.find_by_username(username)
    if user is not None:
        await users.open_account(user)  # that a start killed half-way did not come to
        return
    with suppress(AlreadyExists):  # another process starts at the same moment
        await users.create(username, password, role)


def _credentials(path: Path) -> dict[str, str]:
    text = read_or_make(path, lambda: json.dumps({TRADER: _random(), ADMIN: _random()}, indent=2))
    try:
        found = json.loads(text)
        return {name: str(found[name]) for name in (TRADER, ADMIN)}
    except (ValueError, TypeError, KeyError):
        raise SetupError(f"{path} is damaged; remove it (and set new passwords with `qsuite user passwd`)") from None


def _random() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))
