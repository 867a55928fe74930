"""Trained models of the market at work: what the model chosen for a symbol advises at its newest closed bar.

    symbols ──choice──> model ──its file──┐
            ──ClosedBars──> adjusted bars ┴─worker process─> verdicts

Invariant: a model is chosen anew at each judging, so none judges that may not be used by then.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from qsuite.domain.analytics.algorithms import HISTORY_BARS, Unscored
from qsuite.domain.analytics.learning.market_model import judge_by
from qsuite.domain.analytics.signals import BarSeries, Verdict, series_of
from qsuite.domain.market import Bar
from qsuite.domain.models import Model
from qsuite.services.closed_bars import ClosedBars
from qsuite.services.market_learner import opened
from qsuite.services.model_choice import ModelChoice, none_for
from qsuite.services.models import ModelStore
from qsuite.services.signals import Judged, Missed, Workers

READS_AT_ONCE = 2


class MarketModels:
    """Judge by trained models."""

    def __init__(self, *, store: ModelStore, choice: ModelChoice, bars: ClosedBars, workers: Workers) -> None:
        self._store = store
        self._choice = choice
        self._bars = bars
        self._workers = workers
        self._gate = asyncio.Semaphore(READS_AT_ONCE)

    async def judge(
        self, symbols: Sequence[str], parameters: Mapping[str, Any], interval: str
    ) -> tuple[list[Judged], list[Missed]]:
        """Return the advice for each symbol at its newest closed bar, and those for which there is none.

        Raises as ``ModelChoice.choose``.
        """
        chosen = await self._choice.choose(symbols, parameters, interval)
        found: dict[str, Judged | Missed] = {
            symbol: Missed(symbol, "model.unknown", none_for(symbol, interval)) for symbol in symbols
        }
        for model in {each.id: each for each in chosen.values() if each is not None}.values():
            own = [symbol for symbol in symbols if chosen[symbol] == model]
            found |= await self._judged(model, own, parameters, interval)
        told = [found[symbol] for symbol in symbols]
        return (
            [each for each in told if isinstance(each, Judged)],
            [each for each in told if isinstance(each, Missed)],
        )

    async def _judged(
        self, model: Model, symbols: Sequence[str], parameters: Mapping[str, Any], interval: str
    ) -> dict[str, Judged | Missed]:
        read = await asyncio.gather(*(self._read(symbol, interval) for symbol in symbols))
        verdicts: list[Verdict | Unscored] = await self._workers.run(
            judge_by_file,
            await self._store.file(model),
            model.sha256,
            str(model.parameters["scikit_learn"]),
            dict(parameters),
            [series for _, series in read],
        )
        found: dict[str, Judged | Missed] = {}
        for symbol, (bar, _), verdict in zip(symbols, read, verdicts, strict=True):
            if isinstance(verdict, Unscored):
                found[symbol] = Missed(symbol, verdict.code, verdict.detail)
            else:
                assert bar is not None, "a verdict is of a bar"
                found[symbol] = Judged(bar, verdict, model.id)
        return found

    async def _read(self, symbol: str, interval: str) -> tuple[Bar | None, BarSeries]:
        """Return the newest closed bar as it was, and all of them adjusted, as models learn from them."""
        async with self._gate:
            bars = await self._bars.newest(symbol, interval, HISTORY_BARS, adjusted=True)
            if not bars:
                return None, series_of(bars)
            last = bars[-1]
            raw = await self._bars.newest(symbol, interval, 1, before_ns=last.ts_ns + 1)
            # Removed in between, there is only the other.
            return raw[-1] if raw and raw[-1].ts_ns == last.ts_ns else last, series_of(bars)


def judge_by_file(
    data: bytes, sha256: str, trained_with: str, parameters: Mapping[str, Any], many: Sequence[BarSeries]
) -> list[Verdict | Unscored]:
    """Judge by a stored model; for a worker process, which keeps the last few of them opened."""
    return judge_by(opened(data, sha256, trained_with), parameters, many)
