"""Fan-out by picows, a WebSocket server in Cython: run as a script by the interpreter that has it.

``python stream_peer.py``: like ``stream_server``, for one symbol. Only the standard library and picows are imported,
since a peer's interpreter has nothing else. Its ``send`` is called for each socket and message, as its documents show.
"""

import asyncio
import importlib
import os
import sys
from typing import Any

picows: Any = importlib.import_module("picows")

MESSAGE = (
    '{"type":"trade","ts":"2026-01-02T14:30:00.123456789Z","symbol":"B0","price":"150.25","size":"100",'
    '"channel":"trades:B0","seq":%d}'
)


async def main() -> None:
    """Serve until standard input ends."""
    clients: set[Any] = set()

    class Trades(picows.WSListener):  # type: ignore[misc]
        def on_ws_connected(self, transport: Any) -> None:
            clients.add(transport)

        def on_ws_disconnected(self, transport: Any) -> None:
            clients.discard(transport)

    server = await picows.ws_create_server(lambda request: Trades(), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0))
    while line := await reader.readline():
        sockets, messages, _ = map(int, line.split())
        while len(clients) < sockets:  # noqa: ASYNC110  once, before anything is measured
            await asyncio.sleep(0.001)
        text = picows.WSMsgType.TEXT
        for number in range(messages):
            data = (MESSAGE % number).encode()
            for client in clients:
                client.send(text, data)
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main())
    sys.exit()
