"""A Dask grid of processes of its own, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.stack.grid import Grid


@contextmanager
def running_grid(folder: Path, workers: int = 2) -> Iterator[Grid]:
    """Run a grid, whose workers join when they can; whatever the test does, it has ended afterwards."""
    grid = Grid(folder)
    try:
        grid.launch(workers)
        yield grid
    finally:
        grid.stop()
