"""The WebSocket and long connections: pages of other sites, tokens where none belongs, and floods of small things."""

import asyncio
import random
import zlib
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.adversarial.conftest import SITE
from tests.adversarial.forging import bearer
from tests.adversarial.payloads import PAYLOADS
from tests.adversarial.pipe import Pipe, side_by_side
from tests.adversarial.tally import SCALE, Tally, watched
from tests.support.frames import BINARY, CONTINUATION, PING, PONG, TEXT, frame
from tests.support.running_app import Api
from tests.support.ws import WsClient

pytestmark = pytest.mark.timeout(600 * SCALE)

STREAM = "/ws/v1/stream/"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def foreign(port: int) -> list[bytes]:
    """Return origins that are none of ours, whatever they look like."""
    host = f"127.0.0.1:{port}"
    return [
        origin.encode("latin-1")
        for origin in (
            "null", "", "https://evil.example", f"{SITE}.evil.example", "https://evilgood.example", f"{SITE}:444",
            f"{SITE}:443", "http://good.example", "HTTPS://GOOD.EXAMPLE", "https://Good.example", f"{SITE}/",
            f"{SITE}.",
            f"{SITE}@evil.example", f"https://evil.example/{SITE}", f"https://evil.example#{SITE}", f"{SITE}, {SITE}",
            f"{SITE} https://evil.example", "https://sub.good.example", "good.example", "//good.example", "http://127.0.0.1",
            f"http://127.0.0.1:{port + 1}", f"http://{host}.evil.example", f"http://{host}@evil.example",
            f"http://x@{host}",
            f"http://evil.example#{host}", f"http://evil.example?{host}", f"http://evil.example\\@{host}", f"http://{host}/",
            f"http://{host}/x", f"//{host}", host, f"ftp://{host}", f"x://{host}", f"javascript://{host}", "file://",
            f"http://localhost:{port}", f"http://0.0.0.0:{port}", f"http://2130706433:{port}", f"http://127.1:{port}",
            f"http://[::1]:{port}", "http://[", "http://[::1", "http://]", "https://[v1.x]", "chrome-extension://abc",
            "http://", "http:", "://", "\xff", "http://\xe9.example", "a" * 4_000, f"http://127.0.0.1:{port}0", "*",
            "http://127.0.0.1:99999999", "http://good.example:https", f"http://{host}\t", "\x7f", "https://good.example\xa0",
        )
    ]  # fmt: skip


