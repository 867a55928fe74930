"""Read WebSocket frames from bytes, as a client's library would."""

import json
from collections.abc import Iterable
from typing import Any


def messages_of(frames: Iterable[bytes]) -> list[dict[str, Any]]:
    """Return the messages of text frames, fragments put together."""
    found: list[dict[str, Any]] = []
    whole = b""
    for frame in frames:
        final, opcode = frame[0] & 0x80, frame[0] & 0x0F
        assert frame[0] & 0x70 == 0
        assert opcode == (0x0 if whole else 0x1)
        length, start = frame[1], 2
        if length == 126:
            length, start = int.from_bytes(frame[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(frame[2:10], "big"), 10
        assert length == len(frame) - start
        whole += frame[start:]
        if final:
            found += json.loads(whole)
            whole = b""
    assert not whole, "the last message is not complete"
    return found


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x01\xa2\x3b\xf4"


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    rsv: int = 0,
    masked: bool = True,
    width: int | None = None,
) -> bytes:
    """Make a client's frame. ``rsv`` 4, 2 and 1 are RSV1 to RSV3; ``width`` is how many bytes count a long payload."""
    length = len(payload)
    if width is None:
        width = 0 if length < 126 else 2 if length < 65_536 else 8
    short = {0: length, 2: 126, 8: 127}[width]
    head = bytes((final << 7 | rsv << 4 | opcode, masked << 7 | short))
    if width:
        head += length.to_bytes(width, "big")
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))


def fragmented(opcode: int, *payloads: bytes) -> bytes:
    """Make one message of several frames."""
    last = len(payloads) - 1
    return b"".join(
        frame(opcode if at == 0 else CONTINUATION, payload, final=at == last) for at, payload in enumerate(payloads)
    )
