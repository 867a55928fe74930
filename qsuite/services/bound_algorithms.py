"""The algorithm that a backtest runs: a formula as it is, or one bound to the trained model that was asked for.

Invariant: a model is never tried on bars that it learned from or was judged by, whatever is asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from qsuite.domain.analytics.algorithms import ALGORITHMS, Algorithm
from qsuite.domain.analytics.learning.market_model import MARKET_MODEL, bound
from qsuite.domain.errors import Invalid
from qsuite.domain.times import parse_rfc3339
from qsuite.services.market_learner import opened
from qsuite.services.model_choice import ModelChoice
from qsuite.services.models import ModelStore


async def algorithm_for(
    store: ModelStore,
    name: str,
    parameters: Mapping[str, Any],
    symbols: Sequence[str],
    interval: str,
    start_ns: int | None,
) -> Algorithm:
    """Return the algorithm to run over bars that start at ``start_ns`` or later.

    Invalid where a model is not named or not there, and where it knows bars from ``start_ns`` on; Conflict for one that
    may not be used.
    """
    if name != MARKET_MODEL.name:
        return ALGORITHMS[name]
    if "model" not in parameters:
        raise Invalid("some fields are wrong", errors={"parameters.model": ["name the model to try"]})
    chosen = await ModelChoice(store).choose(symbols, parameters, interval)
    model = next(iter(chosen.values()))
    assert model is not None, "a named model is there or refused"
    knows_to = str(model.parameters["trained_to"])
    if start_ns is None or start_ns < parse_rfc3339(knows_to):
        raise Invalid(f"the model knows the bars up to {knows_to}: begin there or later", code="model.knows_the_bars")
    data = await store.file(model)
    return bound(opened(data, model.sha256, str(model.parameters["scikit_learn"])))
