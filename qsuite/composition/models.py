"""Trained models: one store, for the server and for the tasks that train."""

import time
from collections.abc import Callable
from uuid import UUID

from qsuite.repos.database import Database
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.repos.models import ModelsRepo
from qsuite.services.model_training import Jobs, ModelTraining
from qsuite.services.models import ModelStore


def make_models(database: Database, *, clock: Callable[[], int] = time.time_ns) -> ModelStore:
    """Make the store of models."""
    return ModelStore(models=ModelsRepo(database), files=ModelFilesRepo(database), clock=clock)


def make_training(
    *, database: Database, jobs: Jobs, new_id: Callable[[], UUID], clock: Callable[[], int] = time.time_ns
) -> ModelTraining:
    """Make what starts trainings."""
    return ModelTraining(files=ModelFilesRepo(database), jobs=jobs, new_id=new_id, clock=clock)
