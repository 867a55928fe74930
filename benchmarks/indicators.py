"""Indicators beside plain TA-Lib in the same process: a million bars, as one series and as five hundred symbols.

The panel is what ``GET indicators/`` and signals compute with, of the thirteen families that TA-Lib has. Its side is
the calls a user of it would make for the same numbers, the results thrown away. Of all eighteen it has only a part:
what others are made of (MAX and MIN of a Donchian channel, EMA and ATR of a Keltner one), nothing of the day's VWAP;
so that row has no bar. Bar by bar there is no peer: a push of all families, in microseconds, with the same values.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.harness import Figure, alone, in_pairs
from qsuite.domain.analytics.catalog import FAMILIES, panel
from qsuite.domain.analytics.live import LivePanel
from qsuite.domain.analytics.series import Candles, Series, each_bar

BARS = 1_000_000
SYMBOLS = 500
PUSHED = 3_000
ROUNDS = 7
MINUTE_NS = 60 * 10**9
OF_BOTH = ("sma", "ema", "wma", "rsi", "macd", "roc", "stoch", "cci", "adx", "bbands", "atr", "obv", "mfi")


def figures() -> list[Figure]:
    """Measure both shapes of a million bars, and a push."""
    one, many = [made(BARS, 1)], [made(BARS // SYMBOLS, seed) for seed in range(SYMBOLS)]
    shapes = (("1 series of 1,000,000 bars", one), (f"{SYMBOLS} symbols of {BARS // SYMBOLS:,} bars", many))
    found = []
    for name, bars in shapes:
        panel_of_both = beside_talib(f"indicator panel, {name}", bars, OF_BOTH, OF_TALIB)
        every = beside_talib(f"all {len(FAMILIES)} families, {name}", bars, tuple(FAMILIES), OF_TALIB + MADE_OF)
        found += [panel_of_both, replace(every, first_bar="-", aim="-")]
    return [*found, alone("live panel, a bar", unit="us", measure=push_us, first_bar="-", aim="-")]


def beside_talib(name: str, many: list[Candles], names: Sequence[str], calls: Sequence["Call"]) -> Figure:
    """Measure one panel beside TA-Lib's calls, both for every symbol."""

    def ours() -> float:
        start = time.perf_counter()
        for bars in many:
            panel(names, bars)
        return time.perf_counter() - start

    def theirs() -> float:
        start = time.perf_counter()
        for bars in many:
            for call in calls:
                call(bars)
        return time.perf_counter() - start

    ours()  # both have been here before the clock starts
    theirs()
    return in_pairs(
        name,
        unit="s",
        measure=ours,
        peer="TA-Lib",
        measure_peer=theirs,
        first_bar="<= 1.5",
        aim="<= 1",
        rounds=ROUNDS,
    )


def push_us() -> float:
    """Return what a bar takes that is pushed to all families."""
    live, bars = LivePanel(list(FAMILIES)), list(each_bar(made(PUSHED, 3)))
    start = time.perf_counter()
    for bar in bars:
        live.push(bar)
    return (time.perf_counter() - start) / len(bars) * 1e6


def made(count: int, seed: int) -> Candles:
    """Return minute bars of a random walk."""
    chance = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.001, count)))
    up, down = (1.0 + np.abs(chance.normal(0.0, 0.001, count)) for _ in range(2))
    volumes = chance.lognormal(8.0, 1.0, count).round() + 1.0
    starts = np.arange(count, dtype=np.int64) * MINUTE_NS
    return Candles(starts, np.roll(closes, 1), closes * up, closes / down, closes, volumes)


# -- what TA-Lib is called for ----------------------------------------------------------------------------------------

Call = Callable[[Candles], object]


def _talib(name: str, *columns: str, **options: float) -> Call:
    import talib

    function = getattr(talib, name)

    def call(bars: Candles) -> object:
        prices: list[Series] = [getattr(bars, column) for column in columns]
        return function(*prices, **options)

    return call


_RANGE = ("highs", "lows", "closes")
OF_TALIB: tuple[Call, ...] = (
    _talib("SMA", "closes", timeperiod=20),
    _talib("EMA", "closes", timeperiod=20),
    _talib("WMA", "closes", timeperiod=20),
    _talib("RSI", "closes", timeperiod=14),
    _talib("MACD", "closes", fastperiod=12, slowperiod=26, signalperiod=9),
    _talib("ROC", "closes", timeperiod=10),
    _talib("STOCH", *_RANGE, fastk_period=14, slowk_period=3, slowd_period=3),
    _talib("CCI", *_RANGE, timeperiod=20),
    _talib("ADX", *_RANGE, timeperiod=14),
    _talib("PLUS_DI", *_RANGE, timeperiod=14),
    _talib("MINUS_DI", *_RANGE, timeperiod=14),
    _talib("BBANDS", "closes", timeperiod=20, nbdevup=2.0, nbdevdn=2.0),
    _talib("ATR", *_RANGE, timeperiod=14),
    _talib("OBV", "closes", "volumes"),
    _talib("MFI", *_RANGE, "volumes", timeperiod=14),
)
MADE_OF: tuple[Call, ...] = (
    _talib("MAX", "highs", timeperiod=20),
    _talib("MIN", "lows", timeperiod=20),
    _talib("EMA", "closes", timeperiod=20),
    _talib("ATR", *_RANGE, timeperiod=10),
    _talib("SMA", "volumes", timeperiod=20),
    _talib("SMA", "closes", timeperiod=14),
    _talib("SMA", "closes", timeperiod=14),
)
