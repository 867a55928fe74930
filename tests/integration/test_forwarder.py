"""What becomes of a request that is sent on, for each thing that can happen to the process it is sent to."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.errors import NotFound, OutcomeUnknown, Unavailable
from qsuite.handlers.places import Entry, Place, client_ids
from qsuite.repos.engine_seat import Seat
from qsuite.services.forwarding.forwarder import Ask, Forwarder
from qsuite.services.forwarding.lines import Reply
from qsuite.services.forwarding.proof import HEADER, VALID_MS, Forwarded, Proof, Subject
from qsuite.services.forwarding.whereabouts import Whereabouts
from qsuite.settings import ForwardSettings
from tests.support.waiting import eventually

NOT_HERE = json.dumps({"code": "engine.standby"}).encode()
SETTINGS = ForwardSettings(connections=4, takeover_s=5.0, timeout_s=5.0, connect_timeout_s=1.0)

Act = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Keys:
    """A ring of two keys."""

    def __init__(self) -> None:
        self.current = "a"

    def current_id(self) -> str:
        return self.current

    def derived_key(self, purpose: bytes, key_id: str) -> bytes:
        if key_id not in "ab":
            raise NotFound("no such key")
        return key_id.encode() * 32


class Peer:
    """A process that does as it is told with each request."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.heads: list[bytes] = []
        self.connections = 0
        self.most = 0
        self.address = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Peer"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.most = max(self.most, self.connections)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                await reader.readexactly(length)
                self.heads.append(head)
                await self.act(head, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections -= 1
            writer.close()


def answers(body: bytes = b'{"id":"1"}', status: str = "201 Created") -> Act:
    async def act(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 %b\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n%b' % (status.encode(), len(body), body))

    return act


async def breaks(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def freezes(head: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3_600)


class Bench:
    """A forwarder, and the lease as it stands."""

    def __init__(self, settings: ForwardSettings = SETTINGS) -> None:
        self.seat: Seat | None = None
        self.where = Whereabouts(self._find, elsewhere=lambda: True, lease_s=1.0)
        self.proof = Proof(Keys(), clock=time.time_ns)
        self.forward = Forwarder(
            settings=settings, whereabouts=self.where, proof=self.proof, elsewhere=lambda: True, new_id=uuid.uuid4
        )
        self.where.on_look = self.forward.looked

    async def _find(self) -> Seat | None:
        return self.seat

    async def lease(self, address: str, *, lapsed: bool = False) -> None:
        """Let whoever is there have the engine, under a new epoch."""
        self.seat = Seat((self.seat.epoch if self.seat else 0) + 1, address, lapsed)
        await self.where.look()

    async def send(self, **how: bool) -> Reply:
        return await self.forward.send(ask(**how))


def ask(*, again: bool = False, waits: bool = True, urgent: bool = False) -> Ask:
    order = uuid.UUID(int=7)
    return Ask(
        method="POST",
        target="/api/v1/orders/",
        headers=[("Host", "t")],
        body=b"{}",
        authorization="Bearer t",
        address="203.0.113.7",
        scheme="https",
        order_id=order,
        again=lambda: again,
        ids=lambda: {"order_id": str(order)},
        urgent=urgent,
        waits=waits,
    )


@pytest.fixture
def bench(io_loop: IOLoop) -> Iterator[Bench]:
    made = Bench()
    yield made
    io_loop.run_sync(made.forward.stop)


async def test_an_answer_comes_back_as_it_is_over_kept_connections(bench: Bench) -> None:
    async with Peer(answers()).serving() as peer:
        await bench.lease(peer.address)
        replies = [await bench.send() for _ in range(5)]
        assert replies == [Reply(201, [("ETag", '"x"'), ("Content-Length", "10")], b'{"id":"1"}')] * 5
        assert peer.most == 1
        await asyncio.gather(*(bench.send() for _ in range(50)))
        assert peer.most <= SETTINGS.connections
        said = peer.heads[0].decode().partition(f"{HEADER}: ")[2].partition("\r\n")[0]
        found = bench.proof.read(said, Subject("POST", "/api/v1/orders/", "Bearer t"))
        assert found == Forwarded("203.0.113.7", "https", uuid.UUID(int=7))


async def test_a_cancel_waits_behind_no_orders(bench: Bench) -> None:
    going = asyncio.Event()

    async def act(head: bytes, writer: asyncio.StreamWriter) -> None:
        if peer.most <= SETTINGS.connections:
            await going.wait()
        await answers()(head, writer)

    async with Peer(act).serving() as peer:
        await bench.lease(peer.address)
        orders = [asyncio.create_task(bench.send()) for _ in range(20)]
        await eventually(lambda: peer.most == SETTINGS.connections)
        assert (await bench.send(urgent=True)).status == 201
        assert not any(order.done() for order in orders)
        going.set()
        assert {reply.status for reply in await asyncio.gather(*orders)} == {201}


async def test_a_refused_connection_waits_for_the_next_process(bench: Bench) -> None:
    async with Peer(answers()).serving() as gone:
        await bench.lease(gone.address)
    async with Peer(answers()).serving() as peer:
        sending = asyncio.create_task(bench.send())
        await eventually(lambda: bench.forward.counts["again"] > 0)
        await bench.lease(peer.address)
        assert (await sending).status == 201


async def test_who_answers_that_it_has_no_engine_is_not_believed_to_have_done_anything(bench: Bench) -> None:
    async with (
        Peer(answers(NOT_HERE, "503 Service Unavailable")).serving() as stale,
        Peer(answers()).serving() as peer,
    ):
        await bench.lease(stale.address)
        sending = asyncio.create_task(bench.send())
        await eventually(lambda: bool(stale.heads))
        await bench.lease(peer.address)
        assert (await sending).status == 201
        assert len(peer.heads) == 1


async def test_a_request_that_was_sent_and_not_answered_is_asked_again_only_where_that_is_safe(bench: Bench) -> None:
    async with Peer(breaks).serving() as broken, Peer(answers()).serving() as peer:
        await bench.lease(broken.address)
        with pytest.raises(OutcomeUnknown) as unknown:
            await bench.send()
        assert unknown.value.facts == {"order_id": str(uuid.UUID(int=7))}
        assert len(broken.heads) == 1
        sending = asyncio.create_task(bench.send(again=True))
        await eventually(lambda: len(broken.heads) > 1)
        await bench.lease(peer.address)
        assert (await sending).status == 201


@pytest.mark.parametrize("again", [False, True])
async def test_a_frozen_process_is_let_go_of_when_another_has_the_engine(bench: Bench, again: bool) -> None:
    async with Peer(freezes).serving() as frozen, Peer(answers()).serving() as peer:
        await bench.lease(frozen.address)
        sending = asyncio.create_task(bench.send(again=again))
        await eventually(lambda: bool(frozen.heads))
        await bench.lease(peer.address)
        if again:
            assert (await sending).status == 201
        else:
            with pytest.raises(OutcomeUnknown):
                await sending
            assert peer.heads == []


async def test_a_process_that_takes_the_engine_anew_is_still_waited_for(bench: Bench) -> None:
    going = asyncio.Event()

    async def act(head: bytes, writer: asyncio.StreamWriter) -> None:
        await going.wait()
        await answers()(head, writer)

    async with Peer(act).serving() as peer:
        await bench.lease(peer.address)
        sending = asyncio.create_task(bench.send())
        await eventually(lambda: bool(peer.heads))
        await bench.lease(peer.address)
        going.set()
        assert (await sending).status == 201
        assert (await bench.send()).status == 201
        assert peer.most == 1


async def test_the_first_attempt_cut_off_under_a_key_is_told_as_unknown(bench: Bench) -> None:
    cut_off = json.dumps({"code": "idempotency.unfinished"}).encode()
    async with Peer(breaks).serving() as broken, Peer(answers(cut_off, "409 Conflict")).serving() as peer:
        await bench.lease(peer.address)
        assert (await bench.send(again=True)).status == 409  # of somebody else's attempt
        await bench.lease(broken.address)
        sending = asyncio.create_task(bench.send(again=True))
        await eventually(lambda: bool(broken.heads))
        await bench.lease(peer.address)
        with pytest.raises(OutcomeUnknown):
            await sending


async def test_nobody_is_waited_for_who_has_been_away_too_long() -> None:
    bench = Bench(replace(SETTINGS, takeover_s=0.2))
    async with Peer(answers()).serving() as gone:
        await bench.lease(gone.address, lapsed=True)
    for again in (False, True):
        with pytest.raises(Unavailable) as away:
            await bench.send(again=again)
        assert (away.value.code, type(away.value)) == ("engine.away", Unavailable)
    with pytest.raises(Unavailable):
        await bench.send(waits=False)
    await bench.forward.stop()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 99999999999\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 2x1 Created\r\nContent-Length: 0\r\n\r\n",
        b"x" * 70_000,
    ],
)
async def test_what_is_no_answer_leaves_the_outcome_unknown(bench: Bench, said: bytes) -> None:
    async def act(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async with Peer(act).serving() as peer:
        await bench.lease(peer.address)
        with pytest.raises(OutcomeUnknown):
            await bench.send()


def test_a_proof_holds_for_its_request_alone_and_not_for_long() -> None:
    now = [time.time_ns()]
    keys = Keys()
    proof = Proof(keys, clock=lambda: now[0])
    said, subject = Forwarded("2001:db8::1", "https", uuid.uuid4()), Subject("POST", "/x?a=1", "Bearer t")
    header = proof.make(said, subject)
    keys.current = "b"
    assert proof.read(header, subject) == said
    for other in (subject._replace(method="PUT"), subject._replace(target="/y"), subject._replace(authorization="")):
        assert proof.read(header, other) is None
    for at in range(0, len(header), 7):
        changed = "0" if header[at] != "0" else "1"
        assert proof.read(header[:at] + changed + header[at + 1 :], subject) is None
    now[0] += (VALID_MS + 1_000) * 1_000_000
    assert proof.read(header, subject) is None


def test_what_may_be_asked_again() -> None:
    def request(body: Any, method: str = "POST", **headers: str) -> Any:
        data = json.dumps(body).encode()
        return type("Request", (), {"method": method, "headers": headers, "body": data})()

    orders = Entry(Place.ENGINE, "#")
    named, plain = {"client_order_id": "a"}, {"quantity": 1}
    assert orders.again(request(named))
    assert not orders.again(request(plain))
    assert orders.again(request(plain, **{"Idempotency-Key": "k"}))
    assert orders.again(request({"orders": [named, named]}))
    assert not orders.again(request({"orders": [named, plain]}))
    for body in ([], {"orders": []}, {"orders": 3}, {"orders": [3]}, "x", None):
        assert not orders.again(request(body)), body
    assert not Entry(Place.ENGINE).again(request(plain, "DELETE", **{"Idempotency-Key": "k"}))
    assert client_ids(b"\xff") == [None]
