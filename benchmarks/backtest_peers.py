"""Backtests in another library: run as a script by the interpreter that has it.

``python backtest_peers.py NAME FOLDER``: reads ``bars.json`` and ``sets.json`` there, runs once to warm up and writes
the total returns to ``NAME.json``, prints "ready", then for each line read runs again and prints the seconds it took.
Only the standard library and the named library's packages are imported, since a peer's interpreter has nothing else.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

CASH, FEE, UNITS = 100_000.0, 0.001, 50


class Vectorbt:
    """All sets as columns: long only, at the next open, so many units, three figures a set."""

    def __init__(self, bars: dict[str, list[Any]], sets: list[tuple[int, int]]) -> None:
        pd: Any = importlib.import_module("pandas")
        self._vbt: Any = importlib.import_module("vectorbt")
        days = pd.DatetimeIndex(pd.to_datetime(bars["starts_ns"], unit="ns"))
        self._opens, self._closes = (pd.Series(bars[name], index=days) for name in ("opens", "closes"))
        self._fast, self._slow = [fast for fast, _ in sets], [slow for _, slow in sets]

    def run(self) -> list[float]:
        """Return the total return of each set."""
        vbt = self._vbt
        fast = vbt.MA.run(self._closes, self._fast, short_name="fast")
        slow = vbt.MA.run(self._closes, self._slow, short_name="slow")
        entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
        portfolio = vbt.Portfolio.from_signals(
            self._closes,
            entries.vbt.signals.fshift(1),
            exits.vbt.signals.fshift(1),
            price=self._opens,
            direction="longonly",
            size=UNITS,
            fees=FEE,
            init_cash=CASH,
            freq="1D",
        )
        returns, sharpes, drawdowns = portfolio.total_return(), portfolio.sharpe_ratio(), portfolio.max_drawdown()
        assert len(returns) == len(sharpes) == len(drawdowns)
        return [float(each) for each in returns]


class Backtesting:
    """One set, bar by bar: so many units bought and closed again, and its statistics."""

    def __init__(self, bars: dict[str, list[Any]], sets: list[tuple[int, int]]) -> None:
        pd: Any = importlib.import_module("pandas")
        library: Any = importlib.import_module("backtesting")
        crossover: Any = importlib.import_module("backtesting.lib").crossover
        ((quick, late),) = sets

        class Crossing(library.Strategy):  # type: ignore[misc, name-defined]
            def init(self) -> None:
                closes = self.data.Close.s
                self.fast = self.I(lambda: closes.rolling(quick).mean())
                self.slow = self.I(lambda: closes.rolling(late).mean())

            def next(self) -> None:
                if crossover(self.fast, self.slow):
                    self.buy(size=UNITS)
                elif crossover(self.slow, self.fast):
                    self.position.close()

        names = {"Open": "opens", "High": "highs", "Low": "lows", "Close": "closes", "Volume": "volumes"}
        days = pd.DatetimeIndex(pd.to_datetime(bars["starts_ns"], unit="ns"))
        frame = pd.DataFrame({name: bars[own] for name, own in names.items()}, index=days)
        self._play = library.Backtest(frame, Crossing, cash=CASH, commission=FEE)

    def run(self) -> list[float]:
        """Return the total return."""
        return [float(self._play.run()["Return [%]"]) / 100]


LIBRARIES: dict[str, Any] = {"vectorbt": Vectorbt, "backtesting": Backtesting}


def main() -> None:
    """Answer each line on standard input with the seconds of one run."""
    _, name, given = sys.argv
    folder = Path(given)
    bars, sets = (json.loads((folder / each).read_text()) for each in ("bars.json", "sets.json"))
    library = LIBRARIES[name](bars, [tuple(each) for each in sets])
    (folder / f"{name}.json").write_text(json.dumps(library.run()))
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        library.run()
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
