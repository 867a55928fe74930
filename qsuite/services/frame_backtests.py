"""Backtests of a trader of one's own over pandas frames: research on the code that trades live, no database needed.

class Trend:
    def on_bar(self, desk):
        closes = desk.bars("IBM").closes
        if len(closes) > 50 and closes[-1] > closes[-50:].mean() and not desk.position("IBM"):
            desk.buy("IBM", fraction=1, stop_loss=0.95 * closes[-1])

played = backtest(Trend(), {"IBM": frame})          # open, high, low, close and volume by time
played.figures.sharpe_ratio, played.trades, played.equity
assert look_ahead(lambda bars: Trend(), {"IBM": frame}) is None
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from qsuite.domain.backtests import look_ahead as leaks
from qsuite.domain.backtests.feeds import of_bars
from qsuite.domain.backtests.figures import Figures
from qsuite.domain.backtests.outcome import outcome
from qsuite.domain.backtests.run import Result, run
from qsuite.domain.backtests.terms import FREE, Finish, Terms, on_their_grid, open_limits
from qsuite.domain.backtests.traders import Trader
from qsuite.domain.intervals import parse_interval
from qsuite.domain.market import Bar
from qsuite.domain.money import parse_decimal
from qsuite.domain.reference import Ticker
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.domain.trading.commission import commission_from
from qsuite.domain.trading.risk import Limits

Frames = Mapping[str, "pd.DataFrame"]
Bars = Mapping[str, Sequence[Bar]]
NOBODY = UUID(int=0)
PRICES = ("open", "high", "low", "close")
PLACES = 12
"""Digits after the point that a price of a frame may have; floats are rounded to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of it. ``equity`` at each bar's close, indexed by time; ``trades`` a row for each round trip."""

    figures: Figures
    equity: Any
    trades: Any
    result: Result


def backtest(
    trader: Trader,
    frames: Frames,
    *,
    interval: str | None = None,
    cash: str | int | Decimal = 100_000,
    commission: Mapping[str, Any] | None = None,
    slippage_bps: str | int | Decimal = 0,
    participation: str | Decimal | None = None,
    short_sale: bool = False,
    limits: Limits | None = None,
    tickers: Mapping[str, Ticker] | None = None,
    seed: int = 0,
    finish: str = Finish.LEAVE,
) -> Played:
    """Play frames of bars, by symbol, to a trader.

    A frame is indexed by the bars' starts (UTC where it names no zone). ``commission`` is a schedule as in the API,
    none for free; ``limits`` are the controls' figures, which are off where not given but for buying power and
    ``short_sale``. A ticker not given has lots of one and the grid of its prices. ValueError for frames that are not
    bars.
    """
    bars = bars_of(frames, interval)
    terms = Terms(
        cash=parse_decimal(cash),
        tickers=_tickers(bars, tickers or {}),
        commission=FREE if commission is None else commission_from(commission),
        slippage_bps=(parse_decimal(slippage_bps), parse_decimal(slippage_bps)),
        participation=None if participation is None else parse_decimal(participation),
        limits=limits or open_limits(short_sale=short_sale),
        seed=seed,
        finish=Finish(finish),
    )
    result = run(terms, of_bars(bars.values()), trader)
    reckoned = outcome(result, next(iter(bars.values()))[0].interval)
    rows = [asdict(trade) for trade in reckoned.trades.closed]
    return Played(figures=reckoned.figures, equity=_equity(result), trades=_trades(rows), result=result)


def look_ahead(
    make: Callable[[Bars], Trader], frames: Frames, *, interval: str | None = None, cuts: int = 20
) -> leaks.Leak | None:
    """Return where a trader decided by what had not happened yet, None where that was not found.

    ``make`` is called with bars of different futures; what it makes must know no others.
    """
    bars = bars_of(frames, interval)
    terms = Terms(cash=Decimal(10**9), tickers=_tickers(bars, {}), limits=open_limits(short_sale=True))
    return leaks.look_ahead(terms, bars, make, cuts=cuts)


def bars_of(frames: Frames, interval: str | None = None) -> dict[str, list[Bar]]:
    """Return frames as bars; their interval is the least time between two, where it is not given."""
    return {symbol: _bars(symbol, frame, interval) for symbol, frame in frames.items()}


def _bars(symbol: str, frame: Any, interval: str | None) -> list[Bar]:
    missing = [name for name in PRICES if name not in frame]
    if missing or not isinstance(frame.index, pd.DatetimeIndex) or not len(frame):
        raise ValueError(f"{symbol} is no frame of bars: indexed by time, with {', '.join(PRICES)}, and not empty")
    index = frame.index.tz_localize("UTC") if frame.index.tz is None else frame.index.tz_convert("UTC")
    starts = index.as_unit("ns").asi8
    name = parse_interval(interval).name if interval else _interval(symbol, starts)
    volumes = frame["volume"] if "volume" in frame else np.zeros(len(frame))
    columns = [[_exact(value) for value in column] for column in (*(frame[each] for each in PRICES), volumes)]
    return [Bar(symbol, name, int(ts_ns), *figures) for ts_ns, *figures in zip(starts, *columns, strict=True)]


def _interval(symbol: str, starts: Any) -> str:
    steps = np.diff(starts)
    if not len(steps) or steps.min() <= 0:
        raise ValueError(f"{symbol}: the times do not tell the interval; name it, and order the bars by time")
    return parse_interval(f"{steps.min() // NS_PER_S}s").name if steps.min() < DAY_NS else "1d"


def _exact(value: Any) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(repr(round(float(value), PLACES)))
    if not number.is_finite() or number < 0:
        raise ValueError(f"{value} is no price, nor a volume")
    return number


def _tickers(bars: Bars, given: Mapping[str, Ticker]) -> dict[str, Ticker]:
    made = {symbol: given.get(symbol) or Ticker(id=NOBODY, symbol=symbol, name=symbol) for symbol in bars}
    # A commission or fill rules of its own would come before what was asked for here.
    return {
        symbol: replace(on_their_grid(ticker, bars[symbol]), commission=None, fill=None)
        for symbol, ticker in made.items()
    }


def _equity(result: Result) -> Any:
    index = pd.to_datetime([mark.ts_ns for mark in result.marks], unit="ns", utc=True)
    return pd.Series([float(mark.equity) for mark in result.marks], index=index, name="equity")


def _trades(rows: Sequence[Mapping[str, Any]]) -> Any:
    frame = pd.DataFrame(rows)
    for name in ("entry_ts", "exit_ts"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], unit="ns", utc=True)
    return frame
