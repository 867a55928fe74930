"""What is said over one WebSocket: reads what the client asks, calls the hub and trading, answers with the same ``id``.

    text ──> objects ──┬──> auth, subscribe, unsubscribe, ping    one after the other
                       ├──> order, cancel, replace                side by side, so that the engine commits them together
                       └──> ticks                                 one after the other, answered when they are stored

Where another process has the engine, the last two lines and what this socket leaves behind go there over a ``Channel``.

Invariant: nothing but ``auth`` and ``ping`` is done before a token was verified; what is a request over HTTP also takes
of the same buckets here; every message is answered; a client that does not read its answers is not read from; a client
that asked for it leaves no open order of this socket behind when it goes (``cancel_on_disconnect``) - as long as this
process itself lives on to see it go.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, ClassVar
from uuid import UUID

import structlog

from qsuite.domain.errors import Forbidden, Invalid, Malformed, QSuiteError, Throttled, Unauthenticated, Unavailable
from qsuite.domain.roles import ADMINS, TRADERS, Caller, Roles
from qsuite.domain.scopes import Scope
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.trading.order import OPEN
from qsuite.handlers.market_schemas import shown_errors
from qsuite.handlers.orders import as_id
from qsuite.handlers.payloads import load, read_json
from qsuite.handlers.problems import with_facts
from qsuite.handlers.stream_fields import read_channels, read_id, read_order_id, read_orders, read_since, require_id
from qsuite.handlers.trading_schemas import PlaceOrderSchema, ReplaceOrderSchema
from qsuite.services.container import Services
from qsuite.services.forwarding.channel import Channel
from qsuite.services.forwarding.forwarder import Forwarder
from qsuite.services.market_records import BulkResult
from qsuite.services.stream import Subscriber
from qsuite.services.stream.subscriber import POLICY
from qsuite.services.throttle import Verdict
from qsuite.services.throttle.throttle import Who
from qsuite.services.views import show_order

log = structlog.get_logger(__name__)

Fields = Mapping[str, Any]

# As many as the engine commits at once; the next message is read when one of them is answered.
ORDERS_AT_ONCE = 256
# Beyond so many orders of a socket that cancels on disconnect, those that have ended are forgotten.
REMEMBERED = 10_000

_PLACE = PlaceOrderSchema()
_REPLACE = ReplaceOrderSchema()


class StreamSession:
    """The conversation with one subscriber."""

    __slots__ = ("_address", "_channel", "_forward", "_heard_s", "_placed", "_services", "_subscriber", "_under_way")

    _leaving: ClassVar[set[asyncio.Task[None]]] = set()
    """What goes on for sockets that are closed."""

    def __init__(
        self, services: Services, subscriber: Subscriber, address: str, forward: Forwarder | None = None
    ) -> None:
        self._services = services
        self._forward = forward
        self._channel: Channel | None = None
        """The way to the engine's process, once a command was sent on."""
        self._address = address
        self._heard_s = 0.0
        self._subscriber = subscriber
        self._under_way: set[asyncio.Task[None]] = set()
        self._placed: set[UUID] | None = None
        """Orders of this socket that may be open, while they are to be cancelled when it closes; else None."""

    def left(self) -> None:
        """Cancel what this socket leaves open, if that was asked for. Orders under way go on."""
        caller = self._subscriber.caller
        if self._placed and self._elsewhere:  # this process lost the engine since they were placed
            self._way()
        if self._channel is not None:
            self._channel.left()
        elif self._placed is not None and caller is not None:
            task = asyncio.get_running_loop().create_task(self._take_back(caller))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _take_back(self, caller: Caller) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way)
        placed = self._placed or set()
        try:
            await self._services.trading.cancel_these(caller, placed)
        except QSuiteError as error:
            log.error("stream.orders_left_open", orders=len(placed), code=error.code)

    async def hear(self, message: str | bytes) -> None:
        """Do what one message asks: an object, or an array of them, done in their order."""
        self._heard_s = time.monotonic()
        await self._subscriber.room()
        try:
            asked = self._parse(message)
        except QSuiteError as error:
            self._refuse(error, {})
            return
        for one in asked if isinstance(asked, list) else [asked]:
            if self._subscriber.closed:
                return
            await self._act(one)

    def _parse(self, message: str | bytes) -> Any:
        if isinstance(message, bytes):
            raise Malformed("messages are text frames")
        return read_json(message.encode())

    async def _act(self, asked: Any) -> None:
        reply: dict[str, Any] = {}
        try:
            if not isinstance(asked, dict):
                raise Malformed("a message is an object")
            if "id" in asked:
                reply["id"] = read_id(asked["id"])
            action = asked.get("action")
            do = self._actions.get(action) if isinstance(action, str) else None
            if do is None:
                known = ", ".join(self._actions)
                raise Invalid(f"there is no such action; there are {known}", code="action.unknown")
            await do(self, asked, reply)
        except QSuiteError as error:
            self._refuse(error, reply)

    # -- answers ----------------------------------------------------------------------------------------------------

    def _refuse(self, error: QSuiteError, reply: Fields) -> None:
        """Answer a bad message, and close when there were too many."""
        self._tell(error, reply)
        if isinstance(error, (Unauthenticated, Forbidden)):
            self._note_refusal(error)
        self._subscriber.bad_messages += 1
        hub = self._services.stream
        hub.counters.bad_messages += 1
        if self._subscriber.bad_messages >= self._services.settings.stream.max_bad_messages:
            hub.close(self._subscriber, POLICY, "bad_messages", last_words=True)

    def _note_refusal(self, error: Unauthenticated | Forbidden) -> None:
        """Have the record say what was refused; of nobody in particular all is one kind."""
        caller = self._subscriber.caller
        self._services.audit.note(
            "stream.refused",
            actor=None if caller is None else caller.user,
            actor_name="" if caller is None else caller.username,
            subject="" if isinstance(error, Unauthenticated) else "stream",
            facts={"code": error.code, "detail": error.detail},
            address=self._address,
        )

    def _tell(self, error: QSuiteError, reply: Fields) -> None:
        told = {"type": "error", "code": error.code, "detail": error.detail, **reply}
        self._subscriber.send(with_facts(error, told))

    # -- who, and what they listen to -------------------------------------------------------------------------------

    async def _auth(self, asked: Fields, reply: Fields) -> None:
        token = asked.get("token")
        if not isinstance(token, str):
            raise Invalid("a token is required", errors={"token": ["a string"]})
        header = f"Bearer {token}"
        try:
            caller = await self._services.auth.authenticate(header)
            if caller.limits is not None:
                caller.limits.require_address(self._address)
        except (Unauthenticated, Forbidden):
            await self._count(ThrottleScope.DEFAULT, self._address)
            raise
        await self._count(ThrottleScope.DEFAULT, caller)
        if not self._subscriber.closed:
            self._services.stream.identify(self._subscriber, caller, header, **reply)
            if self._channel is not None:
                self._channel.renew(token)

    async def _subscribe(self, asked: Fields, reply: Fields) -> None:
        names, since = read_channels(asked), read_since(asked)
        await self._count(ThrottleScope.DEFAULT, self._caller())
        for name, error in await self._services.stream.subscriptions.start(self._subscriber, names, since, **reply):
            self._refuse(error, {"channel": name, **reply})

    async def _unsubscribe(self, asked: Fields, reply: Fields) -> None:
        self._caller()
        self._services.stream.subscriptions.end(self._subscriber, read_channels(asked), **reply)

    async def _ping(self, asked: Fields, reply: Fields) -> None:
        self._subscriber.send({"type": "pong", **reply})

    def _caller(self) -> Caller:
        if self._subscriber.caller is None:
            raise Unauthenticated("authenticate first")
        return self._subscriber.caller

    async def _count(self, scope: ThrottleScope, who: Who) -> None:
        """Take of the same buckets as the HTTP API's requests do. Throttled over a limit."""
        told = self._services.throttle.take(scope, who)
        verdict = told if isinstance(told, Verdict) else await told
        if verdict.refusal is not None:
            raise verdict.refusal

    # -- where another process has the engine -------------------------------------------------------------------------

    @property
    def _elsewhere(self) -> bool:
        """Say whether commands are sent on. A way once taken is kept, so that the order of commands is, too."""
        return self._channel is not None or (self._forward is not None and self._forward.elsewhere)

    async def _send_on(self, asked: Fields, reply: Fields) -> None:
        """Have the engine's process do it and answer."""
        await self._way().ask(asked, reply)

    def _way(self) -> Channel:
        """Return the way to the engine's process; orders that end with this socket are its business from here on."""
        assert self._forward is not None
        if self._channel is None:
            self._channel = Channel(
                self._forward,
                header=lambda: self._subscriber.header,
                address=self._address,
                tell=self._subscriber.send,
                fail=self._tell,
            )
            if self._placed is not None:
                self._channel.take_over(self._placed)
                self._placed = None
        return self._channel

    # -- trading ----------------------------------------------------------------------------------------------------

    async def _order(self, asked: Fields, reply: Fields) -> None:
        caller = self._asking_trader(reply)
        if self._elsewhere:
            await self._send_on(asked, reply)
        else:
            await self._begin(self._place(caller, asked.get("order"), reply, self._heard_s), reply)

    async def _place(self, caller: Caller, order: Any, reply: Fields, heard_s: float) -> None:
        traces = self._services.traces
        if traces is None:
            await self._place_now(caller, order, reply, heard_s)
            return
        with traces.message("order"):
            await self._place_now(caller, order, reply, heard_s)

    async def _place_now(self, caller: Caller, order: Any, reply: Fields, heard_s: float) -> None:
        await self._count(ThrottleScope.ORDERS, caller)
        placed = await self._services.trading.place(caller, load(_PLACE, order))
        if self._placed is not None and placed.status in OPEN:
            self._remember(placed.id)
        self._subscriber.send({"type": "result", "action": "order", "order": show_order(placed), **reply})
        self._services.latency.acknowledged("websocket", (self._services.reference.venue(placed.symbol),), heard_s)

    async def _cancel(self, asked: Fields, reply: Fields) -> None:
        caller, order_id = self._asking_trader(reply), read_order_id(asked)
        if self._elsewhere:
            await self._send_on(asked, reply)
        else:
            await self._begin(self._cancel_one(caller, order_id, reply), reply)

    async def _cancel_one(self, caller: Caller, order_id: str, reply: Fields) -> None:
        await self._count(ThrottleScope.CANCELS, caller)
        cancelled = await self._services.trading.cancel(caller, as_id(order_id))
        self._subscriber.send({"type": "result", "action": "cancel", "order": show_order(cancelled), **reply})

    async def _replace(self, asked: Fields, reply: Fields) -> None:
        caller, order_id = self._asking_trader(reply), read_order_id(asked)
        if self._elsewhere:
            await self._send_on(asked, reply)
        else:
            await self._begin(self._replace_one(caller, order_id, asked.get("changes"), reply), reply)

    async def _replace_one(self, caller: Caller, order_id: str, changes: Any, reply: Fields) -> None:
        await self._count(ThrottleScope.ORDERS, caller)
        changed = load(_REPLACE, changes)
        replaced = await self._services.trading.replace(caller, as_id(order_id), changed)
        self._subscriber.send({"type": "result", "action": "replace", "order": show_order(replaced), **reply})

    # -- ticks of a feed --------------------------------------------------------------------------------------------

    async def _ticks(self, asked: Fields, reply: Fields) -> None:
        """Make ticks the market now, before the next message is read; answer when they are stored."""
        caller = self._one_of(ADMINS, Scope.MARKET_WRITE)
        require_id(reply)
        ticks = asked.get("ticks")
        if not isinstance(ticks, list):
            raise Invalid("ticks are required", errors={"ticks": ["a list of ticks"]})
        if self._elsewhere and self._forward is not None and self._forward.whereabouts.away_since_s is None:
            await self._send_on(asked, reply)
            return
        try:
            await self._count(ThrottleScope.MARKET_DATA, caller)
            result = await self._services.ingest.publish(ticks)
        except (Throttled, Unavailable) as error:  # told, not counted against the feed
            self._tell(error, reply)
            return
        await self._begin(self._ticks_stored(result, reply), reply)

    async def _ticks_stored(self, result: BulkResult, reply: Fields) -> None:
        await self._services.ingest.stored(result)
        counts = {"accepted": result.created, "rejected": result.rejected, "errors": shown_errors(result)}
        self._subscriber.send({"type": "result", "action": "ticks", **counts, **reply})

    # -- what the socket leaves behind ------------------------------------------------------------------------------

    async def _cancel_on_disconnect(self, asked: Fields, reply: Fields) -> None:
        self._trader()
        enabled = asked.get("enabled", True)
        if not isinstance(enabled, bool):
            raise Invalid("enabled is true or false", errors={"enabled": ["true or false"]})
        orders = read_orders(asked)
        if self._elsewhere:
            await self._send_on(asked, reply)
            return
        if not enabled:
            self._placed = None
        elif self._placed is None:
            self._placed = set()
        if self._placed is not None:
            for order in orders:
                self._remember(order)
        self._subscriber.send({"type": "cancel_on_disconnect", "enabled": enabled, **reply})

    def _remember(self, order: UUID) -> None:
        assert self._placed is not None
        self._placed.add(order)
        if len(self._placed) > REMEMBERED:
            self._placed = self._services.trading.still_open(self._placed)

    def _one_of(self, roles: Roles, scope: Scope) -> Caller:
        caller = self._caller()
        if caller.role not in roles:
            raise Forbidden(f"the role {caller.role.value} may not do this")
        if caller.limits is not None:
            caller.limits.require(frozenset({scope}))
        return caller

    def _trader(self) -> Caller:
        return self._one_of(TRADERS, Scope.ORDERS_WRITE)

    def _asking_trader(self, reply: Fields) -> Caller:
        caller = self._trader()
        require_id(reply)
        return caller

    async def _begin(self, work: Coroutine[Any, Any, None], reply: Fields) -> None:
        """Begin what is answered later; return at once unless too many are under way."""
        if len(self._under_way) >= ORDERS_AT_ONCE:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.get_running_loop().create_task(self._finish(work, reply))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _finish(self, work: Coroutine[Any, Any, None], reply: Fields) -> None:
        try:
            await work
        except QSuiteError as error:  # a mistake in an order is answered, not counted against the socket
            self._tell(error, reply)
        except Exception:
            log.exception("stream.action_failed")
            detail = "something went wrong on our side"
            self._subscriber.send({"type": "error", "code": "internal", "detail": detail, **reply})

    _actions: ClassVar[Mapping[str, Callable[["StreamSession", Fields, Fields], Awaitable[None]]]] = {
        "auth": _auth,
        "subscribe": _subscribe,
        "unsubscribe": _unsubscribe,
        "ping": _ping,
        "order": _order,
        "cancel": _cancel,
        "replace": _replace,
        "ticks": _ticks,
        "cancel_on_disconnect": _cancel_on_disconnect,
    }
