"""The WebSocket frame by frame: what RFC 6455 asks of a server, over a raw socket to the whole running application.

Each case sends bytes and names what must come back: answers to messages, payloads of pongs, and how the line ends.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, fragmented, frame
from tests.support.running_app import Api
from tests.support.waiting import eventually
from tests.support.ws import TIMEOUT_S, Closed, Refused, WsClient

LIMIT = 65_536
HELLO = b'{"action":"ping","id":1}'
HEARD = {"type": "pong", "id": 1}
STILL_THERE = b'{"action":"ping","id":"still there"}'


@dataclass
class Back:
    """What came back: answers, the payloads of pongs, and the close frame's payload, or None where it stayed open."""

    answers: list[dict[str, Any]]
    pongs: list[bytes]
    close: bytes | None

    @property
    def code(self) -> int:
        assert self.close is not None, "it was not closed"
        return int.from_bytes(self.close[:2], "big")

    @property
    def codes(self) -> list[str]:
        return [answer.get("code", answer["type"]) for answer in self.answers]


async def opened(api: Api) -> WsClient:
    client = await WsClient.open(api.port)
    assert (await client.receive())["type"] == "welcome"
    return client


async def send(api: Api, *sent: bytes) -> Back:
    """Send on a socket of its own; ask whether it is still there, and read until the answer to that or the end."""
    async with await opened(api) as client, asyncio.timeout(TIMEOUT_S):
        client.writer.write(b"".join(sent) + frame(TEXT, STILL_THERE))
        back = await read(client)
        if back.close is not None:
            with pytest.raises(Closed):  # a server hangs up first (section 7.1.1)
                await client.receive_frame()
        return back


async def read(client: WsClient) -> Back:
    back = Back([], [], None)
    while True:
        got = await client.receive_frame()
        assert got.final
        if got.opcode == PONG:
            back.pongs.append(got.payload)
        elif got.opcode == CLOSE:
            back.close = got.payload
            return back
        else:
            assert got.opcode == TEXT
            back.answers += json.loads(got.payload)
            if back.answers[-1].get("id") == "still there":
                back.answers.pop()
                return back


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def padded(size: int) -> bytes:
    return HELLO + b" " * (size - len(HELLO))


# -- what ends the connection (7.1.7) -------------------------------------------------------------------------------

