"""A bar for work that is counted in bytes, on standard error and only where that is a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """How far the stage under way is."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task("", total=None)

    def stage(self, what: str) -> None:
        """Name the stage that begins; how much it has to do is not known yet."""
        self._progress.reset(self._task, description=what, total=None)

    def show(self, done: int, total: int) -> None:
        """Show how many bytes of how many are done in this stage; from any thread."""
        self._progress.update(self._task, completed=done, total=total)


@contextmanager
def byte_bar(what: str) -> Iterator[Bar]:
    """Draw a bar for as long as the block takes."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = Bar(progress)
        bar.stage(what)
        yield bar


def megabytes(count: int) -> str:
    """Say a number of bytes for a person."""
    return f"{count / 1e6:,.1f} MB"
