"""How often callers may ask: counted in this process, or by all processes of a database together through Redis."""

from qsuite.repos.database import Database
from qsuite.services.figures import show_throttle
from qsuite.services.metrics import Metrics
from qsuite.services.throttle import SharedBuckets, Throttle
from qsuite.settings import Settings


def make_throttle(*, settings: Settings, database: Database, metrics: Metrics) -> Throttle:
    """Make the limits, and let ``metrics`` show what they do."""
    shared = None
    if settings.redis_url is not None:
        shared = SharedBuckets(settings.redis_url, f"qsuite:{database.name}:throttle")
    throttle = Throttle(settings.throttle, shared=shared)
    show_throttle(metrics, throttle)
    return throttle
