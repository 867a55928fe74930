"""Peers of backtests, asked for the seconds of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.peer_process import asking

PLAYER = Path(__file__).with_name("backtest_peers.py")
VECTORBT = ("1.2.0",)
BACKTESTING = ("0.6.6",)


@contextmanager
def playing(python: Path, name: str, folder: Path) -> Iterator[Callable[[], float]]:
    """Run a peer on what a folder holds; yield what asks it for one run's seconds."""
    with asking(python, PLAYER, name, folder, warnings=False) as ask:
        yield partial(ask, "run")
