"""For research and live code of one's own: ticks straight from the database, and indicators bar by bar::

    with LocalTicks("mongodb://127.0.0.1:27017/?replicaSet=qsuite") as ticks:
        frame = ticks.frame("EURUSD", start="2014-05-01T00:00:00Z", kind="quote")
        table = ticks.table("IBM", kind="trade")

    live = LiveIndicators(["sma_20", "macd_12_26_9"])
    for bar in past_bars + messages_of_the_stream:
        values = live.take(bar)

``backtest`` plays frames of bars to a trader of one's own on the code that trades on paper, ``look_ahead`` finds one
that knows the future (``services.frame_backtests``).

``LocalTicks`` reads what ``qsuite.client`` reads over HTTP, in the same order and as whole, with no server in between:
blocks and time series are decoded into columns here. It reads only, beside any number of servers.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from qsuite.domain.analytics.live import LivePanel
from qsuite.domain.analytics.series import Candle
from qsuite.domain.market import QUOTE, TRADE
from qsuite.domain.tick_columns.columns import OF_QUOTES, OF_TRADES, TickColumns
from qsuite.domain.times import parse_rfc3339
from qsuite.repos.database import connect
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services.frame_backtests import Played, backtest, look_ahead
from qsuite.services.tick_arrays import decimal_array, of_all_rows, put_floats

__all__ = ["LiveIndicators", "LocalTicks", "Played", "backtest", "look_ahead"]

Instant: TypeAlias = str | int | datetime | None
"""RFC 3339 text, nanoseconds since 1970, or a datetime (or pandas' Timestamp) with a zone."""

TIMEOUT_S = 30.0
_FIELDS = {TRADE: OF_TRADES, QUOTE: OF_QUOTES}
_KINDS = pa.array([QUOTE, TRADE])


class LiveIndicators:
    """Indicators of one symbol and interval, bar by bar: what ``GET indicators/`` says, in microseconds.

    ``names`` are those of ``GET indicators/``; UnknownIndicator for one that is none. Averages that never quite forget
    need a past to begin with: some hundred bars of ``bars/`` before those of the stream.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._panel = LivePanel(names)
        self._last_ns: int | None = None
        self._last: dict[str, float | None] = {}

    def take(self, bar: Mapping[str, Any]) -> dict[str, float | None]:
        """Return the values at a bar as ``bars/`` or the channel ``bars:INTERVAL:SYM`` shows it, None where unknown.

        A bar that is not ``final`` may come again, changed; a final one counts once, and coming again shows the same
        values. ValueError for a bar before the last final one.
        """
        candle = _candle_of(bar)
        if candle.start_ns == self._last_ns:
            return dict(self._last)
        if not bar.get("final", True):
            return self._panel.revise(candle)
        self._last = self._panel.push(candle)
        self._last_ns = candle.start_ns
        return dict(self._last)


def _candle_of(bar: Mapping[str, Any]) -> Candle:
    start = bar["ts"] if "ts" in bar else bar["timestamp"]
    return Candle(parse_rfc3339(start), *(float(bar[name]) for name in ("open", "high", "low", "close", "volume")))


class LocalTicks:
    """Read ticks from a MongoDB; one thread at a time."""

    def __init__(self, uri: str, database: str = "qsuite", *, timeout_s: float = TIMEOUT_S) -> None:
        self._database = connect(uri, database, pool_size=4, timeout_s=timeout_s)
        self._ticks = TicksRepo(self._database)

    def frame(self, symbol: str, *, start: Instant = None, end: Instant = None, kind: str | None = None) -> Any:
        """Return ticks with ``start <= ts < end`` as floats (the nearest to each decimal), indexed by ``ts``.

        Of one kind (``trade`` or ``quote``) the columns are its figures; of both there is ``kind`` as well. NaN is what
        a tick lacks.
        """
        query = _query(symbol, start, end, kind)
        grown = _Grown(_FIELDS.get(kind or "", OF_TRADES + OF_QUOTES), self._ticks.most_in_blocks(query))
        with closing(self._ticks.columns(query)) as runs:
            for run in runs:
                grown.add(run)
        return grown.frame(with_kind=kind is None)

    def table(self, symbol: str, *, start: Instant = None, end: Instant = None, kind: str | None = None) -> Any:
        """Return the same ticks with exact decimals, and ``seq``; memory holds them twice on the way.

        Every decimal column takes 128 bits with the places its values need, or 256 where those are too few.
        """
        with closing(self._ticks.columns(_query(symbol, start, end, kind))) as found:
            runs = list(found)
        columns = {"ts": pa.chunked_array([_instants(run.ts_ns) for run in runs], pa.timestamp("ns", tz="UTC"))}
        if kind is None:
            words = pa.dictionary(pa.int8(), pa.string())
            columns["kind"] = pa.chunked_array([_kinds(run) for run in runs], words)
        for name in _FIELDS.get(kind or "", OF_TRADES + OF_QUOTES):
            columns[name] = decimal_array([of_all_rows(run, name) for run in runs])
        columns["seq"] = pa.chunked_array([pa.array(run.seq) for run in runs], pa.int64())
        return pa.table(columns)

    def runs(self, symbol: str, *, start: Instant = None, end: Instant = None, kind: str | None = None) -> "Runs":
        """Yield the same ticks as they are stored, about a hundred thousand at a time: for what memory cannot hold."""
        return self._ticks.columns(_query(symbol, start, end, kind))

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connections."""
        self.close()


Runs: TypeAlias = Generator[TickColumns, None, None]


class _Grown:
    """Floats that are written to their place as they come: nothing is put together afterwards."""

    def __init__(self, names: tuple[str, ...], room: int) -> None:
        self._names = names
        self._count = 0
        self._ts_ns: npt.NDArray[np.int64] = np.empty(room, dtype=np.int64)
        self._trades: npt.NDArray[np.bool_] = np.empty(room, dtype=np.bool_)
        self._values: npt.NDArray[np.float64] = np.empty((len(names), room))

    def add(self, run: TickColumns) -> None:
        """Write a run behind the others."""
        start, stop = self._count, self._count + len(run)
        if stop > len(self._ts_ns):
            self._grow(max(stop, 2 * len(self._ts_ns)))
        self._ts_ns[start:stop] = run.ts_ns
        self._trades[start:stop] = run.trades
        for name, values in zip(self._names, self._values, strict=True):
            put_floats(of_all_rows(run, name), values[start:stop])
        self._count = stop

    def _grow(self, room: int) -> None:
        count = self._count
        ts_ns, trades, values = self._ts_ns, self._trades, self._values
        self._ts_ns, self._trades = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.bool_)
        self._values = np.empty((len(self._names), room))
        self._ts_ns[:count], self._trades[:count] = ts_ns[:count], trades[:count]
        self._values[:, :count] = values[:, :count]

    def frame(self, *, with_kind: bool) -> Any:
        """Return them as a DataFrame."""
        count = self._count
        times = pd.DatetimeIndex(self._ts_ns[:count].view("M8[ns]"), name="ts", copy=False).tz_localize("UTC")
        frame = pd.DataFrame(self._values[:, :count].T, index=times, columns=list(self._names), copy=False)
        if with_kind:
            kinds = pd.Categorical.from_codes(self._trades[:count].astype(np.int8), categories=[QUOTE, TRADE])
            frame.insert(0, "kind", kinds)
        return frame


def _query(symbol: str, start: Instant, end: Instant, kind: str | None) -> TickQuery:
    if kind not in (None, TRADE, QUOTE):
        raise ValueError(f"no kind of tick: {kind}")
    return TickQuery(symbol, _nanoseconds(start), _nanoseconds(end), kind)


def _nanoseconds(instant: Instant) -> int | None:
    if isinstance(instant, datetime):
        if instant.tzinfo is None:
            raise ValueError("a time needs a zone")
        return parse_rfc3339(instant.isoformat())
    return parse_rfc3339(instant) if isinstance(instant, str) else instant


def _instants(ts_ns: npt.NDArray[np.int64]) -> Any:
    return pa.array(ts_ns).cast(pa.timestamp("ns", tz="UTC"))


def _kinds(run: TickColumns) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(run.trades.astype(np.int8)), _KINDS)
