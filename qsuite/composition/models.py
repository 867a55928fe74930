"""Trained models: one store, for the server and for the tasks that train."""

import time
from collections.abc import Callable

from qsuite.repos.database import Database
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.repos.models import ModelsRepo
from qsuite.services.models import ModelStore


def make_models(database: Database, *, clock: Callable[[], int] = time.time_ns) -> ModelStore:
    """Make the store of models."""
    return ModelStore(models=ModelsRepo(database), files=ModelFilesRepo(database), clock=clock)
