"""Tasks for the tests of jobs; a ``note`` is a file in which a task leaves word that it ran."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsuite.domain.errors import Invalid
from qsuite.services.tasks.work import Task, Work

Values = Mapping[str, Any]


async def add(work: Work, given: Values) -> Values:
    return {"sum": given["left"] + given["right"]}


async def ping(work: Work, given: Values) -> Values:
    """Use the database, and say who asked."""
    await work.database.ping()
    return {"owner": str(work.owner), "job": str(work.job), "pid": os.getpid(), "nice": os.nice(0)}


async def refuse(work: Work, given: Values) -> Values:
    raise Invalid("no such thing", code="test.refused")


async def fail(work: Work, given: Values) -> Values:
    raise ZeroDivisionError("by zero")


async def huge(work: Work, given: Values) -> Values:
    return {"text": "x" * 300_000}


async def steps(work: Work, given: Values) -> Values:
    """Make progress, each step on a signal of the test: a file."""
    for step in range(1, given["steps"] + 1):
        while not os.path.exists(f"{given['note']}/{step}"):  # noqa: ASYNC240
            work.progress((step - 1) / given["steps"])
            await asyncio.sleep(0.02)
    return {"steps": given["steps"]}


async def wait(work: Work, given: Values) -> Values:
    """Wait until the note is gone, and say so in time."""
    note = _begin(work, given)
    while note.exists():
        work.progress(0.5)
        await asyncio.sleep(0.02)
    return {"waited": True}


async def spin(work: Work, given: Values) -> Values:
    """Compute, and hear nothing."""
    _begin(work, given)
    until = time.monotonic() + given.get("seconds", 600)
    count = 0
    while time.monotonic() < until:
        count += 1
    return {"count": count > 0}


async def multiply(work: Work, given: Values) -> Values:
    """Compute with numpy, from a seed."""
    matrix = np.random.default_rng(given["seed"]).standard_normal((given["size"], given["size"]))
    for turn in range(given.get("turns", 1)):
        matrix = matrix @ matrix.T / np.linalg.norm(matrix)
        work.progress(turn / given.get("turns", 1))
    return {"trace": float(np.trace(matrix))}


async def tally(work: Work, given: Values) -> Values:
    """Leave a mark of this attempt, work for a while, and leave another."""
    marks = work.database.collection("marks")
    await marks.insert_one({"job": work.job, "mark": "begun"})
    for step in range(10):
        work.progress(step / 10)
        await asyncio.sleep(given["seconds"] / 10)
    await marks.insert_one({"job": work.job, "mark": "ended"})
    return {"number": given["number"]}


async def die(work: Work, given: Values) -> Values:
    """Kill the process in the first ``times`` attempts; then wait until a file ``hold`` is gone, if one is named."""
    attempt = _nth(work, Path(given["note"]))
    if attempt <= given["times"]:
        os.kill(os.getpid(), signal.SIGKILL)
    while os.path.exists(given.get("hold", "")):  # noqa: ASYNC240
        work.progress(0.5)
        await asyncio.sleep(0.02)
    return {"attempt": attempt}


def _nth(work: Work, notes: Path) -> int:
    """Return which attempt at its job this is, by what the ones before left."""
    attempt = len(list(notes.glob(f"{work.job}.*"))) + 1
    (notes / f"{work.job}.{attempt}").touch()
    return attempt


def _begin(work: Work, given: Values) -> Path:
    note = Path(given["note"])
    note.write_text(str(os.getpid()))
    return note


TASKS: Mapping[str, Task] = {
    task.__name__: task for task in (add, ping, refuse, fail, huge, steps, wait, spin, multiply, tally, die)
}
