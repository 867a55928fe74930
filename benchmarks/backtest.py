"""One backtest bar by bar, beside backtesting.py: the same crossover, bars, fees and fills; statistics included.

QSuite's run is that of paper trading: every order passes the controls, every fill the double entry, in exact decimals.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np

from benchmarks.backtest_market import CASH, bars_of, days_of, terms_for, write
from benchmarks.backtest_peers import UNITS
from benchmarks.backtest_playing import BACKTESTING, playing
from benchmarks.book import interpreter
from benchmarks.harness import Figure, in_pairs
from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.outcome import outcome
from qsuite.domain.backtests.panel import panel_of
from qsuite.domain.backtests.run import run
from qsuite.domain.backtests.terms import Terms
from qsuite.domain.backtests.traders import AlgorithmTrader
from qsuite.domain.market import Bar
from qsuite.domain.strategies import Strategy

FAST, SLOW = 10, 30


def figures() -> list[Figure]:
    """Measure one run."""
    return list(beside_backtesting())


def beside_backtesting() -> Iterator[Figure]:
    """Measure twenty years of days."""
    python = interpreter("backtesting", *BACKTESTING)
    if python is None:
        return
    candles = days_of(20261122)
    terms, bars = terms_for(panel_of("1d", {"S0": candles})), bars_of("S0", candles)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), candles, [(FAST, SLOW)])
        with playing(python, "backtesting", Path(folder)) as ask:
            (theirs,) = json.loads((Path(folder) / "backtesting.json").read_text())
            ours = played(terms, bars)
            assert ours is not None
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
            yield in_pairs(
                "backtest of a crossover, 20 years of days",
                unit="s",
                measure=lambda: timed(terms, bars),
                peer="backtesting.py",
                measure_peer=ask,
                first_bar="-",
                aim="-",
            )


def played(terms: Terms, bars: list[Bar]) -> float | None:
    """Run once; return the total return."""
    strategy = Strategy(
        id=UUID(int=1),
        name="bench",
        account=UUID(int=2),
        created_by=UUID(int=3),
        risk_limit=CASH,
        algorithm="sma_cross",
        symbols=("S0",),
        parameters={"fast": FAST, "slow": SLOW, "quantity": Decimal(UNITS)},
    )
    past = {"S0": bars}
    result = run(terms, of_bars(past.values()), AlgorithmTrader(strategy, past))
    return outcome(result, "1d").figures.total_return


def timed(terms: Terms, bars: list[Bar]) -> float:
    """Return the seconds of one run."""
    began = time.perf_counter()
    played(terms, bars)
    return time.perf_counter() - began
