"""A WebSocket client for tests, on asyncio streams alone: it shows frames, codes and refusals, and can stop reading.

Nothing it does is shared with the server's side, so that both cannot be wrong in the same way.
"""

import asyncio
import base64
import json
import os
import socket
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 10.0
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Refused(Exception):
    """The server did not upgrade."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"{status}: {body!r}")
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def problem(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Closed(Exception):
    """The server closed: with a close frame's code, or None when the line was cut."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


@dataclass
class Frame:
    final: bool
    opcode: int
    payload: bytes
    compressed: bool = False


class WsClient:
    """One connection. ``async with await WsClient.open(port) as client: …``"""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.frames = 0
        self.fragments = 0
        self._messages: deque[dict[str, Any]] = deque()

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        token: str | None = None,
        path: str = "/ws/v1/stream",
        headers: Mapping[str, str] | None = None,
        receive_buffer: int | None = None,
    ) -> Self:
        """Connect and upgrade. Refused when the server answers anything but 101."""
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:  # before connecting, so that the window is never larger
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        reader, writer = await asyncio.open_connection(sock=sock, limit=receive_buffer or 65_536)
        client = cls(reader, writer)
        try:
            await client._upgrade(port, path, token, headers or {})
        except BaseException:
            await client.abort()
            raise
        return client

    async def _upgrade(self, port: int, path: str, token: str | None, headers: Mapping[str, str]) -> None:
        lines = {
            "Host": f"127.0.0.1:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **headers,
        }
        if token is not None:
            lines["Authorization"] = f"Bearer {token}"
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        self.writer.write(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        async with asyncio.timeout(TIMEOUT_S):
            answer = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *rest = answer.split("\r\n")
            self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
            status = int(first.split()[1])
            if status != 101:
                raise Refused(status, self.headers, await self.reader.readexactly(int(self.headers["content-length"])))

    # -- sending ----------------------------------------------------------------------------------------------------

    async def send(self, *messages: Any) -> None:
        """Send each message as a frame of its own."""
        for message in messages:
            await self.send_text(json.dumps(message))

    async def send_text(self, text: str | bytes, opcode: int = TEXT) -> None:
        payload = text.encode() if isinstance(text, str) else text
        length = len(payload)
        head = bytes((0x80 | opcode,))
        if length < 126:
            head += bytes((0x80 | length,))
        elif length < 65_536:
            head += bytes((0x80 | 126,)) + length.to_bytes(2, "big")
        else:
            head += bytes((0x80 | 127,)) + length.to_bytes(8, "big")
        self.writer.write(head + bytes(4) + payload)  # a mask of zeros is a mask
        await self.writer.drain()

    # -- receiving --------------------------------------------------------------------------------------------------

    async def receive_frame(self) -> Frame:
        """Read one frame. Closed when the line was cut."""
        try:
            first, second = await self.reader.readexactly(2)
            assert not second & 0x80, "a server does not mask"
            length = second & 0x7F
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await self.reader.readexactly(8), "big")
            payload = await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Closed(None) from None
        agreed = 0x40 if "sec-websocket-extensions" in self.headers else 0
        assert not first & 0x70 & ~agreed, "a bit that no extension was agreed on for"
        self.frames += 1
        return Frame(bool(first & 0x80), first & 0x0F, payload, bool(first & 0x40))

    async def _receive_array(self) -> None:
        whole, compressed = b"", False
        while True:
            frame = await self.receive_frame()
            if frame.opcode == CLOSE:
                await self.send_text(frame.payload[:2], CLOSE)
                raise Closed(int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode())
            if frame.opcode == PONG:
                self._messages.append({"type": "(pong)", "payload": frame.payload})
                return
            assert frame.opcode == (CONTINUATION if whole else TEXT)
            compressed |= frame.compressed
            whole += frame.payload
            if frame.final:
                break
            self.fragments += 1
        if compressed:
            whole = zlib.decompressobj(-zlib.MAX_WBITS).decompress(whole + b"\x00\x00\xff\xff")
        messages = json.loads(whole)
        assert isinstance(messages, list), "text frames hold arrays"
        assert messages, "no array is empty"
        self._messages.extend(messages)

    async def receive(self, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """Return the next message. Closed when the server closes, TimeoutError when nothing comes."""
        async with asyncio.timeout(timeout_s):
            while not self._messages:
                await self._receive_array()
            return self._messages.popleft()

    async def receive_some(self, count: int) -> list[dict[str, Any]]:
        """Return the next messages."""
        return [await self.receive() for _ in range(count)]

    async def receive_until(self, found: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return messages up to and with the first that is meant."""
        messages = [await self.receive()]
        while not found(messages[-1]):
            messages.append(await self.receive())
        return messages

    async def receive_type(self, kind: str) -> dict[str, Any]:
        """Return the next message of a type; others before it are passed over."""
        return (await self.receive_until(lambda message: message["type"] == kind))[-1]

    async def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message with an ``id`` and return its answer."""
        await self.send(message)
        return (await self.receive_until(lambda answer: answer.get("id") == message["id"]))[-1]

    async def closed(self) -> Closed:
        """Read until the server closes, and return how."""
        try:
            while True:
                await self.receive()
        except Closed as closed:
            return closed

    async def synchronise(self) -> list[dict[str, Any]]:
        """Return all that was sent to this client so far: prices published leave with the next answer at the latest."""
        found: list[dict[str, Any]] = []
        for _ in range(2):
            token = base64.b64encode(os.urandom(6)).decode()
            await self.send({"action": "ping", "id": token})
            found += (await self.receive_until(lambda answer, token=token: answer.get("id") == token))[:-1]
        return found

    async def abort(self) -> None:
        """Cut the line."""
        self.writer.transport.abort()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.abort()
