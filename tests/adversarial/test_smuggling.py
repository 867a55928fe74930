"""Requests whose ends two readers could see in different places (RFC 9112, 6.3 and 11.2), byte for byte.

Each is refused and the connection closed, or read in the one right way. What is hidden behind another request is never
answered: every case hides one that would answer 200 with a mark, and answers are counted.
"""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.adversarial.raw import Back, exchange
from tests.adversarial.tally import watched
from tests.support.running_app import Api

MARK = b"smuggled-7f3a"
HIDDEN = b"GET /health/live/ HTTP/1.1\r\nHost: x\r\nX-Request-ID: %b\r\nConnection: close\r\n\r\n" % MARK
POST = b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live/ HTTP/1.1\r\nHost: x\r\n"
LAST = b"GET /health/live/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BODY = b'{"username": "x"}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"
EMPTY_CHUNK = b"0\r\n\r\n"
REFUSED = ((400,), (411,), (413,), (414,), (431,), (501,), (505,))
HUNG_UP = ((),)
"""Without a word, as on a size line longer than any size."""
CUT = 37
"""Bytes of each piece, which are at nobody's boundaries."""
LOOKED_AT = 422
"""What a login without its fields gets once it was read whole."""


class Case(NamedTuple):
    """What is sent, and the statuses that may come back for it. Most may only be refused."""

    why: str
    sent: bytes
    allowed: tuple[tuple[int, ...], ...] = REFUSED
    hidden: bool = True
    """A request is hidden in it, which must not be answered."""


def chunk(data: bytes, size: bytes | None = None) -> bytes:
    return b"%b\r\n%b\r\n" % (b"%x" % len(data) if size is None else size, data)


ENCODINGS = [
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
    b" Transfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding: chunked\x00", b"X: x\nTransfer-Encoding: chunked", b"X: x\rTransfer-Encoding: chunked",
    b"Transfer-Encoding\r\n: chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: 'chunked'",
    b'Transfer-Encoding: "chunked"', b"Transfer-Encoding: chunked;q=0.5", b"Transfer-Encoding: chunk",
    b"Transfer-Encoding: chunked\xa0", b"Transfer-Encoding:\xa0chunked", b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked,", b"Transfer-Encoding: cow", b"Transfer-Encoding: ",
    b"\x00Transfer-Encoding: chunked",
    b"Transfer\x00-Encoding: chunked", b"Transfer-Encoding: ch\xc3\xbcnked", b"Transfer-Encoding: CHUNKED",
    b"transfer-encoding: Chunked", b"Transfer-Encoding:chunked", b"Transfer-Encoding: chunked \t",
    b"Transfer-encoding: chunked\r\nTransfer-Encoding: chunked",
]  # fmt: skip
READ_AS_CHUNKED = (b"CHUNKED", b"Chunked", b":chunked", b"chunked \t")
LENGTHS = [
    b"+%d", b"-%d", b"0x%x", b"%d.0", b"%d e", b"%d\x00", b"\x00%d", b"%d,", b",%d", b"%d, 1", b"1, %d", b"%de0",
    b"%d;", b"'%d'", b'"%d"', b"%d\x0b", b"%d\xa0", b"\xd9\xa1%d", b"%d %d", b"", b"9" * 19, b"9" * 400, b"1_%d",
    b"%d\r\nContent-Length: 1", b"%d\r\ncontent-length: +%d", b"%d\r\n 0", b"0%d\r\nContent-Length: %d", b"NaN",
    b"1e1", b"\xef\xbc\x91", b"- %d", b"%d\r\n\t, 5", b"0\r\nContent-Length: %d",
]  # fmt: skip
SIZES = [
    b"+%x", b"-%x", b"0x%x", b"%x ", b" %x", b"\t%x", b"%x\t", b"%x;", b"%x;a=b", b"%x;a=\"b\r\nX: y\"", b"%xg", b"g%x",
    b"%x_", b"1_%x", b"%x\x00", b"%x\x0b", b"%x\n", b"\r\n%x", b"%x\r", b"", b"f" * 17, b"8000000000000000", b"%x,%x",
    b"%x.0", b"\xd9\xa1", b"%x;" + b"a" * 100, b"%x" + b" " * 80, b"%x;a\x00", b"0" * 70 + b"%x",
]  # fmt: skip


