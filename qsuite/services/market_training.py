"""Models of the market asked for: what is wrong with a training is said at once, and the rest is a job."""

from collections.abc import Mapping
from typing import Any, Protocol

from qsuite.domain.analytics.learning.training import read_training
from qsuite.domain.jobs import Job
from qsuite.domain.roles import Caller
from qsuite.services.models import TRAINING_ASKED
from qsuite.services.reference import ReferenceService
from qsuite.services.strategies import require_tickers
from qsuite.services.tasks.train_market_model import KIND


class Jobs(Protocol):
    """What takes jobs in."""

    async def submit(
        self, caller: Caller, kind: str, parameters: Mapping[str, Any], *, priority: int = 0, recorded_as: str = ""
    ) -> Job:
        """Queue one."""


class MarketModelTraining:
    """Have models of the market trained."""

    def __init__(self, *, jobs: Jobs, reference: ReferenceService) -> None:
        self._jobs = jobs
        self._reference = reference

    async def train(self, caller: Caller, values: Mapping[str, Any]) -> Job:
        """Queue the training of a model of the market. Invalid names what is wrong, TooMany when the queue is full."""
        asked = read_training(values)
        require_tickers(self._reference, asked.symbols)
        return await self._jobs.submit(caller, KIND, asked.as_parameters(), recorded_as=TRAINING_ASKED)
