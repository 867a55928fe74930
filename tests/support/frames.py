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