def cases() -> Iterator[Case]:
    """Give every case."""
    yield from _both_lengths()
    yield from _lengths()
    yield from _chunks()
    yield from _lines()
    yield from _targets()
    yield from _versions()
    yield from _in_order()


def _both_lengths() -> Iterator[Case]:
    """CL.TE, TE.CL and TE.TE: whichever length a proxy before us believed, nothing hides behind the other."""
    behind = EMPTY_CHUNK + HIDDEN
    for encoding in ENCODINGS:
        for length in (len(behind), len(EMPTY_CHUNK), 0, 4):
            first, second = b"Content-Length: %d\r\n" % length, encoding + b"\r\n"
            for headers in (first + second, second + first):
                yield Case(f"{encoding!r} and a length of {length}", POST + headers + b"\r\n" + behind)
        if encoding.endswith(READ_AS_CHUNKED) and b"\r\n" not in encoding and b", " not in encoding:
            sent = POST + encoding + b"\r\n\r\n" + chunk(BODY) + EMPTY_CHUNK + LAST
            if encoding.partition(b":")[0].lower() == b"transfer-encoding":
                yield Case(f"{encoding!r} alone", sent, ((LOOKED_AT, 200), *REFUSED), hidden=False)
                continue
        yield Case(f"{encoding!r} alone", POST + encoding + b"\r\n\r\n" + chunk(HIDDEN) + EMPTY_CHUNK)


def _lengths() -> Iterator[Case]:
    for form in LENGTHS:
        length = form.replace(b"%x", b"%x" % len(BODY)).replace(b"%d", b"%d" % len(BODY))
        allowed = (*REFUSED, (413,))
        yield Case(
            f"Content-Length {form!r}", POST + b"Content-Length: " + length + b"\r\n\r\n" + BODY + HIDDEN, allowed
        )
    same = b"Content-Length: %d\r\n" % len(BODY)
    twice = ((LOOKED_AT, 200), *REFUSED)  # RFC 9112, 6.3: equal ones may be taken as one
    yield Case("two equal lengths", POST + same + same + b"\r\n" + BODY + LAST, twice, hidden=False)
    yield Case("a list of equal lengths", POST + b"Content-Length: 17, 17\r\n\r\n" + BODY + LAST, twice, hidden=False)
    yield Case("zeros in front", POST + b"Content-Length: 0017\r\n\r\n" + BODY + LAST, twice, hidden=False)
    short = POST + b"Content-Length: %d\r\n\r\n" % (len(BODY) + len(HIDDEN))
    yield Case("a body that looks like a request", short + BODY + HIDDEN, ((400,), (LOOKED_AT,)))
    with_body = b"Content-Length: %d\r\n\r\n" % len(HIDDEN)
    for method in (b"GET", b"DELETE", b"HEAD", b"OPTIONS"):
        first = method + GET[3:] + with_body + HIDDEN + LAST
        yield Case(f"{method!r} with a body", first, ((200, 200), (405, 200), (204, 200), *REFUSED))
    yield Case(
        "no length and a body", POST + b"\r\n" + BODY + b"\r\n" + HIDDEN, ((400, 400), (415, 400), (422, 400), *REFUSED)
    )


