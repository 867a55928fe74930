"""Commands sent on to the process with the engine, where several processes may share the database."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from qsuite.composition.access import Access
from qsuite.composition.trading import Trading
from qsuite.repos.database import Database
from qsuite.repos.engine_seat import EngineSeatRepo
from qsuite.safe_start import is_plain_http
from qsuite.services.engine_jobs import EngineState
from qsuite.services.figures import show_forward
from qsuite.services.forwarding.forwarder import Forwarder
from qsuite.services.forwarding.proof import Proof
from qsuite.services.forwarding.whereabouts import Whereabouts
from qsuite.services.metrics import Metrics
from qsuite.settings import Settings

EVERY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104  recognised, not bound  # nosec B104


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """What sends commands on, and the loop that knows where to; neither where this process is alone."""

    forwarder: Forwarder | None = None
    whereabouts: Whereabouts | None = None

    async def stop(self) -> None:
        """Hang up."""
        if self.forwarder is not None:
            await self.forwarder.stop()


def make_forwarding(
    *,
    settings: Settings,
    database: Database,
    access: Access,
    trading: Trading,
    metrics: Metrics,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Forwarding:
    """Make what this process needs when another one has the engine. SetupError for authorities that cannot be read."""
    if not database.transactions:
        return Forwarding()
    engine = trading.engine

    def elsewhere() -> bool:
        return engine.state is EngineState.STANDBY

    whereabouts = Whereabouts(EngineSeatRepo(database).find, elsewhere=elsewhere, lease_s=settings.engine.lease_s)
    forwarder = Forwarder(
        settings=settings.forward,
        whereabouts=whereabouts,
        proof=Proof(access.keyring, clock=clock),
        elsewhere=elsewhere,
        new_id=new_id,
    )
    whereabouts.on_look = forwarder.looked
    whereabouts.in_use = lambda: forwarder.in_use
    show_forward(metrics, forwarder)
    return Forwarding(forwarder=forwarder, whereabouts=whereabouts)


def advertised(settings: Settings, port: int) -> str:
    """Return where other processes reach this one, "" where only an operator could know."""
    if settings.http.advertise is not None:
        return settings.http.advertise
    host = settings.host
    if host in EVERY_ADDRESS:
        return ""
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    allowed = settings.profile != "production" or settings.plain_network or not is_plain_http(address)
    return address if allowed else ""
