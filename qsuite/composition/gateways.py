"""Streams across processes, where a Redis is configured: to publish while this process has the engine, or to follow."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from qsuite.composition.market import Market
from qsuite.composition.trading import Trading
from qsuite.repos.database import Database
from qsuite.services.engine_jobs import EngineState
from qsuite.services.gateways.link import Link
from qsuite.services.gateways.publisher import Asks, Publisher
from qsuite.services.gateways.relay import Relay
from qsuite.services.gateways.uplink import Uplink
from qsuite.services.health import StreamSource
from qsuite.settings import Settings

GATEWAY = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateways:
    """The publishing side, or the following one, or neither without a Redis that other processes could be at."""

    relay: Relay | None = None
    publisher: Publisher | None = None
    asks: Asks | None = None
    uplink: Uplink | None = None

    async def stop(self) -> None:
        """Close the connections."""
        if self.publisher is not None:
            await self.publisher.stop()
        if self.uplink is not None:
            await self.uplink.stop()


def make_gateways(
    *,
    settings: Settings,
    database: Database,
    market: Market,
    trading: Trading,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Gateways:
    """Make what this process's role needs."""
    if settings.redis_url is None or not database.transactions:
        return Gateways()
    prefix = f"qsuite:{database.name}"
    flushes, asks = Link(settings.redis_url, f"{prefix}:flushes"), Link(settings.redis_url, f"{prefix}:asks")
    if settings.role == GATEWAY:
        name, refresh = new_id().hex, market.data.refresh
        return Gateways(uplink=Uplink(market.stream, flushes, asks, gateway=name, refresh=refresh, clock=clock))
    relay = Relay(market.stream)
    reader = Asks(relay, asks)
    engine = trading.engine

    def epoch() -> int | None:
        return None if engine.state in (EngineState.STANDBY, EngineState.STOPPED) else engine.epoch or None

    publisher = Publisher(relay, flushes, reader, epoch=epoch, clock=clock)
    return Gateways(relay=relay, publisher=publisher, asks=reader)


def stream_source(trading: Trading, gateways: Gateways) -> Callable[[], StreamSource]:
    """Return what says where the stream's messages come from."""

    def source() -> StreamSource:
        if trading.engine.active:
            return StreamSource("engine")
        if gateways.uplink is not None and gateways.uplink.joined:
            return StreamSource("redis", gateways.uplink.lag_s)
        return StreamSource("database")

    return source