def _chunks() -> Iterator[Case]:
    begun = POST + CHUNKED + b"\r\n"
    for form in SIZES:
        size = form.replace(b"%x", b"%x" % len(BODY))
        plain = form.startswith((b"%x;", b"0" * 70))  # RFC 9112, 7.1: extensions are ignored
        allowed = ((LOOKED_AT,), *REFUSED, *HUNG_UP) if plain else (*REFUSED, *HUNG_UP)
        yield Case(f"chunk size {form!r}", begun + chunk(BODY, size) + EMPTY_CHUNK + b"", allowed, hidden=False)
        yield Case(f"chunk size {form!r}, hiding", begun + chunk(HIDDEN, size), (*REFUSED, *HUNG_UP))
    yield Case("a chunk longer than said", begun + chunk(BODY + b"x", b"11") + EMPTY_CHUNK + HIDDEN)
    yield Case("a chunk shorter than said", begun + b"12\r\n" + BODY + b"\r\n" + EMPTY_CHUNK + HIDDEN)
    yield Case("no line end after a chunk", begun + b"11\r\n" + BODY + EMPTY_CHUNK + HIDDEN)
    yield Case("a bare line feed after a chunk", begun + b"11\r\n" + BODY + b"\n" + EMPTY_CHUNK + HIDDEN)
    yield Case("bare line feeds all over", begun + b"11\n" + BODY + b"\n0\n\n" + HIDDEN)
    yield Case("no end of the last chunk", begun + chunk(BODY) + b"0\r\n" + HIDDEN)
    yield Case("a chunk of a negative size", begun + b"-1\r\n" + HIDDEN)
    zeros = begun + chunk(BODY) + b"0" * 100 + b"\r\n\r\n" + HIDDEN
    yield Case("a hundred zeros as the last size", zeros, (*REFUSED, *HUNG_UP))
    for trailer in (
        b"X: y",
        b"Content-Length: 100",
        b"Transfer-Encoding: chunked",
        b"Host: evil",
        b"no colon",
        b"\x00: y",
    ):
        yield Case(f"a trailer {trailer!r}", begun + chunk(BODY) + b"0\r\n" + trailer + b"\r\n\r\n" + HIDDEN)
    for byte in (b"\r", b"\n", b"\x00", b" "):
        yield Case(f"{byte!r} for the end", begun + chunk(BODY) + b"0\r\n" + byte + b"x" + HIDDEN)


def _lines() -> Iterator[Case]:
    for line in (
        b"X: \x00",
        b"X: a\x00b",
        b"\x00: x",
        b"X\x00: x",
        b"X : x",
        b"X\t: x",
        b" X: x",
        b"\tX: x",
        b": x",
        b"X",
        b"X y: z",
        b"X: a\r b: c",
        b"X: a\rY: b",
        b"X: y\r\n folded",
        b"X: y\r\n\tfolded",
        b"X: y\r\n ",
        b"X(y): z",
        b"X\xc3\xbc: y",
        b"X: \x7f",
        b"X: \x1b[31m",
        b"X: \x08",
        b"X: y\x0c",
        b'"X": y',
        b"X,Y: z",
        b"X/Y: z",
        b"@: z",
        b"[X]: y",
        b"X: y\r",
        b"Host: x",
        b"Host: evil",
        b"HOST: x\r\nhost: y",
        b"X: " + b"a" * 20_000,
        b"\r: x",
        b"X\r: y",
    ):
        yield Case(f"line {line[:40]!r}", GET + line + b"\r\n\r\n" + HIDDEN)
    yield Case(
        "a thousand lines", GET + b"".join(b"X-%d: y\r\n" % number for number in range(2_000)) + b"\r\n" + HIDDEN
    )
    yield Case("a fold before the first line", b"GET /health/live/ HTTP/1.1\r\n folded\r\nHost: x\r\n\r\n" + HIDDEN)
    for host in (
        b"a b",
        b"a,b",
        b"x\r\n y",
        b"evil/",
        b"a@b",
        b"a\tb",
        b"http://x",
        b"a\\b",
        b"x#y",
        b"x?y",
        b"<x>",
    ):
        yield Case(f"host {host!r}", b"GET /health/live/ HTTP/1.1\r\nHost: %b\r\n\r\n" % host + HIDDEN)
    # RFC 9112, 3.2: empty where the target has no authority.
    empty = b"GET /health/live/ HTTP/1.1\r\nHost: \r\n\r\n" + LAST
    yield Case("an empty host", empty, ((200, 200), (400,)), hidden=False)
    yield Case("no host", b"GET /health/live/ HTTP/1.1\r\n\r\n" + HIDDEN)


