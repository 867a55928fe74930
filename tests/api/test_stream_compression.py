"""Compressed messages (RFC 7692): only where it is switched on and offered, made once for all, bounded when read."""

import random
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from qsuite.domain.roles import Caller
from qsuite.settings import Settings
from tests.support.frames import BINARY, CONTINUATION, PING, TEXT, fragmented, frame
from tests.support.stream import stream_server
from tests.support.ws import Frame, WsClient

OFFER = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
HELLO = b'{"action":"ping","id":"hello","padding":"' + b"x" * 500 + b'"}'
RSV1 = 4


def compress(text: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(data: bytes) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data + b"\x00\x00\xff\xff")


# -- agreeing (7.1) -------------------------------------------------------------------------------------------------


async def test_nothing_is_compressed_unless_it_is_switched_on(settings: Settings) -> None:
    assert not settings.stream.compression
    async with stream_server(settings) as server, await server.client(headers=OFFER) as client:
        assert "sec-websocket-extensions" not in client.headers


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        'permessage-deflate; client_max_window_bits="10"; server_no_context_takeover',
        "permessage-deflate; client_no_context_takeover",
        "x-other, permessage-deflate",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
    ],
)
async def test_an_offer_is_accepted_without_context_on_either_side(settings: Settings, offer: str) -> None:
    offered = {"Sec-WebSocket-Extensions": offer}
    async with stream_server(settings, compression=True) as server, await server.client(headers=offered) as client:
        agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        assert client.headers["sec-websocket-extensions"] == agreed


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; level=9",
    ],
)
async def test_an_offer_that_cannot_be_kept_is_declined_and_the_stream_is_plain(settings: Settings, offer: str) -> None:
    offered = {"Sec-WebSocket-Extensions": offer}
    async with stream_server(settings, compression=True) as server, await server.client(headers=offered) as client:
        assert "sec-websocket-extensions" not in client.headers
        assert await client.ask({"action": "ping", "id": 1}) == {"type": "pong", "id": 1}


# -- what we send ---------------------------------------------------------------------------------------------------


async def test_all_who_take_it_get_the_same_compressed_bytes_and_the_others_plain_ones(settings: Settings) -> None:
    async with (
        stream_server(settings, compression=True) as server,
        await server.subscribed("anna", "trades:A", headers=OFFER) as first,
        await server.subscribed("bert", "trades:A", headers=OFFER) as second,
        await server.subscribed("vera", "trades:A") as plain,
    ):
        for number in range(50):
            server.hub.publish("trades:A", {"type": "trade", "number": number})
        frames = [await client.receive_frame() for client in (first, second, plain)]
        assert [one.compressed for one in frames] == [True, True, False]
        assert frames[0] == frames[1]
        assert inflate(frames[0].payload) == frames[2].payload
        assert len(frames[0].payload) < len(frames[2].payload) / 2


async def test_a_message_owes_nothing_to_the_one_before(settings: Settings) -> None:
    async with (
        stream_server(settings, compression=True) as server,
        await server.subscribed("anna", "trades:A", headers=OFFER) as client,
    ):
        for _ in range(2):
            server.hub.publish("trades:A", {"type": "trade", "text": "x" * 1_000})
            assert b"xxx" in inflate((await client.receive_frame()).payload)


async def test_a_short_message_is_sent_as_it_is(settings: Settings) -> None:
    async with stream_server(settings, compression=True) as server, await server.client(headers=OFFER) as client:
        await client.send({"action": "ping", "id": 1})
        assert await client.receive_frame() == Frame(True, TEXT, b'[{"type":"pong","id":1}]')


async def test_a_large_snapshot_is_one_compressed_message_in_fragments(settings: Settings) -> None:
    chance = random.Random(1)
    data = [{"text": chance.randbytes(500).hex()} for _ in range(1_000)]

    async def source(caller: Caller, channel: str) -> Sequence[Mapping[str, Any]]:
        return data

    async with (
        stream_server(settings, compression=True) as server,
        await server.client("anna", headers=OFFER) as client,
    ):
        server.hub.snapshot_source("trades", source)
        await client.send({"action": "subscribe", "channels": ["trades:A"]})
        assert (await client.receive_type("snapshot"))["data"] == data
        assert client.fragments > 1


# -- what clients send ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        frame(TEXT, compress(HELLO), rsv=RSV1),
        frame(TEXT, compress(HELLO)[:9], rsv=RSV1, final=False) + frame(CONTINUATION, compress(HELLO)[9:]),
        frame(TEXT, b"", rsv=RSV1, final=False) + frame(PING) + frame(CONTINUATION, compress(HELLO)),
        frame(TEXT, HELLO),
        fragmented(TEXT, HELLO[:9], HELLO[9:]),
    ],
    ids=["compressed", "in fragments", "around a ping", "plain", "plain in fragments"],
)
async def test_compressed_and_plain_messages_are_read(settings: Settings, sent: bytes) -> None:
    async with stream_server(settings, compression=True) as server, await server.client(headers=OFFER) as client:
        client.writer.write(sent * 2)
        for _ in range(2):
            assert await client.receive_type("pong") == {"type": "pong", "id": "hello"}


@pytest.mark.parametrize(
    ("code", "sent"),
    [
        (1002, frame(TEXT, compress(HELLO), rsv=RSV1 | 2)),
        (1002, frame(TEXT, b"", rsv=RSV1, final=False) + frame(CONTINUATION, compress(HELLO), rsv=RSV1)),
        (1002, frame(PING, compress(b"x"), rsv=RSV1)),
        (1007, frame(TEXT, b"\xff\xff\xff no deflate", rsv=RSV1)),
        (1007, frame(TEXT, compress(b"\xff\xfe"), rsv=RSV1)),
        (1009, frame(TEXT, compress(b" " * 65_537), rsv=RSV1)),
        (1009, frame(TEXT, compress(b" " * 50_000_000), rsv=RSV1)),
        (1009, frame(BINARY, compress(bytes(50_000_000)), rsv=RSV1)),
    ],
    ids=[
        "another bit",
        "on a continuation",
        "on a ping",
        "not compressed",
        "bad UTF-8",
        "a byte too long",
        "bomb",
        "0",
    ],
)
async def test_what_cannot_be_inflated_or_grows_too_large_is_closed(settings: Settings, code: int, sent: bytes) -> None:
    async with stream_server(settings, compression=True) as server, await server.client(headers=OFFER) as client:
        client.writer.write(sent)
        assert (await client.closed()).code == code


async def test_the_bit_is_an_error_where_nothing_was_agreed_on(settings: Settings) -> None:
    async with stream_server(settings, compression=True) as server, await WsClient.open(server.port) as client:
        client.writer.write(frame(TEXT, compress(HELLO), rsv=RSV1))
        assert (await client.closed()).code == 1002
