"""Fan-out to 200 sockets beside the plain loop of ``write_message``: the same trades to the same readers."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import Figure, in_pairs

ROOT = Path(__file__).resolve().parent.parent
SOCKETS = 200
MESSAGES = 5_000
MESSAGES_OF_LOOP = 500

Server = tuple[int, "subprocess.Popen[str]"]


def figures() -> list[Figure]:
    """Measure fan-out."""
    with serving("hub") as hub, serving("loop") as loop:
        delivered(hub, 500)  # warm up
        delivered(loop, 50)
        return [
            in_pairs(
                f"fan-out delivered, {SOCKETS} sockets",
                unit="msg/s",
                measure=lambda: delivered(hub, MESSAGES),
                peer="Tornado's write_message loop",
                measure_peer=lambda: delivered(loop, MESSAGES_OF_LOOP),
                first_bar=">= 8",
                aim=">= 20",
            )
        ]


def delivered(server: Server, messages: int) -> float:
    """Return messages per second that arrived at all sockets together."""
    port, process = server
    command = [sys.executable, "-m", "benchmarks.stream_clients", str(port), str(SOCKETS), str(messages)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdout is not None
        assert process.stdin is not None
        assert clients.stdout.readline() == "ready\n"
        process.stdin.write(f"{SOCKETS} {messages}\n")
        process.stdin.flush()
        return float(clients.stdout.readline())


@contextmanager
def serving(kind: str) -> Iterator[Server]:
    """Run a server; it ends when its standard input does."""
    command = [sys.executable, "-m", "benchmarks.stream_server", kind]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.stdin.close()
            process.wait(10)