def _targets() -> Iterator[Case]:
    nowhere = (*REFUSED, (404, 200), (405, 200))
    for first in (
        b"GET http://evil.example/health/live/ HTTP/1.1",
        b"GET https://x/ HTTP/1.1",
        b"CONNECT x:443 HTTP/1.1",
        b"GET x:443 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET //evil.example/ HTTP/1.1",
        b"GET ../../etc/passwd HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1",
        b"GET \\health\\live HTTP/1.1",
        b"GET /health/live;x HTTP/1.1",
        b"GET /health/./live/ HTTP/1.1",
        b"GET ftp://x/ HTTP/1.1",
        b"BREW /health/live/ HTTP/1.1",
        b"get /health/live/ HTTP/1.1",
        b"TRACE /health/live/ HTTP/1.1",
        b"PROPFIND / HTTP/1.1",
        b"GET file:///etc/passwd HTTP/1.1",
        b"GET ?x HTTP/1.1",
        b"GET #x HTTP/1.1",
        b"GET @127.0.0.1/ HTTP/1.1",
        b"TRACK / HTTP/1.1",
        b"DEBUG / HTTP/1.1",
    ):
        yield Case(f"{first!r}", first + b"\r\nHost: x\r\n\r\n" + LAST, nowhere, hidden=False)
    for first in (
        b"GET /a b HTTP/1.1",
        b"GET  /health/live/ HTTP/1.1",
        b"GET /health/live/  HTTP/1.1",
        b"GET\t/health/live/\tHTTP/1.1",
        b"GET /health/live/\x00 HTTP/1.1",
        b"GET /health/live/\r HTTP/1.1",
        b"GET /h\rX HTTP/1.1",
        b" GET /health/live/ HTTP/1.1",
        b"G\x00T /health/live/ HTTP/1.1",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1",
        b"GET /health/live/",
        b"GET",
        b"GET /",
        b"GET /health/live/ HTTP/1.1\r",
        b"GET /health/live/ HTTP/1.1 ",
        b"GET /health/live/ HTTP/1.1 x",
        b"G(T / HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x80\x2e\x01",
        b"\xff\xfe",
        b"GET /health/\x7flive/ HTTP/1.1",
    ):
        yield Case(f"{first[:50]!r}", first + b"\r\nHost: x\r\n\r\n" + HIDDEN)


def _versions() -> Iterator[Case]:
    for version in (
        b"HTTP/0.9",
        b"HTTP/2.0",
        b"HTTP/3",
        b"HTTP/1",
        b"HTTP/1.10",
        b"HTTP/11",
        b"http/1.1",
        b"HTTP/ 1.1",
        b"HTTP/-1.1",
        b"HTTP/1.1.1",
        b"HTTP/\xd9\xa1.1",
        b"HTTPS/1.1",
        b"XTTP/1.1",
        b"HTTP/1,1",
        b"HTTP/0x1.1",
    ):
        yield Case(f"version {version!r}", b"GET /health/live/ %b\r\nHost: x\r\n\r\n" % version + HIDDEN)
    yield Case(
        "HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04" + bytes(5) + HIDDEN
    )
    old = b"POST /api/auth/login/ HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
    yield Case("chunks in HTTP/1.0", old + CHUNKED + b"\r\n" + chunk(BODY) + EMPTY_CHUNK + HIDDEN)
    # RFC 9110, 10.1.1: "a 100-continue expectation in an HTTP/1.0 request MUST [be] ignore[d]"
    waits = b"Expect: 100-continue\r\nContent-Length: 17\r\n\r\n"
    yield Case("waiting to go on in HTTP/1.0", old + waits + BODY + LAST, ((LOOKED_AT, 200),), hidden=False)
    yield Case("waiting to go on", POST + waits + BODY + LAST, ((100, LOOKED_AT, 200),), hidden=False)
    other = b"Expect: 200-ok\r\nContent-Length: 17\r\n\r\n"
    yield Case("waiting for something else", POST + other + BODY + LAST, ((417,), (LOOKED_AT, 200)), hidden=False)
    wide = POST + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    yield Case("waiting to go on too far", wide + HIDDEN, ((413,),))
    upgrade = b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    yield Case("an upgrade to HTTP/2", GET + upgrade + LAST, ((200, 200), *REFUSED), hidden=False)
    stream = b"GET /ws/v1/stream/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    wrong = (*REFUSED, (426, 200))
    yield Case("half an upgrade", stream + b"Sec-WebSocket-Version: 777\r\n\r\n" + LAST, wrong, hidden=False)
    key = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    yield Case("a request in the tunnel", stream + key + HIDDEN, ((101,),))
    with_body = (
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: %d\r\n\r\n"
    )
    yield Case("an upgrade with a body", stream + with_body % len(HIDDEN) + HIDDEN, ((101,), (400,), (426,)))