BROKEN = {
    # fragmentation (5.4)
    "a continuation of nothing": (1002, frame(CONTINUATION, HELLO)),
    "a continuation of nothing that goes on": (1002, frame(CONTINUATION, HELLO, final=False)),
    "a text inside a message": (1002, frame(TEXT, b"", final=False) + frame(TEXT, HELLO)),
    "a binary message inside a text": (1002, frame(TEXT, b"", final=False) + frame(BINARY, HELLO)),
    "a fragment of a text inside a message": (1002, frame(TEXT, b"", final=False) + frame(TEXT, b"", final=False)),
    "a ping in fragments": (1002, frame(PING, b"a", final=False) + frame(CONTINUATION, b"b")),
    "a pong in fragments": (1002, frame(PONG, b"a", final=False)),
    "a close in fragments": (1002, frame(CLOSE, b"\x03", final=False) + frame(CONTINUATION, b"\xe8")),
    # control frames (5.5)
    "a ping of 126 bytes": (1002, frame(PING, b"x" * 126)),
    "a pong of 126 bytes": (1002, frame(PONG, b"x" * 126)),
    "a close of 126 bytes": (1002, closing(1000, b"x" * 124)),
    "a ping of 65,536 bytes": (1002, frame(PING, b"x" * 65_536)),
    "a short ping with a long length": (1002, frame(PING, b"x", width=2)),
    # bits and opcodes (5.2)
    "the first reserved bit, no compression being agreed on": (1002, frame(TEXT, HELLO, rsv=4)),
    "the second reserved bit": (1002, frame(TEXT, HELLO, rsv=2)),
    "the third reserved bit": (1002, frame(TEXT, HELLO, rsv=1)),
    "all reserved bits on a ping": (1002, frame(PING, b"", rsv=7)),
    "a reserved bit on a close": (1002, frame(CLOSE, b"", rsv=1)),
    "a reserved bit on a continuation": (1002, frame(TEXT, b"", final=False) + frame(CONTINUATION, HELLO, rsv=4)),
    **{f"opcode {opcode:#x}": (1002, frame(opcode, b"")) for opcode in (*range(3, 8), *range(0xB, 0x10))},
    "an unknown opcode that goes on": (1002, frame(3, b"", final=False)),
    "an unknown opcode inside a message": (1002, frame(TEXT, b"", final=False) + frame(7, b"")),
    # masks (5.1)
    "a text without a mask": (1002, frame(TEXT, HELLO, masked=False)),
    "an empty text without a mask": (1002, frame(TEXT, b"", masked=False)),
    "a ping without a mask": (1002, frame(PING, b"x", masked=False)),
    "a close without a mask": (1002, frame(CLOSE, b"\x03\xe8", masked=False)),
    # lengths (5.2): "the minimal number of bytes MUST be used", "the most significant bit MUST be 0"
    "125 bytes counted in two": (1002, frame(TEXT, padded(125), width=2)),
    "no bytes counted in two": (1002, frame(TEXT, b"", width=2)),
    "125 bytes counted in eight": (1002, frame(TEXT, padded(125), width=8)),
    "65,535 bytes counted in eight": (1002, frame(TEXT, padded(65_535), width=8)),
    "a length with its first bit set": (1002, b"\x81\xff\x80" + bytes(7)),
    "all bits of a length set": (1002, b"\x81\xff" + b"\xff" * 8),
    "one byte more than we read": (1009, frame(TEXT, padded(LIMIT + 1))),
    "a megabyte": (1009, frame(TEXT, padded(1_048_576))),
    "the longest length, of which nothing comes": (1009, b"\x81\xff\x7f" + b"\xff" * 7),
    "a long length without a mask": (1002, b"\x81\x7f" + LIMIT.to_bytes(8, "big")),
    "fragments that together are one byte too long": (1009, fragmented(TEXT, padded(LIMIT), b" ")),
    "many small fragments that together are too long": (1009, fragmented(TEXT, *[b" " * 1_000] * 66)),
    "a binary message too long": (1009, frame(BINARY, bytes(LIMIT + 1))),
    # text (5.6, 8.1)
    "a byte that is never UTF-8": (1007, frame(TEXT, b'{"action":"\xff"}')),
    "an overlong solidus": (1007, frame(TEXT, b"\xc0\xaf")),
    "an overlong solidus of three bytes": (1007, frame(TEXT, b"\xe0\x80\xaf")),
    "half of a surrogate pair": (1007, frame(TEXT, b"\xed\xa0\x80")),
    "a surrogate pair": (1007, frame(TEXT, b"\xed\xa0\x80\xed\xbf\xbf")),
    "beyond the last code point": (1007, frame(TEXT, b"\xf4\x90\x80\x80")),
    "a character cut short": (1007, frame(TEXT, b"\xe2\x82")),
    "a continuation byte alone": (1007, frame(TEXT, b"\x80")),
    "a bad byte in the second fragment": (1007, fragmented(TEXT, HELLO, b"\xfe")),
    "a character that the last fragment does not complete": (1007, fragmented(TEXT, b"\xf0\x9f", b"\x92")),
    # close frames (5.5.1, 7.4)
    "a close of one byte": (1002, frame(CLOSE, b"\x03")),
    "a bad byte in the reason of a close": (1007, closing(1000, b"\xff")),
    "half a surrogate pair in the reason of a close": (1007, closing(1000, b"\xed\xa0\x80")),
    "a character cut short in the reason of a close": (1007, closing(1000, b"bye \xe2\x82")),
    **{
        f"a close with {code}": (1002, closing(code))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
    },
}  # fmt: skip