async def test_no_page_of_another_site_opens_the_stream(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    own = (b"", *(f"Origin: {each}\r\n".encode() for each in (SITE, f"http://127.0.0.1:{api.port}")))
    token = bearer(str(api.trader.token))
    cookie = token.replace(b"Authorization: Bearer ", b"Cookie: access=")
    lines = [b"Origin: %b\r\n" % origin for origin in foreign(api.port)]
    lines += [b"Origin: %b\r\n%b" % (SITE.encode(), line) for line in lines[2:6]]

    async def attack(pipe: Pipe, piece: tuple[bytes, bytes]) -> None:
        origin, login = piece
        reply = await pipe.ask("GET", STREAM, UPGRADE + origin + login)
        tally.count(reply.status, f"{origin[:80]!r}: {reply}")
        if reply.status == 101 and origin.strip() != b"Origin: http://127.0.0.1:%d" % api.port:
            tally.deny(f"{origin[:80]!r} {login[:30]!r}: {reply}")

    with watched("pages of other sites", capsys) as tally:
        await side_by_side(api.port, [(line, login) for line in lines for login in (b"", token, cookie)], attack)
    pipe = Pipe(api.port)
    for line in own:
        assert (await pipe.ask("GET", STREAM, UPGRADE + line)).status == 101, line
    # The host that a page was resolved to by another name is not ours to believe either, nor is no host.
    empty = b"GET %b HTTP/1.1\r\nHost: \r\nOrigin: null\r\n%b\r\n" % (STREAM.encode(), UPGRADE)
    assert (await pipe.send(empty)).status in (400, 403)
    pipe.close()


async def test_a_token_in_the_address_or_a_cookie_opens_nothing(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    token = str(api.trader.token)
    with watched("tokens where none belongs", capsys) as tally:
        pipe = Pipe(api.port)
        for name in ("token", "access_token", "jwt", "auth", "authorization", "Bearer", "key", "ticket", "t", ""):
            reply = await pipe.ask("GET", f"{STREAM}?{name}={token}", UPGRADE)
            tally.count(reply.status, str(reply))
            if reply.status < 400:
                tally.deny(f"?{name}=: {reply}")
        pipe.close()
        for name in ("token", "access", "session", "Authorization", "jwt", "access_token"):
            async with await WsClient.open(api.port, headers={"Cookie": f"{name}={token}"}) as client:
                answer = await client.ask({"action": "subscribe", "channels": ["orders"], "id": name})
                tally.count(401 if answer.get("code") == "unauthenticated" else 200, str(answer))
                if answer.get("code") != "unauthenticated":
                    tally.deny(f"a cookie {name}: {answer}")


def messages() -> Iterator[str]:
    """Give messages of every action with every payload in every field."""
    fields = {
        "auth": ("token",), "subscribe": ("channels", "since"), "unsubscribe": ("channels",), "ping": ("id",),
        "order": ("order",), "cancel": ("order_id",), "replace": ("order_id", "changes"), "ticks": ("ticks",),
        "cancel_on_disconnect": ("enabled",),
    }  # fmt: skip
    for payload in PAYLOADS:
        yield payload.raw
        yield f'{{"action": {payload.raw}, "id": 1}}'
        for action, names in fields.items():
            for name in names:
                yield f'{{"action": "{action}", "id": 1, "{name}": {payload.raw}}}'
        yield f'{{"action": "subscribe", "id": 1, "channels": [{payload.raw}]}}'
        yield f'{{"action": "subscribe", "id": 1, "channels": ["orders"], "since": {{"orders": {payload.raw}}}}}'


@pytest.mark.parametrize("role", ["nobody", "trader", "admin"])
async def test_nothing_injected_into_a_message_is_our_fault(
    api: Api, capsys: pytest.CaptureFixture[str], role: str
) -> None:
    token = None if role == "nobody" else str((await api.new_client(role)).token)
    every = [each for each in messages() if len(each) < 60_000]
    with watched(f"injected into messages by {role}", capsys) as tally:
        for start in range(0, len(every), 200):
            async with await WsClient.open(api.port, token=token) as client:
                for message in every[start : start + 200]:
                    await client.send_text(message.encode("utf-8", "surrogatepass"))
                await client.send({"action": "ping", "id": "the last"})
                for answer in await client.receive_until(lambda answer: answer.get("id") == "the last"):
                    code = answer.get("code", "")
                    tally.count(500 if code == "internal" else 400 if code else 200, f"{message}: {answer}")
                    if role == "nobody" and answer["type"] not in ("welcome", "error", "pong", "heartbeat"):
                        tally.deny(answer)


def floods() -> Iterator[tuple[str, bytes]]:
    """Give what is cheap to send by the thousand."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = (bomb.compress(b" " * 50_000_000) + bomb.flush(zlib.Z_SYNC_FLUSH))[:-4]
    count = 20_000 * SCALE
    yield "empty fragments", frame(TEXT, b"", final=False) + frame(CONTINUATION, b"", final=False) * count
    yield "fragments of a byte", frame(TEXT, b" ", final=False) + frame(CONTINUATION, b" ", final=False) * count
    yield "empty messages", frame(TEXT, b"") * count
    yield "empty binaries", frame(BINARY, b"") * count
    yield "pings", frame(PING, b"") * count
    yield "pongs", frame(PONG, b"x") * count
    yield "small pings of ours", frame(TEXT, b'{"action":"ping","id":1}') * (count // 4)
    yield "a compressed bomb", frame(TEXT, packed[:60_000], rsv=4)
    yield "compressed bombs", frame(TEXT, packed[:6_000], rsv=4) * 100
    yield "a long array", frame(TEXT, b"[%b1]" % (b"1," * 32_000))
    yield "a long array of objects", frame(TEXT, b"[%b{}]" % (b"{}," * 21_000))
    yield "a long array of pings", frame(TEXT, b"[%b{}]" % (b'{"action":"ping"},' * 3_500))
    yield "many channels", frame(TEXT, b'{"action":"subscribe","channels":[%b""],"id":1}' % (b'"a",' * 16_000))
    yield (
        "many known channels",
        frame(
            TEXT,
            b'{"action":"subscribe","id":1,"channels":["IBM"%b]}'
            % b"".join(b',"trades:A%d"' % n for n in range(4_000)),
        ),
    )
    yield "many ticks", frame(TEXT, b'{"action":"ticks","id":1,"ticks":[%b1]}' % (b"{}," * 21_000))
    yield "deep", frame(TEXT, b"[" * 32_000 + b"]" * 32_000)
    chance = random.Random(20261122)
    for number in range(60 * SCALE):
        yield f"frames at random {number}", b"".join(_any_frame(chance) for _ in range(40))


def _any_frame(chance: random.Random) -> bytes:
    payload = chance.randbytes(chance.choice((0, 1, 4, 125, 126, 300)))
    if chance.random() < 0.3:
        return chance.randbytes(2) + payload
    opcode = chance.choice((0, 1, 2, 8, 9, 10, chance.randrange(16)))
    rsv, final, masked = chance.choice((0, 0, 0, 4, 1)), chance.random() < 0.7, chance.random() < 0.95
    return frame(opcode, payload, rsv=rsv, final=final, masked=masked)


QUIET_S = 2.0
"""After so long without a byte nothing more is expected."""
OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate"}


async def test_no_flood_of_frames_holds_the_loop(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    token = str(api.admin.token)
    every = list(floods())
    pieces = iter(every)

    async def work() -> None:
        for why, sent in pieces:
            async with await WsClient.open(api.port, token=token, headers=OFFER) as client:
                tally.count(101, why)
                await _pour(client.reader, client.writer, sent)

    with watched(f"{len(every)} floods of frames", capsys) as tally:
        await asyncio.gather(*[work() for _ in range(4)])
        async with await WsClient.open(api.port, token=token) as client:
            assert (await client.ask({"action": "ping", "id": 1}))["type"] == "pong"


async def test_no_flood_of_small_requests_holds_the_loop(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """As many as fit a packet, and a thousand packets: each connection's turn ends before the next one's is due."""
    requests = {
        "live": b"GET /health/live/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "nowhere": b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n",
        "nobody": b"GET /api/v1/orders/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "not taken": b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
        "empty lines": b"\r\n" * 20,
        "chunks": b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * 500
        + b"0\r\n\r\n",
        "login": bearer(str(api.trader.token)).join((b"GET /api/auth/me/ HTTP/1.1\r\nHost: x\r\n", b"\r\n")),
    }
    with watched("floods of small requests", capsys) as tally:
        for request in requests.values():
            await _count_answers(api, tally, request * (80_000 * SCALE // len(request)))


async def _count_answers(api: Api, tally: Tally, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    raw = await _pour(reader, writer, sent)
    for status in (200, 400, 401, 404, 405, 422, 431, 500, 503):
        for _ in range(raw.count(b"HTTP/1.1 %d " % status)):
            tally.count(status, sent[:60].decode())


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> bytes:
    """Send all of it while reading all that comes; return what came until nothing more did."""

    async def send() -> None:
        with suppress(ConnectionError):
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

    sending = asyncio.create_task(send())
    raw = bytearray()
    with suppress(ConnectionError, TimeoutError):
        while part := await asyncio.wait_for(reader.read(1_048_576), QUIET_S):
            raw += part
    await sending
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return bytes(raw)
