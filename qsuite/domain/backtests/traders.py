"""Who decides: any object with ``on_bar``, and one that trades what an algorithm advises, as a live strategy does."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from qsuite.domain.analytics.algorithms import ALGORITHMS, HISTORY_BARS, Algorithm, Unscored, advice_of, with_defaults
from qsuite.domain.analytics.signals import BarSeries, Scored, Verdict, series_of, verdict_at
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

    Given all the bars there will be, it scores them at once, for speed. That is right only because each score follows
    from the bars up to its own: ``look_ahead`` finds an algorithm that does not keep to it. Without them it judges the
    newest bars at each close, as live trading does. ``algorithm`` is the strategy's where that is no formula of its
    own but bound to something, as to a trained model.
    """

    def __init__(
        self,
        strategy: Strategy,
        bars: Mapping[str, Sequence[Bar]] | None = None,
        *,
        algorithm: Algorithm | None = None,
    ) -> None:
        self._strategy = strategy
        self._algorithm = algorithm or ALGORITHMS[strategy.algorithm]
        self._own = with_defaults(self._algorithm, strategy.parameters)
        self._needs = self._algorithm.needs(self._own)
        self._looks_back = max(HISTORY_BARS, self._algorithm.looks_back(self._own))
        self._scored = None if bars is None else {symbol: self._score(each) for symbol, each in bars.items()}

    def on_bar(self, desk: Desk) -> None:
        """Ask for what is advised at the bars that just closed."""
        for symbol in desk.closed:
            verdict = self._verdict(desk, symbol)
            if verdict is not None and verdict.actionable:
                desk.ask(symbol, Advised(self._strategy, verdict.advice), time_in_force=TimeInForce.DAY)

    def _score(self, bars: Sequence[Bar]) -> Scored | None:
        return self._algorithm.score(series_of(bars), self._own) if len(bars) >= self._needs else None

    def _verdict(self, desk: Desk, symbol: str) -> Verdict | None:
        bars = desk.bars(symbol)
        if len(bars) < self._needs:
            return None
        if self._scored is not None:
            scored = self._scored[symbol]
            return None if scored is None else verdict_at(scored, len(bars) - 1)
        begin = max(0, len(bars) - self._looks_back)
        newest = BarSeries(bars.closes[begin:], bars.volumes[begin:], bars.highs[begin:], bars.lows[begin:])
        judged = advice_of(self._algorithm, self._strategy.parameters, newest)
        return None if isinstance(judged, Unscored) else judged
