"""Run sweeps on what the database holds, in a worker process.

    tickers, bars ── panel ── sweep ── ranking ──> the best set once more, bar by bar on the engine

The last step is the proof: the best set's backtest is that of the event-driven run, with its trades, refusals and
curve, and it must come to what the sweep said. So whoever trades on a sweep has seen what the engine makes of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.figures import pace
from qsuite.domain.backtests.grid import Grid, expand
from qsuite.domain.backtests.outcome import outcome
from qsuite.domain.backtests.panel import candles_of, panel_of
from qsuite.domain.backtests.plan import Plan, plan_from
from qsuite.domain.backtests.record import Backtest, record_of
from qsuite.domain.backtests.run import run
from qsuite.domain.backtests.sweep import SweepRun, Swept
from qsuite.domain.backtests.swept_record import Sweep, columns_of, deflate, figures_of, ranked
from qsuite.domain.backtests.terms import Terms, on_their_grid
from qsuite.domain.backtests.traders import AlgorithmTrader
from qsuite.domain.market import Bar
from qsuite.domain.reference import Ticker
from qsuite.repos.database import Database
from qsuite.services.backtest_runs import Told, bars_of, tickers_of

Bars = Mapping[str, Sequence[Bar]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepAsked:
    """What to sweep. ``plan`` holds all but the parameters, ``parameters`` the lists they are chosen from.

    A large one is shared by up to so many ``workers``.
    """

    plan: Plan
    parameters: Mapping[str, Any]
    rank_by: str
    workers: int = 1

    def plain(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "plan": self.plan.plain(),
            "parameters": dict(self.parameters),
            "rank_by": self.rank_by,
            "workers": self.workers,
        }


def asked_from(plain: Mapping[str, Any]) -> SweepAsked:
    """Read what to sweep from its plain values."""
    return SweepAsked(
        plan=plan_from(plain["plan"]),
        parameters=plain["parameters"],
        rank_by=plain["rank_by"],
        workers=plain["workers"],
    )


class Ran(NamedTuple):
    """A sweep, and the backtest of its best set."""

    sweep: Sweep
    best: Backtest


class Past(NamedTuple):
    """What is swept, and what it was made of."""

    run: SweepRun
    grid: Grid
    tickers: Mapping[str, Ticker]
    bars: Bars

    @property
    def size(self) -> int:
        """Return how many sets there are times how many bars."""
        return len(self.grid.sets) * sum(map(len, self.bars.values()))


async def read_past(database: Database, asked: SweepAsked, told: Told) -> Past:
    """Read what a sweep asks for. Invalid where there is nothing to run, or too much."""
    plan, grid = asked.plan, expand(asked.plan.strategy, asked.parameters)
    tickers = await tickers_of(database, plan)
    bars = await bars_of(database, plan, told)
    tickers = {symbol: on_their_grid(ticker, bars[symbol]) for symbol, ticker in tickers.items()}
    panel = panel_of(plan.interval, {symbol: candles_of(own) for symbol, own in bars.items()})
    swept = SweepRun(algorithm=plan.strategy, panel=panel, terms=plan.terms(tickers))
    return Past(swept, grid, tickers, bars)


def run_of(
    asked: SweepAsked, past: Past, rows: Sequence[Swept], *, identity: UUID, owner: UUID, now: Callable[[], int]
) -> Ran:
    """Rank the sets, and play the best of them bar by bar."""
    ranking = ranked(rows, asked.rank_by)
    chosen = replace(asked.plan, parameters=past.grid.sets[ranking[0]])
    best = _played(chosen, chosen.terms(past.tickers), past.bars, identity=identity, owner=owner, now=now())
    found = _record(asked, chosen, past, rows, ranking, identity=identity, owner=owner, now=best.created_at)
    return Ran(found, best)


def _played(plan: Plan, terms: Terms, bars: Bars, *, identity: UUID, owner: UUID, now: int) -> Backtest:
    result = run(terms, of_bars(bars.values()), AlgorithmTrader(plan.as_strategy(), bars))
    return record_of(identity, owner, plan, result, outcome(result, plan.interval), now)


def _record(
    asked: SweepAsked,
    chosen: Plan,
    past: Past,
    rows: Sequence[Swept],
    ranking: tuple[int, ...],
    *,
    identity: UUID,
    owner: UUID,
    now: int,
) -> Sweep:
    ends_ns, grid = past.run.panel.ends_ns, past.grid
    bars, per_year = len(ends_ns), pace(ends_ns, chosen.interval)
    return Sweep(
        id=identity,
        owner=owner,
        plan=chosen,
        asked=asked.parameters,
        rank_by=asked.rank_by,
        bars=bars,
        bars_a_year=per_year,
        count=len(grid.sets),
        left_out=grid.left_out,
        sets=columns_of(grid),
        figures=figures_of(rows),
        ranking=ranking,
        deflated=deflate(rows, ranking[0], returns=bars - 1, per_year=per_year),
        created_at=now,
    )
