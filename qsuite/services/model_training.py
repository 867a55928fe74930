"""Asking for a model to be trained: what it is to learn from is stored first, and the job refers to it.

rows ──checked──> model_files, for a week ──their id and digest──> job ──> tasks.train_sentiment
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from qsuite.domain.jobs import Job
from qsuite.domain.roles import Caller
from qsuite.domain.times import DAY_NS
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.services.models import TRAINING_ASKED
from qsuite.services.sentiment.labelled import Labelled, pack, read_rows
from qsuite.services.tasks.train_sentiment import KIND

KEPT_NS = 7 * DAY_NS
"""Rows that no job has taken by then go by themselves."""
SEED = 1


class Jobs(Protocol):
    """Where jobs are handed in."""

    async def submit(
        self, caller: Caller, kind: str, parameters: Mapping[str, Any], *, priority: int = 0, recorded_as: str = ""
    ) -> Job:
        """Queue a job."""


class ModelTraining:
    """Start trainings."""

    def __init__(
        self, *, files: ModelFilesRepo, jobs: Jobs, new_id: Callable[[], UUID], clock: Callable[[], int]
    ) -> None:
        self._files = files
        self._jobs = jobs
        self._new_id = new_id
        self._clock = clock

    async def train_sentiment(self, caller: Caller, name: str, description: str, raw: Sequence[Any]) -> Job:
        """Queue the training of a classifier on rows as they were sent, ``{"text": …, "label": …}``.

        Invalid names the first row that is wrong, TooMany when the queue is full.
        """
        rows = await asyncio.to_thread(read_rows, raw)
        parameters = await store_rows(self._files, name, description, rows, new_id=self._new_id, now=self._clock())
        try:
            return await self._jobs.submit(caller, KIND, parameters, recorded_as=TRAINING_ASKED)
        except BaseException:
            await self._files.remove(UUID(parameters["file"]))
            raise


async def store_rows(
    files: ModelFilesRepo,
    name: str,
    description: str,
    rows: Sequence[Labelled],
    *,
    new_id: Callable[[], UUID],
    now: int,
) -> dict[str, Any]:
    """Store rows; return the parameters of the task that learns from them."""
    data = await asyncio.to_thread(pack, rows)
    file = new_id()
    digest = await files.save(file, data, now=now, expires_at=now + KEPT_NS)
    return {"file": str(file), "sha256": digest, "name": name, "description": description, "seed": SEED}
