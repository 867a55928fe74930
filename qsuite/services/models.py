"""The store of trained models: each one's figures, and its file beside them.

    task ──file, then document──> stored ──newest usable──> whoever judges texts or bars

Invariants: a model that is listed has its whole file, since the document comes last and goes first; saving one again,
as a job does whose worker was killed, changes nothing.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from qsuite.domain.errors import AlreadyExists
from qsuite.domain.listing import Listing, Page
from qsuite.domain.models import Model, ModelKind, Scores
from qsuite.domain.times import format_rfc3339
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.repos.models import ModelsRepo
from qsuite.services.audit_trail import AuditTrail

TRAINING_ASKED = "model.training_asked"
"""The record's word for having a model trained, which others' texts or bars may be judged by."""


class ModelStore:
    """Keep models, in the server and in the tasks that train them."""

    def __init__(self, *, models: ModelsRepo, files: ModelFilesRepo, clock: Callable[[], int] = time.time_ns) -> None:
        self._models = models
        self._files = files
        self._clock = clock

    async def page(self, listing: Listing) -> Page[Model]:
        """Return one page of models."""
        return await self._models.page(listing)

    async def get(self, identity: UUID) -> Model:
        """Return a model. NotFound if there is none."""
        return await self._models.get(identity)

    async def find(self, identity: UUID) -> Model | None:
        """Return a model, or None."""
        return await self._models.find(identity)

    async def newest_usable(self, kind: ModelKind, name: str | None = None) -> Model | None:
        """Return the newest model of a kind, and of a name where one is given, that beats its baselines; or None."""
        return await self._models.newest_usable(kind, name)

    async def newest(self, kind: ModelKind, name: str) -> Model | None:
        """Return the newest model of a kind and name, whether it may be used or not; or None."""
        return await self._models.newest(kind, name)

    async def newest_of_market(self, algorithm: str, symbol: str, interval: str) -> Model | None:
        """Return the newest usable model of the market, made so, that learned from a symbol's bars; or None."""
        return await self._models.newest_of_market(algorithm, symbol, interval)

    async def save(self, model: Model, data: bytes) -> None:
        """Store a model whose ``sha256`` is that of ``data``, its file."""
        if await self._models.find(model.id) is not None:
            return
        written = await self._files.save(model.id, data, now=self._clock())
        assert written == model.sha256, "a model names the digest of its file"
        with suppress(AlreadyExists):
            await self._models.add(model)

    async def file(self, model: Model) -> bytes:
        """Return a model's file. Unavailable where it is not what was saved."""
        return await self._files.read(model.id, model.sha256)

    async def delete(self, identity: UUID, trail: AuditTrail) -> None:
        """Remove a model, which is recorded, and its file. NotFound if there is none."""
        model = await self._models.get(identity)
        await trail.record(
            "model.deleted",
            subject=identity,
            facts={"name": model.name, "kind": model.kind.value, "sha256": model.sha256},
            change=lambda session: self._models.remove(identity, session),
        )
        await self._files.remove(identity)


def show_model(model: Model) -> dict[str, Any]:
    """Return a model as clients see it."""
    trained_on = model.trained_on
    return {
        "id": str(model.id),
        "name": model.name,
        "kind": model.kind.value,
        "algorithm": model.algorithm,
        "created_by": str(model.created_by),
        "created_at": format_rfc3339(model.created_at),
        "trained_on": {"description": trained_on.description, "rows": trained_on.rows, "sha256": trained_on.sha256},
        "parameters": dict(model.parameters),
        "scores": show_scores(model.scores),
        "baselines": {name: show_scores(scores) for name, scores in model.baselines.items()},
        "usable": model.usable,
        "reason": model.reason,
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
    }


def show_scores(scores: Scores) -> Mapping[str, Mapping[str, float | None]]:
    """Return figures as clients see them."""
    return {name: {"value": each.value, "low": each.low, "high": each.high} for name, each in scores.items()}
