"""A real server with the stream alone on it: real sockets and hub, authentication and trading made by hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from qsuite.domain.errors import NotFound, OrderRefused, Unauthenticated
from qsuite.domain.roles import Caller, Role
from qsuite.domain.trading.order import Order
from qsuite.handlers.routes import Route, make_application
from qsuite.handlers.server import ApiServer
from qsuite.handlers.stream import routes
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.container import Services
from qsuite.services.metrics import Metrics
from qsuite.services.order_latency import OrderLatency
from qsuite.services.stream import StreamHub
from qsuite.services.throttle import Throttle
from qsuite.settings import Settings
from tests.support.ws import WsClient

ANNA = Caller(UUID(int=1), "anna", Role.TRADER, (UUID(int=101),))
BERT = Caller(UUID(int=2), "bert", Role.TRADER, (UUID(int=102), UUID(int=112)))
VERA = Caller(UUID(int=3), "vera", Role.VIEWER)
LESS = Caller(UUID(int=1), "anna", Role.VIEWER, (UUID(int=101),))


@dataclass
class FakeAuth:
    """Let in whoever has a token of ``callers``."""

    callers: dict[str, Caller] = field(
        default_factory=lambda: {"anna": ANNA, "bert": BERT, "vera": VERA, "anna-viewer": LESS}
    )
    forgotten: set[str] = field(default_factory=set)
    revoked: list[Callable[[UUID], None]] = field(default_factory=list)

    def remembered(self, header: str) -> Caller | None:
        token = header.removeprefix("Bearer ")
        return None if token in self.forgotten else self.callers.get(token)

    async def authenticate(self, header: str) -> Caller:
        await asyncio.sleep(0)
        found = self.callers.get(header.removeprefix("Bearer "))
        if found is None or not header.startswith("Bearer "):
            raise Unauthenticated("the token is not valid")
        return found

    def on_revoked(self, callback: Callable[[UUID], None]) -> None:
        self.revoked.append(callback)


@dataclass
class FakeTrading:
    """Answer orders once ``go`` is set: those for more than 100 with a refusal."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    orders: dict[UUID, Order] = field(default_factory=dict)

    async def place(self, caller: Caller, asked: Mapping[str, Any]) -> Order:
        self.asked.append(asked)
        number = len(self.asked)
        await self.go.wait()
        if asked["quantity"] > 100:
            raise OrderRefused("too many", code="risk.max_quantity", order={"status": "REJECTED"})
        if asked["symbol"] == "BUG":
            raise RuntimeError("the secret is swordfish")
        wanted = {name: asked[name] for name in ("symbol", "side", "order_type", "quantity", "time_in_force")}
        order = Order(
            id=UUID(int=number),
            account=caller.accounts[0],
            created_by=caller.user,
            created_at=0,
            updated_at=0,
            **wanted,
        )
        self.orders[order.id] = order
        return order

    async def cancel(self, caller: Caller, order: UUID) -> Order:
        await self.go.wait()
        if order not in self.orders:
            raise NotFound("no such order")
        return self.orders[order]


class Clock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def ns(self) -> int:
        return int(self.seconds * 1_000_000_000)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class StreamServer:
    """What a test holds."""

    hub: StreamHub
    auth: FakeAuth
    trading: FakeTrading
    clock: Clock
    port: int

    async def client(self, token: str | None = None, **given: Any) -> WsClient:
        """Open a socket; its welcome and the answer to its token are read."""
        client = await WsClient.open(self.port, token=token, **given)
        assert (await client.receive())["type"] == "welcome"
        if token is not None:
            assert (await client.receive())["type"] == "authenticated"
        return client

    async def subscribed(self, token: str, *channels: str, **given: Any) -> WsClient:
        """Open a socket and subscribe; all snapshots are read."""
        client = await self.client(token, **given)
        await client.send({"action": "subscribe", "channels": channels})
        assert (await client.receive())["type"] == "subscribed"
        for _ in channels:
            assert (await client.receive())["type"] == "snapshot"
        return client

    async def round(self, *, after_s: float = 0.0) -> None:
        """Move the clocks on and let the hub look after its sockets."""
        self.clock.seconds += after_s
        await self.hub.upkeep.run_once(self.clock.ns())


@asynccontextmanager
async def stream_server(
    settings: Settings,
    *,
    known_symbol: Callable[[str], bool] | None = None,
    throttle: Throttle | None = None,
    **changed: Any,
) -> AsyncIterator[StreamServer]:
    """Serve the stream; ``changed`` are stream settings."""
    settings = replace(settings, stream=replace(settings.stream, **changed))
    auth, trading, clock = FakeAuth(), FakeTrading(), Clock()
    hub = StreamHub(
        settings=settings.stream, auth=auth, known_symbol=known_symbol, clock=clock.ns, monotonic=clock.monotonic
    )
    await hub.start()
    throttle = throttle or Throttle(settings.throttle)
    trail = AuditTrail(cast(Any, None))
    services = SimpleNamespace(
        settings=settings,
        auth=auth,
        stream=hub,
        trading=trading,
        throttle=throttle,
        audit=trail,
        metrics=Metrics(),
        traces=None,
        latency=OrderLatency(),
        reference=SimpleNamespace(venue=lambda symbol: "paper"),
    )
    application = make_application(cast(Services, services), routes=[Route(*route) for route in routes])
    server = ApiServer(application, limits=settings.http)
    server.listen(0, "127.0.0.1")
    try:
        yield StreamServer(hub, auth, trading, clock, server.port)
    finally:
        await hub.stop()
        await server.drain(0.1)
