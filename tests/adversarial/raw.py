"""Bytes over a socket of their own, and all that comes back: for what no client would send."""

import asyncio
import re
from typing import NamedTuple

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")
QUIET_S = 1.0
"""After so long without a byte nothing more is expected; then we say that nothing follows from us either."""
END_S = 20.0


class Back(NamedTuple):
    """What came back, and whether the server hung up while we would have gone on."""

    raw: bytes
    hung_up: bool

    @property
    def statuses(self) -> list[int]:
        """Return the status of each answer, in order."""
        return [int(found) for found in _STATUS.findall(self.raw)]


async def exchange(port: int, *parts: bytes) -> Back:
    """Send the parts, each as a segment of its own, and read until the server has nothing more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_048_576)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        raw, hung_up = await _read(reader)
        if not hung_up:
            writer.write_eof()
            raw += await asyncio.wait_for(reader.read(), END_S)
        return Back(raw, hung_up)
    except ConnectionError:
        return Back(b"", True)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    raw = b""
    while True:
        try:
            part = await asyncio.wait_for(reader.read(65_536), QUIET_S)
        except TimeoutError:
            return raw, False
        if not part:
            return raw, True
        raw += part
