"""The order book beside the four on PyPI: the same real order flow, the same messages, the same fills.

Each peer lives in a virtual environment of its own under this one's, made on first use; one that cannot be installed
is named and its row is left out.
"""

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.book_flow import RECORDED, Message, messages
from benchmarks.harness import Figure, in_pairs

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(sys.prefix) / "peers"
PLAYER = Path(__file__).with_name("book_players.py")

# name, version, messages it can play (None: all), first bar, aim
BOOKS = (
    ("pyorderbook", "0.4.9", None, ">= 2", ">= 10"),
    ("lightmatchingengine", "2019.1.4", None, ">= 1", ">= 3"),
    ("cython-orderbook", "0.1.2", None, "-", "-"),
    # Rust. Past this point of the recorded flow 0.19.2 shows an ask that was cancelled and never returns from a taker;
    # the made-up flow it does not survive for so long.
    ("nanobook", "0.19.2", 1_900, "-", "-"),
)

Player = subprocess.Popen[str]


def figures() -> list[Figure]:
    """Measure messages a second against each peer."""
    name, flow = messages()
    return [
        row
        for peer, version, most, first_bar, aim in BOOKS
        if (most is None or RECORDED.is_dir()) and (python := interpreter(peer, version)) is not None
        for row in [beside(peer, python, name, flow[:most], first_bar, aim)]
    ]


def beside(peer: str, python: Path, name: str, flow: list[Message], first_bar: str, aim: str) -> Figure:
    """Measure one pair."""
    with ExitStack() as stack:
        ours = stack.enter_context(playing("qsuite", Path(sys.executable), flow))
        theirs = stack.enter_context(playing(peer, python, flow))
        return in_pairs(
            f"book engine, {len(flow):,} messages of {name}",
            unit="msg/s",
            measure=lambda: rate(ours),
            peer=peer,
            measure_peer=lambda: rate(theirs),
            first_bar=first_bar,
            aim=aim,
        )


def interpreter(peer: str, version: str, *beside: str) -> Path | None:
    """Return the Python that has the peer, and what is needed beside it; installed first; None if that fails."""
    home = PEERS / f"{peer}-{version}"
    python = home / "bin" / "python"
    done = home / ".installed"
    if not done.exists():
        venv.create(home, with_pip=True, clear=True)
        command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", f"{peer}=={version}"]
        command += beside
        if subprocess.run(command, check=False).returncode:
            print(f"{peer} {version} cannot be installed here: its row is left out", file=sys.stderr)
            return None
        done.touch()
    return python


@contextmanager
def playing(name: str, python: Path, flow: list[Message]) -> Iterator[Player]:
    """Run a player that has the flow in memory; it ends when its standard input does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flow.json"
        path.write_text(json.dumps(flow), encoding="utf-8")
        command = [python, PLAYER, name, path]
        # A peer's interpreter must not see our packages.
        environment = {**os.environ, "PYTHONPATH": str(ROOT) if name == "qsuite" else ""}
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "ready\n"
                rate(process)  # warm up
                yield process
            finally:
                process.stdin.close()
                process.wait(30)


def rate(process: Player) -> float:
    """Ask a player for messages a second."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("again\n")
    process.stdin.flush()
    return float(process.stdout.readline())
