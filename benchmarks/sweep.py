"""Sweeps: a thousand crossovers beside vectorbt, five hundred symbols at once, and how more workers help.

The same bars, signals, units, fills at the next open and fees; total return, Sharpe ratio and maximum drawdown of
each set, and what else QSuite reckons. Before anything is timed the total returns of all sets must agree. The peer is
warm: compiled, its bars loaded; so are the workers.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.backtest_market import days_of, panel, terms_for, write
from benchmarks.backtest_peers import UNITS
from benchmarks.backtest_playing import VECTORBT, playing
from benchmarks.book import interpreter
from benchmarks.harness import Figure, alone, in_pairs
from qsuite.domain.backtests.panel import panel_of
from qsuite.domain.backtests.sweep import SweepRun, Swept, sweep
from qsuite.services.executors.processes import ProcessExecutor

SETS = [(fast, slow) for fast in range(5, 30) for slow in range(32, 112, 2)]
MANY_SYMBOLS, SETS_OF_MANY = 500, 20
WORKERS = (1, 2)
TIMES_OF_WORKERS = 8
"""How often the thousand sets are in what workers share."""


def figures() -> list[Figure]:
    """Measure all three."""
    return [*beside_vectorbt(), of_many_symbols(), *with_workers()]


def beside_vectorbt() -> Iterator[Figure]:
    """Measure a thousand sets on twenty years of days."""
    python = interpreter("vectorbt", *VECTORBT)
    if python is None:
        return
    candles = days_of(20261122)
    run, sets = a_run(), parameters(SETS)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), candles, SETS)
        with playing(python, "vectorbt", Path(folder)) as ask:
            theirs = json.loads((Path(folder) / "vectorbt.json").read_text())
            agree([row.total_return for row in sweep(run, sets)], theirs)
            yield in_pairs(
                f"sweep of {len(SETS):,} crossovers, 20 years of days",
                unit="s",
                measure=lambda: timed(run, sets),
                peer="vectorbt",
                measure_peer=ask,
                first_bar="<= 2",
                aim="<= 0.7",
            )


def of_many_symbols() -> Figure:
    """Measure portfolios of five hundred symbols."""
    many = panel(MANY_SYMBOLS)
    run = SweepRun(algorithm="sma_cross", panel=many, terms=terms_for(many))
    chosen = SETS[:: len(SETS) // SETS_OF_MANY]
    sets = [{"fast": fast, "slow": slow, "equity_fraction": Decimal("0.01")} for fast, slow in chosen]
    return alone(
        f"sweep of {len(sets)} sets, {MANY_SYMBOLS} symbols, 20 years of days",
        unit="s",
        measure=lambda: timed(run, sets),
        first_bar="-",
        aim="-",
    )


def with_workers() -> Iterator[Figure]:
    """Measure the same sets shared by workers beside one worker alone: with two and a ratio of 0.5 both were used."""
    sets = parameters(SETS) * TIMES_OF_WORKERS
    with ExitStack() as stack:
        pools = {}
        for count in WORKERS:
            pools[count] = ProcessExecutor(count)
            stack.callback(pools[count].shutdown)
        alone_rows, shared_rows = (in_parts(pools[count], count, sets[: len(SETS)]) for count in WORKERS)
        assert alone_rows == shared_rows, "however many workers there are, the answer is one"
        one, two = WORKERS
        yield in_pairs(
            f"sweep of {len(sets):,} crossovers by {two} workers",
            unit="s",
            measure=lambda: seconds(pools[two], two, sets),
            peer="one worker",
            measure_peer=lambda: seconds(pools[one], one, sets),
            first_bar="-",
            aim="-",
        )


def a_run() -> SweepRun:
    """Return what is swept: one symbol, twenty years of days."""
    one = panel_of("1d", {"S0": days_of(20261122)})
    return SweepRun(algorithm="sma_cross", panel=one, terms=terms_for(one))


def parameters(sets: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Return sets as strategies take them."""
    return [{"fast": fast, "slow": slow, "quantity": Decimal(UNITS)} for fast, slow in sets]


def agree(ours: list[float | None], theirs: list[float]) -> None:
    """Compare total returns, set by set."""
    np.testing.assert_allclose(np.array(ours, dtype=np.float64), theirs, rtol=1e-9, atol=1e-9)


def timed(run: SweepRun, sets: list[dict[str, Any]]) -> float:
    """Return the seconds of one sweep."""
    began = time.perf_counter()
    sweep(run, sets)
    return time.perf_counter() - began


def part(sets: list[dict[str, Any]]) -> list[Swept]:
    """Sweep a part, in a worker."""
    return sweep(a_run(), sets)


def in_parts(pool: ProcessExecutor, count: int, sets: list[dict[str, Any]]) -> list[Swept]:
    """Sweep by so many workers; the rows in the sets' order."""
    size = -(-len(sets) // count)
    parts = [pool.submit(part, sets[start : start + size]) for start in range(0, len(sets), size)]
    return [row for done in parts for row in done.result()]


def seconds(pool: ProcessExecutor, count: int, sets: list[dict[str, Any]]) -> float:
    """Return the seconds of one sweep by workers."""
    began = time.perf_counter()
    in_parts(pool, count, sets)
    return time.perf_counter() - began
