"""A process with the engine and gateways beside it, all in this process: one loop, one database, real sockets."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from qsuite.app import App, build
from qsuite.composition.parts import Parts
from qsuite.repos.database import Database
from qsuite.settings import ForwardSettings, Settings
from tests.support.client import ApiClient
from tests.support.running_app import SECRET, Api, running_api
from tests.support.waiting import eventually


class Fleet:
    """``api`` is the engine's process with its clients; ``ports`` are the gateways'."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.gateways: list[App] = []
        self.ports: list[int] = []

    def at(self, gateway: int, client: ApiClient) -> ApiClient:
        """Return the same user's client at a gateway."""
        return ApiClient(f"http://127.0.0.1:{self.ports[gateway]}", client.token, on_answer=self.api.contract.check)


@asynccontextmanager
async def running_fleet(
    settings: Settings,
    database: Database,
    directory: Path,
    *,
    gateways: int = 2,
    forward: ForwardSettings | None = None,
) -> AsyncIterator[Fleet]:
    """Start them; all gateways know where the engine is when this yields."""
    async with AsyncExitStack() as ends:
        fleet = Fleet(await ends.enter_async_context(running_api(settings, database, directory)))
        for number in range(gateways):
            own = replace(
                settings,
                role="gateway",
                data_dir=directory / f"gateway{number}",
                secret_key=SECRET,
                forward=forward or settings.forward,
            )
            app = await build(own, database, Parts(watched=False))
            ends.push_async_callback(app.stop)
            await app.start()
            fleet.gateways.append(app)
            fleet.ports.append(app.listen(0))
        await eventually(lambda: all(_knows(app) for app in fleet.gateways), what="the engine's address")
        yield fleet


def _knows(app: App) -> bool:
    forward = app.application.forward
    return forward is not None and forward.whereabouts.seat is not None and forward.whereabouts.seat.address != ""