def _in_order() -> Iterator[Case]:
    """Pipelining: what is right is answered in its order, and nothing after an error."""
    yield Case("ten at once", (GET + b"\r\n") * 9 + LAST, ((200,) * 10,), hidden=False)
    yield Case("after an error", GET + b"\r\n" + GET + b"no colon\r\n\r\n" + HIDDEN, ((200, 400),))
    # What still comes after we closed makes the kernel drop our answer, if the client has not read it yet.
    yield Case("after the last", LAST + HIDDEN, ((200,), *HUNG_UP))
    long = b"POST /api/auth/login/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"
    yield Case("after a body too long", long + HIDDEN, ((413,),))
    unread = b"POST /health/live/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN)
    yield Case("a body for whom takes none", unread + HIDDEN + LAST, ((405, 200), (405,), (400,)))
    lost = b"POST /nowhere/ HTTP/1.1\r\nHost: x\r\n" + CHUNKED + b"\r\n" + chunk(HIDDEN) + EMPTY_CHUNK
    yield Case("a body for nobody", lost + LAST, ((404, 200), (404,), (400,)))
    yield Case("empty lines before", b"\r\n\n" + LAST, ((200,), *REFUSED), hidden=False)
    yield Case("an empty line before", b"\r\n" + LAST, ((200,), *REFUSED), hidden=False)
    yield Case("a carriage return before", b"\r" + HIDDEN)
    yield Case("line feeds alone", LAST.replace(b"\r\n", b"\n"), ((200,), *REFUSED), hidden=False)


def wrong(case: Case, back: Back) -> str:
    """Say what is wrong about what came back, if anything is."""
    statuses = tuple(back.statuses)
    if statuses not in case.allowed:
        return f"answers {statuses}, not one of {case.allowed}"
    if case.hidden and MARK in back.raw:
        return "what was hidden was answered"
    return ""


@pytest.mark.parametrize("split", [False, True], ids=["at once", "in pieces"])
async def test_what_two_readers_could_take_differently_is_refused_or_read_in_the_one_right_way(
    api: Api, capsys: pytest.CaptureFixture[str], split: bool
) -> None:
    every = list(cases())
    pieces = iter(every)

    async def work() -> None:
        for case in pieces:
            sent = case.sent
            parts = (
                [sent[at : at + 37] for at in range(0, min(len(sent), 2_000), 37)] + [sent[2_000:]] if split else [sent]
            )
            back = await exchange(api.port, *parts)
            for status in back.statuses:
                tally.count(status, f"{case.why}: {back.raw[:300]!r}")
            if told := wrong(case, back):
                tally.deny(f"{case.why}: {told}: {back.raw[:300]!r}")

    with watched(f"{len(every)} cases of smuggling", capsys) as tally:
        await asyncio.gather(*[work() for _ in range(32)])
    assert len(every) > 400
