"""An engine, its standby and a gateway on a replica set: each is killed, frozen or stopped under load.

10,000 orders are open. Whatever happens, each acknowledged order is stored once, and /health says who does what.

The tests stand in an order: who has the engine in one is who was left with it by the one before.
"""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from ops.stack import Stack
from tests.crash.clients import CONNECTION_LOST, SCALE, Connection, check_the_books
from tests.crash.rivals import LOST, Ledger, log_in
from tests.failures.figures import Figures
from tests.failures.places import SYMBOL, USERS, Place, Traders, books_of
from tests.failures.stacks import stack_or_skip
from tests.support.proxy import proxy_to
from tests.support.waiting import eventually
from tests.support.ws import Closed, WsClient

OPEN_ORDERS = 10_000
IN_A_BULK = 1_000
OPEN = {"client_order_id": {"$regex": "^open-"}}
TRADERS = 6
SOME = 25
"""Orders to be acknowledged before a fault and after it."""
AT_ONCE = 50
LOST_REPLIES = 10 * SCALE
ORDER = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": 1}
NUMBERS = itertools.count(0, TRADERS)


class Pair:
    """The two processes that can have the engine, and a gateway beside them."""

    def __init__(self, stack: Stack) -> None:
        assert stack.standby is not None
        self.stack = stack
        self.places = [Place(stack.engine), Place(stack.standby)]
        self.gateway = Place(stack.gateways[0])
        self.token = ""

    async def active(self) -> tuple[Place, Place]:
        """Return who has the engine, and the other one, which stands by."""

        async def told() -> bool:
            return [await one.is_ready() for one in self.places].count(True) == 1

        await eventually(told, timeout_s=20, what="one engine")
        one, other = self.places
        return (one, other) if await one.is_ready() else (other, one)

    @asynccontextmanager
    async def traded(self) -> AsyncIterator[Traders]:
        """Load both meanwhile; then hold what clients were told against what is stored."""
        first = next(NUMBERS)
        async with Traders(self.places, self.token, range(first, first + TRADERS)) as traders:
            await more(traders)
            yield traders
            await more(traders)
        assert traders.ledger.faults == []
        await asyncio.to_thread(self.check, traders.ledger)

    def stored(self, name: str) -> int:
        """Count the orders of an id."""
        with books_of(self.stack) as database:
            return database.sync.orders.count_documents({"client_order_id": name})

    def check(self, ledger: Ledger) -> None:
        """Hold storage against what clients were told: each order once, as it was answered, and what was cancelled."""
        with books_of(self.stack) as database:
            found = list(database.sync.orders.find({"client_order_id": {"$in": ledger.begun}}))
            assert database.sync.orders.count_documents({"status": "PENDING", **OPEN}) == OPEN_ORDERS
        stored = {one["client_order_id"]: one for one in found}
        assert len(found) == len(stored) == len(ledger.acknowledged)
        for name, told in ledger.acknowledged.items():
            assert str(stored[name]["_id"]) == told["id"]
            if told["status"] in ("FILLED", "REJECTED"):
                assert stored[name]["status"] == told["status"]
        assert ledger.cancelled <= {str(one["_id"]) for one in found if one["status"] == "CANCELLED"}

    def check_books(self) -> None:
        """Fail where the books disagree among themselves."""
        with books_of(self.stack) as database:
            check_the_books(database)


async def more(traders: Traders) -> None:
    """Wait until some more orders were acknowledged."""
    wanted = traders.answered + SOME
    await eventually(lambda: traders.answered >= wanted, timeout_s=30, what="acknowledgements")


async def rest(place: Place, token: str) -> None:
    """Leave many orders open, which no price reaches."""
    async with Connection.open(place.port, token) as connection:
        for first in range(0, OPEN_ORDERS, IN_A_BULK):
            orders = [resting(f"open-{number}") for number in range(first, first + IN_A_BULK)]
            status, answer = await connection.call("POST", "/api/v1/orders/bulk/", {"orders": orders})
            assert (status, answer["accepted"]) == (200, IN_A_BULK), answer


def resting(name: str) -> dict[str, Any]:
    """Return an order that rests."""
    order = {
        "symbol": SYMBOL,
        "side": "BUY",
        "order_type": "LIMIT",
        "quantity": 1,
        "price": "50",
        "client_order_id": name,
    }
    return order | {"time_in_force": "GTC"}


@pytest.fixture(scope="module")
def pair(io_loop: IOLoop) -> Iterator[Pair]:
    with stack_or_skip(gateways=1, workers=0, users=USERS) as stack:
        stack.quote(SYMBOL)
        found = Pair(stack)

        async def begin() -> None:
            found.token = await log_in(found.places[0])
            await rest(found.places[0], found.token)

        io_loop.run_sync(begin)
        yield found


async def test_the_same_order_at_every_process_at_once_is_one_order(pair: Pair, figures: Figures) -> None:
    everywhere = [*pair.places, pair.gateway]
    asked = AT_ONCE * SCALE
    order = ORDER | {"client_order_id": "at-once"}

    async def ask_around(number: int) -> dict[str, Any]:
        """Ask one of them, and the next one while that does not take orders."""
        for place in itertools.islice(itertools.cycle(everywhere), number, None):
            status, answer = await ask(place.port, order, pair.token)
            if status != 503:
                assert status == 201, answer
                return answer
        raise AssertionError

    answers = await asyncio.gather(*(ask_around(number) for number in range(asked)))
    assert [one for one in answers if one != answers[0]] == []
    assert answers[0]["status"] == "FILLED"
    assert await asyncio.to_thread(pair.stored, "at-once") == 1
    figures.note("the same request at once", "orders made, answers alike", "1, all", f"1, {asked} of {asked}")


