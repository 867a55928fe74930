"""Run backtests on what the database holds: a worker process does for a job what the command line does for a person.

    tickers, bars or ticks ── periods ── run ── figures

Reads by reference: what is played never passes through the server.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, closing
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from qsuite.domain.analytics.algorithms import Algorithm
from qsuite.domain.backtests.feeds import Period, of_bars, of_ticks
from qsuite.domain.backtests.outcome import Outcome, outcome
from qsuite.domain.backtests.plan import Plan, Source
from qsuite.domain.backtests.run import Result, run
from qsuite.domain.backtests.terms import on_their_grid
from qsuite.domain.backtests.traders import AlgorithmTrader
from qsuite.domain.errors import Invalid
from qsuite.domain.market import Bar, Snapshot, Tick
from qsuite.domain.reference import Ticker
from qsuite.repos.database import Database
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.repos.models import ModelsRepo
from qsuite.repos.tickers import TickersRepo
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services.bound_algorithms import algorithm_for
from qsuite.services.models import ModelStore
from qsuite.services.price_history import BarsAsked, PriceHistory
from qsuite.services.tick_slices import in_slices

MOST_BARS = 500_000
MOST_TICKS = 20_000_000
TOLD_EVERY = 64
"""Periods after which is told how far it is."""

Told = Callable[[float], None]
"""Hear how much is done, from 0 to 1; may raise to end it."""


class Ran(NamedTuple):
    """What came of a plan."""

    result: Result
    outcome: Outcome


async def run_plan(database: Database, plan: Plan, told: Told) -> Ran:
    """Read what a plan asks for, and run it, in a thread. Invalid where there is nothing to play, or too much.

    Invalid and Conflict for a trained model that is not there, may not be used, or knows the bars.
    """
    tickers = await tickers_of(database, plan)
    store = ModelStore(models=ModelsRepo(database), files=ModelFilesRepo(database))
    algorithm = await algorithm_for(store, plan.strategy, plan.parameters, plan.symbols, plan.interval, plan.start)
    if plan.source is Source.TICKS:
        ticks = TicksRepo(database)
        end_ns = _end_of(plan, await ticks.newest(plan.symbols))
        return await database.in_reader(_run_ticks, ticks, plan, algorithm, tickers, end_ns, told)
    bars = await bars_of(database, plan, told)
    return await asyncio.to_thread(_run_bars, plan, algorithm, tickers, bars, told)


async def tickers_of(database: Database, plan: Plan) -> dict[str, Ticker]:
    """Return the plan's tickers, trading as the plan says. Invalid names symbols that there are none of.

    So it does symbols of several currencies, which no account can trade together.
    """
    found = {ticker.symbol: ticker for ticker in await TickersRepo(database).of_symbols(plan.symbols)}
    unknown = [symbol for symbol in plan.symbols if symbol not in found]
    if unknown:
        raise Invalid("some symbols are unknown", errors={"symbols": [f"no ticker {symbol}" for symbol in unknown]})
    currencies = sorted({ticker.currency for ticker in found.values()})
    if len(currencies) > 1:
        message = f"they trade in several currencies: {', '.join(currencies)}"
        raise Invalid("one account cannot trade all symbols", errors={"symbols": [message]})
    return {
        symbol: replace(found[symbol], commission=plan.commissions.get(symbol), fill=None, execution_mode="paper",
                        is_active=True, restricted=False)
        for symbol in plan.symbols
    }  # fmt: skip


async def bars_of(database: Database, plan: Plan, told: Told) -> dict[str, list[Bar]]:
    """Read all closed bars of a plan, oldest first. Invalid for a symbol without any, or for more than can be held."""
    history = PriceHistory(database=database, ticks=TicksRepo(database), market_data=MarketDataRepo(database))
    bars: dict[str, list[Bar]] = {}
    count = 0
    for symbol in plan.symbols:
        found = bars[symbol] = []
        asked = BarsAsked(symbol, plan.interval, plan.start, plan.end, adjusted=plan.adjusted)
        async with aclosing(history.bar_batches(asked)) as batches:
            async for batch in batches:
                told(0.0)
                found += [bar for bar in batch if bar.final]
                count += len(batch)
                if count > MOST_BARS:
                    raise Invalid(f"more than {MOST_BARS:,} bars: ask for fewer", code="backtest.too_many_bars")
        if not found:
            raise Invalid(f"there are no bars of {symbol} then", code="backtest.no_prices")
    return bars


def _run_bars(
    plan: Plan, algorithm: Algorithm, tickers: Mapping[str, Ticker], bars: Mapping[str, Sequence[Bar]], told: Told
) -> Ran:
    terms = plan.terms({symbol: on_their_grid(ticker, bars[symbol]) for symbol, ticker in tickers.items()})
    trader = AlgorithmTrader(plan.as_strategy(), bars, algorithm=algorithm)
    begin, end = min(each[0].ts_ns for each in bars.values()), max(each[-1].ts_ns for each in bars.values())
    try:
        result = run(terms, _telling(of_bars(bars.values()), begin, end, told), trader)
    except ValueError as error:  # bars of two symbols whose days are cut differently
        raise Invalid(str(error), code="backtest.bars_overlap") from error
    return Ran(result, outcome(result, plan.interval))


def _end_of(plan: Plan, newest: Mapping[str, Snapshot]) -> int:
    """Return when the ticks of a plan end."""
    last = max((tick.ts_ns for market in newest.values() for tick in market if tick), default=0)
    return last if plan.end is None else min(last, plan.end)


def _run_ticks(
    ticks: TicksRepo, plan: Plan, algorithm: Algorithm, tickers: Mapping[str, Ticker], end_ns: int, told: Told
) -> Ran:
    with ExitStack() as opened:
        cursors = [
            opened.enter_context(closing(in_slices(ticks, TickQuery(symbol, plan.start, plan.end))))
            for symbol in plan.symbols
        ]
        merged = heapq.merge(*cursors, key=lambda tick: (tick.ts_ns, tick.seq))
        periods = of_ticks(_bounded(merged), plan.interval)
        first = next(periods, None)
        if first is None:
            raise Invalid("there are no ticks then", code="backtest.no_prices")
        played = _telling(chain([first], periods), first.start_ns, end_ns, told)
        result = run(plan.terms(tickers), played, AlgorithmTrader(plan.as_strategy(), algorithm=algorithm))
    return Ran(result, outcome(result, plan.interval))


def _bounded(ticks: Iterable[Tick]) -> Iterator[Tick]:
    for number, tick in enumerate(ticks):
        if number >= MOST_TICKS:
            raise Invalid(f"more than {MOST_TICKS:,} ticks: ask for fewer", code="backtest.too_many_ticks")
        yield tick


def _telling(periods: Iterable[Period], begin_ns: int, end_ns: int, told: Told) -> Iterator[Period]:
    length = max(1, end_ns - begin_ns)
    for number, period in enumerate(periods):
        if number % TOLD_EVERY == 0:
            told(min(1.0, (period.start_ns - begin_ns) / length))
        yield period
