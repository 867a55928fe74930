"""What tests put in the place of the real thing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from uuid_utils.compat import uuid7

from qsuite.repos.engine_store import EngineStore

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What tests put in the place of the real thing."""

    clock: Clock = time.time_ns
    new_id: Callable[[], UUID] = uuid7
    engine_store: EngineStore | None = None
    catalogue: str = "qsuite.services.tasks.catalogue"
    """The module whose ``TASKS`` jobs are made of."""
    watched: bool = True
    """Watch the event loop for blocks."""