@pytest.mark.parametrize(("code", "sent"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_breaks_the_protocol_is_told_why_and_closed(api: Api, code: int, sent: bytes) -> None:
    back = await send(api, sent)
    assert back.code == code
    assert back.close is not None
    assert back.close[2:], "with a word on what it was"
    assert not back.answers, "and nothing of it was acted upon"
    assert not back.pongs
    await eventually(lambda: api.services.stream.clients == 0, what="the socket is forgotten")


@pytest.mark.parametrize("then", [frame(TEXT, HELLO, masked=False), frame(CONTINUATION, HELLO)])
async def test_what_was_asked_before_is_still_answered(api: Api, then: bytes) -> None:
    back = await send(api, fragmented(TEXT, HELLO, b""), then, frame(TEXT, HELLO))
    assert (back.answers, back.code) == ([HEARD], 1002)


async def test_the_reason_reaches_who_goes_on_sending(api: Api) -> None:
    async with await opened(api) as client:
        client.writer.write(frame(TEXT, HELLO, masked=False))
        for _ in range(20):
            client.writer.write(frame(TEXT, padded(LIMIT)))
            await client.writer.drain()
        back = await read(client)
        assert (back.code, back.close) == (1002, b"\x03\xeaunmasked")


# -- what is taken --------------------------------------------------------------------------------------------------

TAKEN = {
    # fragmentation (5.4)
    "a text in two fragments": ([HEARD], fragmented(TEXT, HELLO[:9], HELLO[9:])),
    "a text in fragments of one byte": ([HEARD], fragmented(TEXT, *(bytes((byte,)) for byte in HELLO))),
    "a text with empty fragments all over": ([HEARD], fragmented(TEXT, b"", HELLO[:5], b"", b"", HELLO[5:], b"")),
    "a character over two fragments": (
        [{"type": "pong", "id": "€"}], fragmented(TEXT, '{"action":"ping","id":"€"}'.encode()[:24], b'\x82\xac"}'),
    ),
    "two texts in fragments one after the other": ([HEARD, HEARD], fragmented(TEXT, HELLO, b"") * 2),
    "a pong inside a message": (
        [HEARD], frame(TEXT, HELLO[:5], final=False) + frame(PONG, b"x") + frame(CONTINUATION, HELLO[5:]),
    ),
    # lengths (5.2)
    **{f"a text of {size:,} bytes": ([HEARD], frame(TEXT, padded(size)))
       for size in (125, 126, 127, 128, 65_535, LIMIT)},
    "fragments that together are as long as may be": ([HEARD], fragmented(TEXT, padded(LIMIT - 1), b" ")),
    # text (5.6)
    "the last code point": (
        [{"type": "pong", "id": "\U0010ffff"}], frame(TEXT, b'{"action":"ping","id":"\xf4\x8f\xbf\xbf"}'),
    ),
    # control frames (5.5.3: "may be sent unsolicited")
    "a pong nobody asked for": ([], frame(PONG, b"x" * 125)),
}  # fmt: skip


@pytest.mark.parametrize(("answers", "sent"), TAKEN.values(), ids=TAKEN.keys())
async def test_what_keeps_to_the_protocol_is_answered(api: Api, answers: list[dict[str, Any]], sent: bytes) -> None:
    assert await send(api, sent) == Back(answers, [], None)


UNREADABLE = {
    "an empty text": frame(TEXT, b""),
    "a text of empty fragments": fragmented(TEXT, b"", b"", b""),
    "a binary message": frame(BINARY, HELLO),
    "a binary message in fragments": fragmented(BINARY, HELLO[:5], HELLO[5:]),
    "a binary message that is no UTF-8": frame(BINARY, b"\xff\xfe"),
    "an empty binary message": frame(BINARY, b""),
}


@pytest.mark.parametrize("sent", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_frame_in_order_whose_message_is_not_is_an_error_and_the_socket_lives(api: Api, sent: bytes) -> None:
    back = await send(api, sent)
    assert (back.codes, back.close) == (["malformed"], None)


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(125)), b"\xff" * 125], ids=["0", "1", "125", "no UTF-8"])
async def test_a_pong_has_the_payload_of_its_ping(api: Api, payload: bytes) -> None:
    assert await send(api, frame(PING, payload)) == Back([], [payload], None)


async def test_a_ping_between_fragments_is_answered_before_the_message_is_whole(api: Api) -> None:
    async with await opened(api) as client, asyncio.timeout(TIMEOUT_S):
        client.writer.write(frame(TEXT, HELLO[:5], final=False) + frame(PING, b"half way"))
        got = await client.receive_frame()
        assert (got.opcode, got.payload) == (PONG, b"half way")
        client.writer.write(frame(CONTINUATION, HELLO[5:]) + frame(TEXT, STILL_THERE))
        assert (await read(client)).answers == [HEARD]


