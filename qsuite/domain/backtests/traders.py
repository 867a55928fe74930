"""Who decides: any object with ``on_bar``, and one that trades what an algorithm advises, as a live strategy does."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from qsuite.domain.analytics.algorithms import ALGORITHMS, with_defaults
from qsuite.domain.analytics.signals import BarSeries, Scored, verdict_at
from qsuite.domain.backtests.desk import Desk
from qsuite.domain.backtests.sizes import Advised
from qsuite.domain.market import Bar
from qsuite.domain.strategies import Strategy
from qsuite.domain.trading.order import TimeInForce


class Trader(Protocol):
    """Trade: ``on_bar`` is called whenever bars have closed, with a desk to look at and to ask for orders."""

    def on_bar(self, desk: Desk) -> None:
        """Decide."""


class AlgorithmTrader:
    """Trade what a strategy's algorithm advises, sized and bounded as in live trading: market orders for the day.

    The scores of the whole past are computed at once. That is only right because each follows from the bars up to its
    own: ``look_ahead`` finds an algorithm that does not keep to it.
    """

    def __init__(self, strategy: Strategy, past: Mapping[str, Sequence[Bar]]) -> None:
        self._strategy = strategy
        algorithm = ALGORITHMS[strategy.algorithm]
        own = with_defaults(algorithm, strategy.parameters)
        self._needs = algorithm.needs(own)
        self._scored: dict[str, Scored] = {
            symbol: algorithm.score(series_of(bars), own) for symbol, bars in past.items() if len(bars) >= self._needs
        }

    def on_bar(self, desk: Desk) -> None:
        """Ask for what is advised at the bars that just closed."""
        for symbol in desk.closed:
            seen = len(desk.bars(symbol))
            if seen < self._needs:
                continue
            verdict = verdict_at(self._scored[symbol], seen - 1)
            if verdict.actionable:
                desk.ask(symbol, Advised(self._strategy, verdict.advice), time_in_force=TimeInForce.DAY)


def series_of(bars: Sequence[Bar]) -> BarSeries:
    """Return closed bars as the arrays that algorithms take."""
    columns = ([getattr(bar, name) for bar in bars] for name in ("close", "volume", "high", "low"))
    return BarSeries(*(np.array(column, dtype=np.float64) for column in columns))
