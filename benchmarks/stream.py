"""Fan-out beside the plain loop of ``write_message`` and a C-speed server: the same trades to the same readers.

Then how it grows: beside itself, with four and sixteen times the sockets, and with a hundred and a thousand symbols.
Every reader of every run checks its numbers.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.book import interpreter
from benchmarks.harness import Figure, in_pairs

ROOT = Path(__file__).resolve().parent.parent
PEER = Path(__file__).with_name("stream_peer.py")
PICOWS = "2.3.1"
SOCKETS = 200
MESSAGES = 5_000
MESSAGES_OF_PEER = 500
SOCKETS_GROWING = (50, 200, 800)
SYMBOLS_GROWING = (1, 100, 1_000)
# Of all sockets together, so that each size runs about as long.
DELIVERIES = 400_000

Server = tuple[int, "subprocess.Popen[str]"]


def figures() -> list[Figure]:
    """Measure fan-out, and how it grows."""
    with serving([sys.executable, "-m", "benchmarks.stream_server", "hub"]) as hub:
        delivered(hub, messages=500)  # warm up
        return [*beside_peers(hub), *growing(hub)]


def beside_peers(hub: Server) -> Iterator[Figure]:
    """Measure against each peer that is to be had."""
    with ExitStack() as stack:
        loop = stack.enter_context(serving([sys.executable, "-m", "benchmarks.stream_server", "loop"]))
        peers = [("Tornado's write_message loop", loop, ">= 8", ">= 20")]
        python = interpreter("picows", PICOWS)
        if python is not None:
            peers.append(("picows, one send each", stack.enter_context(serving([python, PEER])), ">= 1", ">= 3"))
        for name, peer, first_bar, aim in peers:
            delivered(peer, messages=50)
            yield in_pairs(
                f"fan-out delivered, {SOCKETS} sockets",
                unit="msg/s",
                measure=lambda: delivered(hub, messages=MESSAGES),
                peer=name,
                measure_peer=lambda peer=peer: delivered(peer, messages=MESSAGES_OF_PEER),  # type: ignore[misc]
                first_bar=first_bar,
                aim=aim,
            )


def growing(hub: Server) -> Iterator[Figure]:
    """Measure larger sizes beside the smallest: with a ratio of 1 a delivered message costs the same."""
    least, *more = SOCKETS_GROWING
    for sockets in more:
        yield grown(hub, f"{sockets} sockets", (sockets, 1), f"{least} sockets", (least, 1))
    least, *more = SYMBOLS_GROWING
    for symbols in more:
        yield grown(hub, f"{symbols:,} symbols each", (SOCKETS, symbols), f"{least} symbol", (SOCKETS, least))


def grown(hub: Server, name: str, size: tuple[int, int], smaller: str, least: tuple[int, int]) -> Figure:
    """Measure one size beside the smallest."""
    return in_pairs(
        f"fan-out delivered, {name}",
        unit="msg/s",
        measure=lambda: delivered(hub, *size, messages=DELIVERIES // size[0]),
        peer=f"with {smaller}",
        measure_peer=lambda: delivered(hub, *least, messages=DELIVERIES // least[0]),
        first_bar="-",
        aim="-",
        rounds=3,
    )


def delivered(server: Server, sockets: int = SOCKETS, symbols: int = 1, *, messages: int) -> float:
    """Return messages per second that arrived at all sockets together."""
    port, process = server
    command = [sys.executable, "-m", "benchmarks.stream_clients", *map(str, (port, sockets, messages, symbols))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as clients:
        assert clients.stdout is not None
        assert process.stdin is not None
        assert clients.stdout.readline() == "ready\n"
        process.stdin.write(f"{sockets} {messages} {symbols}\n")
        process.stdin.flush()
        return float(clients.stdout.readline())


@contextmanager
def serving(command: Sequence[str | Path]) -> Iterator[Server]:
    """Run a server; it ends when its standard input does."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.stdin.close()
            process.wait(10)
