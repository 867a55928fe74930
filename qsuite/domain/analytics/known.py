"""Every algorithm that can be asked for by name: the formulas, and the one that a trained model is bound to."""

from collections.abc import Mapping

from qsuite.domain.analytics.algorithms import ALGORITHMS, Algorithm
from qsuite.domain.analytics.learning.market_model import MARKET_MODEL

KNOWN: Mapping[str, Algorithm] = {**ALGORITHMS, MARKET_MODEL.name: MARKET_MODEL}
