"""The whole of QSuite in this process, over a real database, with a user of each role logged in."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from qsuite.app import App, build
from qsuite.composition.parts import Parts
from qsuite.domain.roles import Role
from qsuite.repos.database import Database
from qsuite.services.container import Services
from qsuite.settings import Settings
from tests.support.client import ApiClient
from tests.support.contract import Contract

PASSWORD = "correct horse battery staple"
SECRET = "a-secret-of-more-than-32-characters-0123456789"


class Api:
    """A started application and its clients, one for each role: ``viewer``, ``trader``, ``risk_manager``, …"""

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.port = port
        self.contract = Contract(app.application.routes)
        self.anonymous = ApiClient(f"http://127.0.0.1:{port}", on_answer=self.contract.check)
        self.clients: dict[Role, ApiClient] = {}
        self._numbers = itertools.count(1)

    @property
    def services(self) -> Services:
        """Return what handlers call, for a test to look behind the API."""
        return self.app.services

    @property
    def database(self) -> Database:
        """Return the database under it."""
        return self.app.database

    async def new_client(self, role: Role | str = Role.TRADER) -> ApiClient:
        """Make one more user, log in over HTTP, and return a client with the token. ``client.user`` tells who."""
        username = f"{Role(role).value}-{next(self._numbers)}"
        user = await self.services.users.create(username, PASSWORD, Role(role))
        answer = await self.anonymous.post("/api/auth/login/", {"username": username, "password": PASSWORD})
        assert answer.status == 200, answer
        client = self.anonymous.as_(answer.json["access"])
        client.user = {"id": str(user.id), "username": username, "password": PASSWORD, "role": Role(role).value}
        return client

    viewer = property(lambda self: self.clients[Role.VIEWER])
    trader = property(lambda self: self.clients[Role.TRADER])
    risk_manager = property(lambda self: self.clients[Role.RISK_MANAGER])
    auditor = property(lambda self: self.clients[Role.AUDITOR])
    admin = property(lambda self: self.clients[Role.ADMIN])

    def close(self) -> None:
        """Let go of the clients."""
        for client in (self.anonymous, *self.clients.values()):
            client.close()


@asynccontextmanager
async def running_api(
    settings: Settings, database: Database, data_dir: Path, parts: Parts | None = None
) -> AsyncIterator[Api]:
    """Build, start and stop everything."""
    settings = replace(settings, data_dir=data_dir, secret_key=SECRET)
    app = await build(settings, database, parts or Parts(watched=False))
    await app.start()
    try:
        api = Api(app, app.listen(0))
        for role in Role:
            api.clients[role] = await api.new_client(role)
        yield api
        api.close()
    finally:
        await app.stop()