async def test_the_last_of_many_pings_is_answered(api: Api) -> None:
    back = await send(api, *(frame(PING, bytes((number,))) for number in range(100)))
    assert back.pongs[-1] == bytes((99,))
    assert back.pongs == sorted(back.pongs)


# -- closing (5.5.1, 7) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
async def test_a_close_is_answered_with_its_code(api: Api, code: int) -> None:
    assert (await send(api, closing(code, "până data viitoare".encode()))).code == code


CLOSED = {
    "without a code": (b"", frame(CLOSE)),
    "with the longest reason": (b"\x03\xe8", closing(1000, b"x" * 123)),
    "inside a message": (b"\x03\xe8", frame(TEXT, HELLO[:5], final=False) + closing(1000)),
    "followed by a text": (b"\x03\xe8", closing(1000) + frame(TEXT, HELLO)),
    "followed by a ping": (b"\x03\xe8", closing(1000) + frame(PING, b"x")),
    "followed by another close": (b"\x03\xe8", closing(1000) + closing(1001)),
    "followed by what breaks the protocol": (b"\x03\xe8", closing(1000) + frame(TEXT, HELLO, masked=False)),
}


@pytest.mark.parametrize(("close", "sent"), CLOSED.values(), ids=CLOSED.keys())
async def test_a_close_ends_it_whatever_follows(api: Api, close: bytes, sent: bytes) -> None:
    assert await send(api, sent) == Back([], [], close)


async def test_what_comes_after_our_own_close_is_not_acted_upon(api: Api) -> None:
    async with await opened(api) as client, asyncio.timeout(TIMEOUT_S):
        hub = api.services.stream
        hub.close(next(iter(hub.sockets)), 1008, "revoked")
        client.writer.write(frame(TEXT, HELLO) + frame(PING, b"x") + closing(1008))
        assert await read(client) == Back([], [], b"\x03\xf0revoked")
        with pytest.raises(Closed):
            await client.receive_frame()


# -- the handshake (4.2) --------------------------------------------------------------------------------------------

REFUSED = {
    "no key": (426, {"Sec-WebSocket-Key": ""}),
    "a key that is not base64": (400, {"Sec-WebSocket-Key": "not base64 at all!!!"}),
    "a key of 15 bytes": (400, {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAA"}),
    "a key of 17 bytes": (400, {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAAA="}),
    "two keys": (400, {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}),
    "no version": (426, {"Sec-WebSocket-Version": ""}),
    "version 8": (426, {"Sec-WebSocket-Version": "8"}),
    "version 14": (426, {"Sec-WebSocket-Version": "14"}),
    "a list of versions": (426, {"Sec-WebSocket-Version": "13, 8"}),
    "no upgrade": (426, {"Upgrade": ""}),
    "an upgrade to something else": (426, {"Upgrade": "h2c"}),
    "no connection": (426, {"Connection": ""}),
    "a connection that is kept": (426, {"Connection": "keep-alive"}),
    "no host": (400, {"Host": ""}),
    "another site's page": (403, {"Origin": "https://evil.example"}),
    "a page of no site": (403, {"Origin": "null"}),
}  # fmt: skip


@pytest.mark.parametrize(("status", "headers"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_no_handshake_is_refused(api: Api, status: int, headers: Mapping[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        await WsClient.open(api.port, headers=headers)
    assert refused.value.status == status
    assert refused.value.headers["content-type"].startswith("application/problem+json")
    assert "sec-websocket-accept" not in refused.value.headers
    if status == 426:  # "MUST ... a |Sec-WebSocket-Version| header field"
        assert refused.value.headers["sec-websocket-version"] == "13"


async def test_the_answer_to_a_key_is_the_one_in_the_rfc(api: Api) -> None:
    offered = {
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol": "chat, superchat",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits, x-other",
        "Connection": "keep-alive, Upgrade",
        "Upgrade": "WebSocket",
    }
    async with await WsClient.open(api.port, headers=offered) as client:
        assert client.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert "sec-websocket-protocol" not in client.headers, "none of them is spoken"
        assert "sec-websocket-extensions" not in client.headers
