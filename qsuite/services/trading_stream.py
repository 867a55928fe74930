"""The private channels of traders: orders, executions, positions, the account. First a snapshot, then what is durable.

engine ──announcements of a batch──> TradingStream ──those somebody listens to, rendered──> stream
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from qsuite.domain.listing import Condition, Listing
from qsuite.domain.roles import Caller
from qsuite.domain.trading.changes import Announcement
from qsuite.repos.executions import ExecutionsRepo
from qsuite.repos.orders import OrdersRepo
from qsuite.services.market_values import MarketValues
from qsuite.services.stream import StreamHub
from qsuite.services.stream.subscribe import SnapshotSource
from qsuite.services.trading import TradingService
from qsuite.services.views import Shown, show_execution, show_order, show_risk_event

CHANNEL_OF = {
    "order": "orders",
    "execution": "executions",
    "position": "positions",
    "account": "account",
    "risk_event": "risk",
}
"""The private channel that each kind of announcement goes to."""


class TradingStream:
    """Tell subscribers of trading. ``engine.listen(heard)`` feeds it; ``settled`` waits for what is decided by then."""

    def __init__(
        self,
        *,
        trading: TradingService,
        orders: OrdersRepo,
        executions: ExecutionsRepo,
        values: MarketValues,
        stream: StreamHub,
        settled: Callable[[], Awaitable[None]],
    ) -> None:
        self._trading = trading
        self._orders = orders
        self._executions = executions
        self._stream = stream
        self._settled = settled
        self._render: dict[str, Callable[[Any], Shown]] = {
            "order": show_order,
            "execution": show_execution,
            "position": values.show_position,
            "account": lambda what: values.show_account(what[0], what[1]),
            "risk_event": show_risk_event,
        }
        stream.snapshot_source("orders", self._after_all(self._orders_snapshot))
        stream.snapshot_source("executions", self._after_all(self._executions_snapshot))
        stream.snapshot_source("positions", self._after_all(self._positions_snapshot))
        stream.snapshot_source("account", self._after_all(self._account_snapshot))

    def heard(self, announcements: Sequence[Announcement]) -> None:
        """Tell the stream what became durable, in order. Nothing is rendered that nobody would get."""
        for kind, account, what in announcements:
            if account is None:
                continue  # of a book: ``BookMarket`` tells of those
            channel, render = CHANNEL_OF[kind], self._render[kind]
            if self._stream.wanted_private(account, channel):
                self._stream.publish_private(account, channel, {"type": kind, **render(what)})

    def _after_all(self, read: SnapshotSource) -> SnapshotSource:
        """Read a snapshot when all that was decided before is durable.

        What was decided while nobody listened is not announced, so it must be in the snapshot.
        """

        async def snapshot(caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
            await self._settled()
            return await read(caller, channel)

        return snapshot

    async def _orders_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        open_only = Condition("status", "in", ("HELD", "PENDING", "PARTIAL"))
        shown: list[Shown] = []
        cursor: str | None = ""
        while cursor is not None:
            listing = Listing(conditions=(open_only,), page_size=1000, cursor=cursor)
            page = await self._orders.page(listing, caller.visible)
            shown += [show_order(order) for order in page.items]
            cursor = page.next_cursor
        return shown

    async def _executions_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        listing = Listing(order=(("execution_time", True),), page_size=100, cursor="")
        page = await self._executions.page(listing, caller.visible)
        return [show_execution(execution) for execution in page.items]

    async def _positions_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        return await self._trading.positions(caller)

    async def _account_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        return [await self._trading.show_account(caller, account) for account in caller.visible]
