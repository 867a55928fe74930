"""Files as ticks in time order, for playing a recording: ticks as they are, bars as the trades they stand for.

Invariant: what comes out never goes back in time within a file, equal times keep the file's order, and memory holds
one run of ticks however long the file is. A file that is not known to be in order (several symbols one after the
other) is sorted through temporary files first.
"""

import heapq
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from typing import IO

from qsuite.domain.intervals import bar_end
from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.money import MONEY
from qsuite.services.files.market_file import MarketFile
from qsuite.services.files.rows import BadRow

RUN_TICKS = 100_000
_ONE = Decimal(1)


def file_ticks(
    file: MarketFile,
    *,
    on_bad: Callable[[BadRow], None] = lambda row: None,
    stopped: Callable[[], bool] = lambda: False,
    run_ticks: int = RUN_TICKS,
) -> Generator[Tick, None, None]:
    """Read a file as ticks by time. Quote bars give their closing quotes; ``stopped`` ends the reading early."""
    # A bar of bids would come out as trades that never happened.
    file = replace(file, recipe=replace(file.recipe, quote_bars="quotes"))
    ticks = _expanded(file, on_bad, stopped)
    return _ordered_stream(ticks) if file.in_time_order else sort_by_time(ticks, run_ticks)


def bar_trades(bar: Bar) -> list[Trade]:
    """Return four trades that make up a bar: open, then low and high (high first when it fell), then close.

    They are spread over the bar's interval, the last on its final nanosecond, and share its volume exactly, in its
    own smallest unit where that goes. A bar without volume gives sizes of one: a trade has a size.
    """
    end_ns = bar_end(bar.ts_ns, bar.interval)
    width_ns = end_ns - bar.ts_ns
    times = (bar.ts_ns, bar.ts_ns + width_ns // 3, bar.ts_ns + 2 * width_ns // 3, end_ns - 1)
    extremes = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
    prices = (bar.open, *extremes, bar.close)
    sizes = _quarters(bar.volume)
    return [Trade(bar.symbol, *part) for part in zip(times, prices, sizes, strict=True)]


def sort_by_time(ticks: Iterable[Tick], run_ticks: int = RUN_TICKS) -> Generator[Tick, None, None]:
    """Sort ticks by time, equal times in the order given, holding ``run_ticks`` of them in memory."""
    source = iter(ticks)
    runs: list[IO[str]] = []
    try:
        run = _next_run(source, run_ticks)
        while len(run) == run_ticks:
            runs.append(_spill(run))
            run = _next_run(source, run_ticks)
        # merge() takes equal keys from the earlier run first.
        yield from heapq.merge(*map(_unspill, runs), run, key=_time_of)
    finally:
        for file in runs:
            file.close()


def _expanded(file: MarketFile, on_bad: Callable[[BadRow], None], stopped: Callable[[], bool]) -> Iterator[Tick]:
    for chunk in file.chunks():
        if stopped():
            return
        for bad in chunk.bad:
            on_bad(bad)
        for row in chunk.rows:
            if isinstance(row, Bar):
                yield from bar_trades(row)
            else:
                yield row


def _ordered_stream(ticks: Iterable[Tick], window: int = 1_000) -> Generator[Tick, None, None]:
    """Put right what is out of place by less than the window; later than that, a tick comes when it is found."""
    held: list[tuple[int, int, Tick]] = []
    for number, tick in enumerate(ticks):
        entry = (tick.ts_ns, number, tick)
        if len(held) < window:
            heapq.heappush(held, entry)
        else:
            yield heapq.heappushpop(held, entry)[2]
    while held:
        yield heapq.heappop(held)[2]


def _quarters(volume: Decimal) -> list[Decimal]:
    if volume <= 0:
        return [_ONE] * 4
    exponent = volume.normalize(MONEY).as_tuple().exponent
    assert isinstance(exponent, int)
    unit = Decimal(1).scaleb(min(exponent, 0))
    quarter = MONEY.multiply(MONEY.divide_int(MONEY.divide(volume, unit), 4), unit)
    if quarter == 0:
        quarter = MONEY.divide(volume, Decimal(4))
    return [quarter, quarter, quarter, MONEY.subtract(volume, MONEY.multiply(quarter, 3))]


def _time_of(tick: Tick) -> int:
    return tick.ts_ns


def _next_run(source: Iterator[Tick], size: int) -> list[Tick]:
    return sorted(islice(source, size), key=_time_of)


def _spill(run: list[Tick]) -> IO[str]:
    file = tempfile.TemporaryFile("w+", encoding="utf-8", prefix="qsuite-replay-")  # noqa: SIM115 - read by the merge
    file.writelines(_as_line(tick) for tick in run)
    file.seek(0)
    return file


def _unspill(file: IO[str]) -> Iterator[Tick]:
    return map(_from_line, file)


def _as_line(tick: Tick) -> str:
    kind = "t" if isinstance(tick, Trade) else "q"
    return "\t".join([kind, *("" if cell is None else str(cell) for cell in tick)]) + "\n"


def _from_line(line: str) -> Tick:
    kind, symbol, ts_ns, *rest = line.rstrip("\n").split("\t")
    *numbers, seq = rest
    values = [Decimal(text) if text else None for text in numbers]
    if kind == "q":
        bid, ask, bid_size, ask_size = values
        return Quote(symbol, int(ts_ns), bid, ask, bid_size, ask_size, int(seq))
    price, size = values
    assert price is not None
    assert size is not None
    return Trade(symbol, int(ts_ns), price, size, int(seq))
