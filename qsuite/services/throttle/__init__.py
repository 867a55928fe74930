"""How often callers may ask: in memory for one process, through Redis for several, at half the rate in between."""

from qsuite.services.throttle.policy import Policy, Verdict
from qsuite.services.throttle.shared import SharedBuckets
from qsuite.services.throttle.throttle import Throttle

__all__ = ["Policy", "SharedBuckets", "Throttle", "Verdict"]
