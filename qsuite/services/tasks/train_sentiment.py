"""The task that trains a classifier of texts: rows stored before it, a model in the store after it.

    parameters: {file: id of the stored rows, sha256: theirs, name, description, seed}

What it stores is the model, under the job's id; the rows go when that is done. So a second run finds the model, or else
the rows, and makes the same one.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from qsuite.domain.models import Model, ModelKind, TrainedOn
from qsuite.domain.times import floor_ms
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.repos.models import ModelsRepo
from qsuite.services.models import ModelStore, show_scores
from qsuite.services.sentiment.labelled import unpack
from qsuite.services.sentiment.text_models import write_model
from qsuite.services.sentiment.training import ALGORITHM, Trained, train
from qsuite.services.tasks.work import Work

KIND = "train_sentiment"


async def train_sentiment(work: Work, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Train, measure and store; return the model's id and how it does."""
    files = ModelFilesRepo(work.database)
    store = ModelStore(models=ModelsRepo(work.database), files=files)
    model = await store.find(work.job)
    if model is None:
        rows = unpack(await files.read(UUID(parameters["file"]), parameters["sha256"]))
        trained = train(rows, parameters["seed"], work.progress)
        data = write_model(trained.model)
        model = model_of(trained, data, work, parameters)
        await store.save(model, data)
    await files.remove(UUID(parameters["file"]))
    return {
        "model": str(model.id),
        "usable": model.usable,
        "reason": model.reason,
        "scores": show_scores(model.scores),
        "baselines": {name: show_scores(scores) for name, scores in model.baselines.items()},
    }


def model_of(trained: Trained, data: bytes, work: Work, parameters: Mapping[str, Any]) -> Model:
    """Return the model as it is kept; ``data`` is its file."""
    return Model(
        id=work.job,
        name=parameters["name"],
        kind=ModelKind.SENTIMENT,
        algorithm=ALGORITHM,
        created_by=work.owner,
        created_at=floor_ms(time.time_ns()),
        trained_on=TrainedOn(description=parameters["description"], rows=trained.rows, sha256=parameters["sha256"]),
        parameters=trained.parameters,
        scores=trained.scores,
        baselines=trained.baselines,
        usable=trained.usable,
        reason=trained.reason,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )
