"""Which trained model judges a symbol, and whether it may.

    ``model``: an id       that one
               a name      the newest training of that name, so that training again takes effect at the next bar
               not given   the newest usable one that learned from the symbol's bars of that interval

Invariant: no model is chosen that its own document does not call usable, nor for bars of another interval, nor for a
symbol that it was not tried on. That is asked when a strategy is made and again at each judging: what a name stands for
may be worse by now, and an older one that was better is not fallen back on.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from qsuite.domain.analytics.learning.market_model import ALGORITHM, MARKET_MODEL
from qsuite.domain.errors import Conflict, Invalid
from qsuite.domain.models import Model, ModelKind
from qsuite.services.models import ModelStore

FIELD = "parameters.model"


class ModelChoice:
    """Choose among trained models."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    async def require(
        self, algorithm: str, symbols: Sequence[str], parameters: Mapping[str, Any], interval: str
    ) -> None:
        """Refuse a strategy of which some symbol could not be judged; one of an algorithm without models passes.

        Invalid for a model that is not there, Conflict for one that may not be used, or not for this.
        """
        if algorithm != MARKET_MODEL.name:
            return
        for symbol, model in (await self.choose(symbols, parameters, interval)).items():
            if model is None:
                raise unknown(none_for(symbol, interval))

    async def choose(
        self, symbols: Sequence[str], parameters: Mapping[str, Any], interval: str
    ) -> dict[str, Model | None]:
        """Return each symbol's model; None for a symbol that has none, where no model was named. Raises as above."""
        named = parameters.get("model")
        if named is None:
            return {each: await self._store.newest_of_market(ALGORITHM, each, interval) for each in symbols}
        model = await self._named(named)
        require_usable(model, interval)
        for symbol in symbols:
            if symbol not in model.parameters["symbols"]:
                raise Conflict(f"the model was not tried on {symbol}", code="model.other_symbol")
        return dict.fromkeys(symbols, model)

    async def _named(self, named: str) -> Model:
        model = None
        with suppress(ValueError):
            model = await self._store.find(UUID(named))
        if model is None:
            model = await self._store.newest(ModelKind.MARKET, named)
        if model is None or model.kind is not ModelKind.MARKET:
            raise unknown(f"no model of the market is {named}")
        return model


def require_usable(model: Model, interval: str) -> None:
    """Refuse a model that may not judge bars of an interval. Conflict says why."""
    if not model.usable:
        raise Conflict(
            f"the model does not beat its baselines and is not used: {model.reason}", code="model.not_usable"
        )
    if model.parameters["interval"] != interval:
        raise Conflict(f"the model learned from {model.parameters['interval']} bars", code="model.other_interval")
    if model.algorithm != ALGORITHM:
        raise Conflict("the model was made in a way that is no longer known: train again", code="model.outdated")


def none_for(symbol: str, interval: str) -> str:
    """Say that nothing may judge a symbol."""
    return f"no usable model learned from {interval} bars of {symbol}"


def unknown(detail: str) -> Invalid:
    """Say that there is no such model."""
    return Invalid(detail, errors={FIELD: [detail]}, code="model.unknown")
