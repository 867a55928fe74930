"""What one client's socket asks of the engine, sent on over a socket of its own to the engine's process.

One socket there for each that sends commands here: so their order is kept, the engine commits them together, and when
this process dies the engine's sees it and cancels what was to be cancelled (``cancel_on_disconnect``).

    ask ──> pending ──> sent ──> answered: told under the client's own id
                          └──> connection lost, or "not here": asked again of whoever has the engine, a bounded time,
                               where that can do nothing twice; else told that the outcome is unknown

Invariant: each command is answered once; none is sent before those that were asked earlier.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar
from uuid import UUID

import orjson
import structlog
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketError, websocket_connect

from qsuite.domain.errors import OutcomeUnknown, QSuiteError, Unauthenticated, Unavailable
from qsuite.domain.money import show
from qsuite.repos.engine_seat import Seat
from qsuite.services.forwarding.forwarder import AGAIN_S, NOT_THERE, RETRY_S, Forwarder
from qsuite.services.forwarding.lines import NotSent

log = structlog.get_logger(__name__)

PATH = "/ws/v1/stream"
AT_ONCE = 256
"""Commands of a socket under way; the next message is read when one of them is answered."""
REMEMBERED = 10_000
ADOPTED_AT_ONCE = 1_000
CLOSE_S = 1.0
OPEN = frozenset({"HELD", "PENDING", "PARTIAL"})
REPEATABLE = frozenset({"cancel", "cancel_on_disconnect"})

Fields = Mapping[str, Any]


@dataclass(slots=True)
class Command:
    """What was asked, and what its answer carries; ``lost`` once it was sent and no answer can come any more."""

    asked: Fields
    reply: Fields
    sent: bool = False
    lost: bool = False

    @property
    def again(self) -> bool:
        """Say whether asking twice does nothing twice."""
        order = self.asked.get("order")
        return self.asked["action"] in REPEATABLE or (isinstance(order, dict) and bool(order.get("client_order_id")))

    def unknown(self) -> OutcomeUnknown:
        """Return what is told when nobody knows what came of it."""
        order = self.asked.get("order")
        ids = {"client_order_id": order.get("client_order_id")} if isinstance(order, dict) else {}
        detail = "the engine's process went away before it answered; ask again with the id"
        return OutcomeUnknown(detail, retry_after_s=RETRY_S, **ids)


class Channel:
    """One socket's commands. ``header`` gives its present token, ``tell`` sends it a message, ``fail`` an error."""

    _closing: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(
        self,
        forward: Forwarder,
        *,
        header: Callable[[], str],
        address: str,
        tell: Callable[[dict[str, Any]], None],
        fail: Callable[[QSuiteError, Fields], None],
    ) -> None:
        self._forward = forward
        self._header = header
        self._address = address
        self._tell = tell
        self._fail = fail
        self._numbers = count(1)
        self._pending: dict[int, Command] = {}
        self._connection: WebSocketClientConnection | None = None
        self._refused = False
        """Whoever is at the other end has no engine: what is answered still counts, and nothing more is sent."""
        self._work: asyncio.Task[None] | None = None
        self._seat: Seat | None = None
        self._moved = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._keeps = False
        self._left = False
        self._placed: dict[str, None] = {}
        self._ends_s = 0.0
        forward.channels.add(self)

    async def ask(self, asked: Fields, reply: Fields) -> None:
        """Send a command on; returns at once unless too many are under way."""
        await self._room.wait()
        number = next(self._numbers)
        self._pending[number] = Command(asked, reply)
        if len(self._pending) >= AT_ONCE:
            self._room.clear()
        if asked["action"] == "cancel_on_disconnect":
            self._keeps = asked.get("enabled", True)
            if not self._keeps:
                self._placed.clear()
        if self._connection is not None and not self._refused:
            self._send(self._connection, number)
        elif self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._run())

    def take_over(self, orders: Iterable[UUID]) -> None:
        """Have these orders cancelled when the client goes, too, and those that are still to be placed."""
        self._keeps = True
        self._placed.update((str(order), None) for order in orders)

    def renew(self, token: str) -> None:
        """Let the engine's process know the socket's new token."""
        if self._connection is not None:
            self._write(self._connection, {"action": "auth", "token": token})

    def is_at(self, seat: Seat) -> bool:
        """Say whether its connection is to this holder of the lease."""
        return self._seat is not None and self._seat.is_same(seat)

    def moved(self) -> None:
        """Let go of a process that lost the engine."""
        self._moved.set()

    def left(self) -> None:
        """End, the client has gone. Where its orders are to be cancelled, see that they are."""
        self._left = True
        self._ends_s = self._deadline()
        for number in [number for number, command in self._pending.items() if not command.sent]:
            del self._pending[number]
        if self._connection is not None:
            self._connection.close()  # whoever is there cancels, after all that was sent before this
        if not self._wanted:
            self._forward.channels.discard(self)
        elif self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._run())

    # -- the conversation -------------------------------------------------------------------------------------------

    @property
    def _wanted(self) -> bool:
        """Say whether a connection is needed: for what waits, and for orders that end with this socket."""
        return bool(self._pending) or (self._keeps and bool(self._placed))

    async def _run(self) -> None:
        try:
            await self._serve()
        except QSuiteError as error:
            self._end_all(error)
        except Exception:
            log.exception("channel.failed")
            self._end_all(Unavailable("the command could not be sent on", code="engine.away"))
        finally:
            if self._left:
                self._forward.channels.discard(self)

    async def _serve(self) -> None:
        """Have a connection while one is needed; give up what waits when there was none for too long."""
        self._ends_s = self._deadline()
        while self._wanted:
            self._moved.clear()
            reason = "the connection ended"
            try:
                await self._converse(await self._connect())
                if not self._left:
                    self._ends_s = self._deadline()
            except NotSent as error:
                reason = str(error)
            if time.monotonic() >= self._ends_s:
                self._give_up(reason)
                if self._left:
                    break
            if self._wanted:
                await self._forward.whereabouts.change(AGAIN_S)

    def _deadline(self) -> float:
        return time.monotonic() + self._forward.settings.takeover_s

    async def _connect(self) -> WebSocketClientConnection:
        """Open a socket to whoever has the engine. NotSent; Unauthenticated where the token does not count there."""
        self._seat, headers = self._forward.head_of_socket(PATH, self._header(), self._address)
        address = self._seat.address
        timeout_s = self._forward.settings.connect_timeout_s
        request = HTTPRequest(
            address.replace("http", "ws", 1) + PATH,
            headers=headers,
            connect_timeout=timeout_s,
            request_timeout=timeout_s,
            ssl_options=self._forward.context if address.startswith("https") else None,
        )
        try:
            return await websocket_connect(request)
        except HTTPClientError as error:
            if error.code in (401, 403):
                raise Unauthenticated("the token does not count any more") from None
            raise NotSent(str(error)) from None
        except (OSError, WebSocketError) as error:
            raise NotSent(str(error)) from None

    async def _converse(self, connection: WebSocketClientConnection) -> None:
        """Send what waits, in its order; read answers until the connection ends or is of no use."""
        self._adopt(connection)
        self._connection, self._refused = connection, False
        for number in list(self._pending):
            self._send(connection, number)
        if self._left:
            connection.close()
        moved = asyncio.ensure_future(self._moved.wait())
        try:
            while not self._is_over():
                reading = asyncio.ensure_future(connection.read_message())
                await asyncio.wait({reading, moved}, return_when=asyncio.FIRST_COMPLETED)
                if not reading.done():
                    reading.cancel()
                    break
                frame = reading.result()
                if frame is None:
                    break
                for message in orjson.loads(frame):
                    self._hear(message)
        finally:
            moved.cancel()
            self._connection = None
            if self._left and connection.close_code is not None:
                self._placed.clear()  # the engine's process has answered the close, and cancels
            self._hang_up(connection)
            self._lose()

    def _hang_up(self, connection: WebSocketClientConnection) -> None:
        task = asyncio.get_running_loop().create_task(close(connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _is_over(self) -> bool:
        return self._refused and not any(command.sent for command in self._pending.values())

    def _adopt(self, connection: WebSocketClientConnection) -> None:
        """Have orders placed over an earlier connection cancelled with this one, too."""
        if not self._keeps:
            return
        orders = list(self._placed)
        for start in range(0, max(1, len(orders)), ADOPTED_AT_ONCE):
            some = orders[start : start + ADOPTED_AT_ONCE]
            self._write(connection, {"action": "cancel_on_disconnect", "enabled": True, "orders": some})

    def _send(self, connection: WebSocketClientConnection, number: int) -> None:
        command = self._pending[number]
        command.sent = True
        self._write(connection, {**command.asked, "id": number})

    def _write(self, connection: WebSocketClientConnection, message: Fields) -> None:
        with suppress(WebSocketError):  # the connection's end is read in its turn
            connection.write_message(orjson.dumps(message, default=_plain).decode()).add_done_callback(_seen)

    def _hear(self, message: dict[str, Any]) -> None:
        number = message.pop("id", None)
        command = self._pending.get(number) if isinstance(number, int) else None
        if command is None:  # a welcome, a heartbeat, an answer to what this process asked by itself
            return
        if message.get("code") in NOT_THERE:
            self._refused, command.sent = True, False
            return
        self._note(message)
        self._done(number)
        self._forward.counts["answered"] += 1
        self._tell(message | dict(command.reply))

    def _note(self, message: dict[str, Any]) -> None:
        order = message.get("order")
        if not self._keeps or message.get("type") != "result" or not isinstance(order, dict):
            return
        if order["status"] in OPEN:
            self._placed[order["id"]] = None
            if len(self._placed) > REMEMBERED:
                del self._placed[next(iter(self._placed))]
        else:
            self._placed.pop(order["id"], None)

    # -- what is not answered ---------------------------------------------------------------------------------------

    def _lose(self) -> None:
        """Tell of each command that was sent and not answered that nobody knows, unless it may be asked again."""
        if self._left:  # nobody is there to be told
            self._pending.clear()
        for number, command in list(self._pending.items()):
            if not command.sent:
                continue
            command.sent, command.lost = False, True
            if command.again:
                self._forward.counts["again"] += 1
            else:
                self._end(number, command.unknown())

    def _give_up(self, reason: str) -> None:
        log.debug("channel.away", reason=reason)
        away = Unavailable("no process has the engine at the moment", code="engine.away", retry_after_s=RETRY_S)
        if self._left and self._placed:
            log.error("stream.orders_left_open", orders=len(self._placed), code=away.code)
        self._end_all(away)

    def _end_all(self, error: QSuiteError) -> None:
        for number, command in list(self._pending.items()):
            self._end(number, command.unknown() if command.lost else error)

    def _end(self, number: int, error: QSuiteError) -> None:
        command = self._pending[number]
        self._done(number)
        self._forward.counts["unknown" if isinstance(error, OutcomeUnknown) else "away"] += 1
        self._fail(error, command.reply)

    def _done(self, number: int) -> None:
        del self._pending[number]
        if len(self._pending) < AT_ONCE:
            self._room.set()


async def close(connection: WebSocketClientConnection) -> None:
    """Say goodbye, and read what is still under way: the connection's own task would wait for that for ever."""
    connection.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            while await connection.read_message() is not None:
                pass


def _plain(value: Any) -> str:
    """Write a number as text, exactly."""
    return str(value) if isinstance(value, int) else show(value)


def _seen(written: "asyncio.Future[None]") -> None:
    if not written.cancelled():
        written.exception()