async def ask(port: int, order: dict[str, Any], token: str) -> tuple[int, dict[str, Any]]:
    """Place an order over a connection of its own, for as long as it takes."""
    async with Connection.open(port, token) as connection:
        return await connection.call("POST", "/api/v1/orders/", order)


async def test_after_a_lost_reply_a_retry_gets_the_original(pair: Pair, figures: Figures) -> None:
    engine, _ = await pair.active()
    same = 0
    async with proxy_to(engine.port) as proxy:
        for number in range(LOST_REPLIES):
            order = ORDER | {"client_order_id": f"lost-{number}"}
            lost = proxy.lose(0)
            with pytest.raises(CONNECTION_LOST):
                await ask(proxy.port, order, pair.token)
            _, _, original = (await lost).partition(b"\r\n\r\n")
            status, answer = await ask(engine.port, order, pair.token)
            same += (status, answer) == (201, json.loads(original))
    assert same == LOST_REPLIES
    figures.note("reply lost", "the retry gets the original", "always", f"{same} of {LOST_REPLIES}")


async def test_a_killed_engine_is_replaced_and_nothing_is_lost_or_doubled(pair: Pair, figures: Figures) -> None:
    took_s, restarted_s = [], []
    for _ in range(SCALE):
        async with pair.traded():
            active, standby = await pair.active()
            assert await standby.stands_by()
            active.server.kill()
            killed = time.monotonic()
            await eventually(standby.is_ready, timeout_s=20, what="a takeover")
            took_s.append(time.monotonic() - killed)
            assert await standby.service("engine") == "up"
            assert await active.status("/health/live") == 0
        standby.server.kill()
        started = time.monotonic()
        await asyncio.to_thread(active.server.start)
        await eventually(active.is_ready, timeout_s=20, what="a start")
        restarted_s.append(time.monotonic() - started)
        await asyncio.to_thread(standby.server.launch)
    figures.at_most("process killed", f"standby ready, {OPEN_ORDERS} open orders", 5, took_s)
    figures.at_most("process killed", f"started anew and ready, {OPEN_ORDERS} open orders", 5, restarted_s)


async def test_a_frozen_engine_is_fenced_when_it_thaws_and_stands_by(pair: Pair, figures: Figures) -> None:
    took_s, fenced_s = [], []
    for _ in range(SCALE):
        async with pair.traded() as traders:
            active, standby = await pair.active()
            await eventually(standby.stands_by, timeout_s=30, what="a standby")
            active.server.freeze()
            frozen = time.monotonic()
            await eventually(standby.is_ready, timeout_s=30, what="a takeover")
            took_s.append(time.monotonic() - frozen)
            await more(traders)
            active.server.thaw()
            thawed = time.monotonic()
            await eventually(active.stands_by, timeout_s=20, what="the stale one standing by")
            fenced_s.append(time.monotonic() - thawed)
            assert await active.status("/health/ready") == 503
            assert await standby.is_ready()
    shown = f"{max(fenced_s):.2f} s after it thawed; taken over {max(took_s):.1f} s after it froze"
    figures.note("two engines", "the stale one stops, and stands by", "fenced", shown)


async def test_sigterm_tells_sockets_finishes_what_is_in_flight_and_exits_with_0(pair: Pair, figures: Figures) -> None:
    async with pair.traded() as traders:
        active, standby = await pair.active()
        socket = await WsClient.open(active.port, token=pair.token)
        await socket.send({"action": "subscribe", "channels": ["orders"]})
        watching = asyncio.create_task(until_unready(active))
        stopped = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(active.server.stop))
        types, code = await until_closed(socket)
        closed_s = time.monotonic() - stopped
        assert await stopping == 0
        ended_s = time.monotonic() - stopped
        assert (await watching) <= ended_s
        assert code == 1001
        assert "closing" in types
        await eventually(standby.is_ready, timeout_s=20, what="a takeover")
        await more(traders)
    await asyncio.to_thread(pair.check_books)
    figures.note("SIGTERM", "not ready, sockets 1001, exit 0", "in this order", f"1001 after {closed_s:.2f} s, exit 0")
    figures.at_most("SIGTERM", "in-flight finished, ended after", 8, [ended_s])


async def until_unready(place: Place) -> float:
    """Ask until it says, or shows by taking no connection, that it is not ready; return how many seconds that took."""
    began = time.monotonic()

    async def unready() -> bool:
        return await place.status("/health/ready") != 200

    await eventually(unready, what="not ready")
    return time.monotonic() - began


async def until_closed(socket: WsClient) -> tuple[set[str], int | None]:
    """Read to the end; return what kinds of messages came, and the code of the close."""
    types: set[str] = set()
    async with socket:
        while True:
            try:
                types.add((await socket.receive(timeout_s=20))["type"])
            except Closed as closed:
                return types, closed.code
            except LOST:
                return types, None
