"""Text cells into trades, quotes and bars, with every rule checked and every refusal explained.

Order of equal times: ``seq`` is a tick's place among its symbol's ticks of the same instant, in file order, so that
two cuts of one recording give a tick the same identity. A tick that comes after a later one of its symbol takes its
line number instead, which no such place can equal.

Quote bars. Nothing is known of one but its eight prices, so nothing else is given out: its closing quote, stamped one
nanosecond before the bar's end (the last instant inside it, when that quote was known), and the bar of its bids or of
its asks, without volume. A bar of middles is not offered, because the middle's high and low were not recorded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from qsuite.domain.intervals import bar_end, parse_interval
from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.money import ZERO
from qsuite.services.files.clocks import ClockSpec, make_clock
from qsuite.services.files.layout import FileKind, Layout
from qsuite.services.files.rows import (
    BadRow,
    MarketRow,
    RowError,
    check_range,
    read_optional_amount,
    read_optional_price,
    read_price,
    read_symbol,
)
from qsuite.services.files.tables import Block

QuoteBarsAs = Literal["both", "quotes", "bars"]
QuoteSide = Literal["bid", "ask"]
_OHLC = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Recipe:
    """All that is needed to turn a file's cells into rows; plain data, so that another process can do it."""

    layout: Layout
    clock: ClockSpec
    width: int
    symbol: str | None
    only_symbol: str | None
    interval: str | None
    quote_bars: QuoteBarsAs = "both"
    side: QuoteSide = "bid"


class RowBuilder:
    """Build the rows of one file, block by block from its first line."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._at = dict(recipe.layout.at)
        self._clock = make_clock(recipe.clock)
        self._make = {
            FileKind.BARS: self._bar,
            FileKind.QUOTE_BARS: self._quote_bar,
            FileKind.TRADES: self._trade,
            FileKind.QUOTES: self._quote,
            FileKind.TICKS: self._tick,
        }[recipe.layout.kind]
        self._only = recipe.only_symbol
        self._symbol_index = None if recipe.symbol is not None else self._at.get("symbol")
        self._ts_index, self._time_index = recipe.layout.ts_index, recipe.layout.clock_index
        self.newest: dict[str, tuple[int, int]] = {}
        """By symbol the time and number of its newest tick so far: where the numbering of equal times goes on."""

    def build(self, block: Block) -> tuple[list[MarketRow], list[BadRow]]:
        """Return the block's rows in file order, and the lines left out."""
        rows: list[MarketRow] = []
        bad = list(block.bad)
        for line, cells in zip(block.lines, block.records, strict=True):
            refused = self._add(rows, line, cells)
            if refused is not None:
                bad.append(refused)
        return rows, bad

    def build_tick(self, line: int, cells: list[str]) -> Tick | BadRow | None:
        """Return the tick of one record of a tick file; None where its symbol is not wanted."""
        rows: list[Any] = []
        return self._add(rows, line, cells) or next(iter(rows), None)

    def _add(self, rows: list[MarketRow], line: int, cells: list[str]) -> BadRow | None:
        try:
            if len(cells) != self._recipe.width:
                raise RowError(f"{len(cells)} cells where the header has {self._recipe.width}")
            self._make(rows, line, cells)
        except ValueError as wrong:
            return self._explain(line, cells, wrong)
        return None

    def ts_ns(self, cells: list[str]) -> int:
        """Read a record's time."""
        if self._time_index is not None:
            return self._clock(f"{cells[self._ts_index].strip()}T{cells[self._time_index].strip()}")
        return self._clock(cells[self._ts_index])

    def symbol(self, cells: list[str]) -> str:
        """Read a record's symbol: its own, or the file's."""
        if self._symbol_index is not None:
            return read_symbol(cells[self._symbol_index])
        return self._recipe.symbol or ""

    def _trade(self, rows: list[MarketRow], line: int, cells: list[str]) -> None:
        symbol = self.symbol(cells)
        if self._only is not None and symbol != self._only:
            return
        ts_ns, at = self.ts_ns(cells), self._at
        price, size = read_price(cells[at["price"]]), read_price(cells[at["size"]])
        rows.append(Trade(symbol, ts_ns, price, size, self._seq(symbol, ts_ns, line)))

    def _quote(self, rows: list[MarketRow], line: int, cells: list[str]) -> None:
        symbol = self.symbol(cells)
        if self._only is not None and symbol != self._only:
            return
        ts_ns = self.ts_ns(cells)
        bid, ask = self._price(cells, "bid"), self._price(cells, "ask")
        if bid is None and ask is None:
            raise RowError("neither a bid nor an ask")
        bid_size, ask_size = self._sizes(cells, bid, ask)
        rows.append(Quote(symbol, ts_ns, bid, ask, bid_size, ask_size, self._seq(symbol, ts_ns, line)))

    def _tick(self, rows: list[MarketRow], line: int, cells: list[str]) -> None:
        kind = cells[self._at["kind"]].strip().lower()
        if kind == "trade":
            if "price" not in self._at or "size" not in self._at:
                raise RowError("the file has no price and size for a trade", "kind")
            self._trade(rows, line, cells)
        elif kind == "quote":
            self._quote(rows, line, cells)
        else:
            raise RowError("neither trade nor quote", "kind")

    def _bar(self, rows: list[MarketRow], line: int, cells: list[str]) -> None:
        symbol = self.symbol(cells)
        if self._only is not None and symbol != self._only:
            return
        at = self._at
        open_, high, low, close = (read_price(cells[at[part]]) for part in _OHLC)
        check_range(open_, high, low, close)
        trades = self._amount(cells, "trades")
        rows.append(
            Bar(
                symbol,
                self._interval(cells),
                self.ts_ns(cells),
                open_,
                high,
                low,
                close,
                self._amount(cells, "volume") or ZERO,
                vwap=self._price(cells, "vwap"),
                trades=None if trades is None else int(trades),
                adjusted_close=self._price(cells, "adjusted_close"),
            )
        )

    def _quote_bar(self, rows: list[MarketRow], line: int, cells: list[str]) -> None:
        symbol = self.symbol(cells)
        if self._only is not None and symbol != self._only:
            return
        start_ns, interval = self.ts_ns(cells), self._interval(cells)
        bids, asks = self._four(cells, "bid"), self._four(cells, "ask")
        if bids is None and asks is None:
            raise RowError("neither a bid nor an ask")
        chosen = bids if self._recipe.side == "bid" else asks
        bar = None if chosen is None else Bar(symbol, interval, start_ns, *chosen, ZERO)
        close_ns = bar_end(start_ns, interval) - 1
        bid, ask = bids[3] if bids else None, asks[3] if asks else None
        quote = Quote(symbol, close_ns, bid, ask, *self._sizes(cells, bid, ask))
        if bar is not None and self._recipe.quote_bars != "quotes":
            rows.append(bar)
        if self._recipe.quote_bars != "bars":
            rows.append(quote._replace(seq=self._seq(symbol, close_ns, line)))

    def _four(self, cells: list[str], side: str) -> tuple[Decimal, Decimal, Decimal, Decimal] | None:
        texts = [cells[self._at[f"{side}_{part}"]] for part in _OHLC]
        if not any(texts):
            return None
        open_, high, low, close = (read_price(text) for text in texts)
        check_range(open_, high, low, close, f"{side}_")
        return open_, high, low, close

    def _sizes(
        self, cells: list[str], bid: Decimal | None, ask: Decimal | None
    ) -> tuple[Decimal | None, Decimal | None]:
        """Return the sizes of the sides that are there: the size of no bid means nothing."""
        bid_size, ask_size = self._amount(cells, "bid_size"), self._amount(cells, "ask_size")
        return None if bid is None else bid_size, None if ask is None else ask_size

    def _price(self, cells: list[str], field: str) -> Decimal | None:
        index = self._at.get(field)
        return None if index is None else read_optional_price(cells[index])

    def _amount(self, cells: list[str], field: str) -> Decimal | None:
        index = self._at.get(field)
        return None if index is None else read_optional_amount(cells[index])

    def _interval(self, cells: list[str]) -> str:
        if self._recipe.interval is not None:
            return self._recipe.interval
        return parse_interval(cells[self._at["interval"]].strip()).name

    def _seq(self, symbol: str, ts_ns: int, line: int) -> int:
        newest = self.newest.get(symbol)
        if newest is None or ts_ns > newest[0]:
            self.newest[symbol] = (ts_ns, 0)
            return 0
        if ts_ns < newest[0]:
            return line
        self.newest[symbol] = (ts_ns, newest[1] + 1)
        return newest[1] + 1

    def _explain(self, line: int, cells: list[str], wrong: ValueError) -> BadRow:
        """Find which field was wrong. Only a refused row pays for it."""
        if isinstance(wrong, RowError):
            return BadRow(line, wrong.reason, wrong.field)
        try:
            self.ts_ns(cells)
        except ValueError as wrong_time:
            reason = "missing" if not cells[self._ts_index].strip() else str(wrong_time)
            return BadRow(line, f"{self._recipe.layout.ts_column}: {reason}", "ts")
        for field, index in self._at.items():
            try:
                _READERS.get(field, read_optional_price)(cells[index])
            except ValueError as wrong_field:
                reason = "missing" if not cells[index].strip() else str(wrong_field)
                return BadRow(line, f"{field}: {reason}", field)
        return BadRow(line, str(wrong))


def _no_rule(text: str) -> object:
    return text


_READERS: Mapping[str, Callable[[str], object]] = {
    "symbol": read_symbol,
    "kind": _no_rule,
    "interval": lambda text: parse_interval(text.strip()),
    "volume": read_optional_amount,
    "trades": read_optional_amount,
    "bid_size": read_optional_amount,
    "ask_size": read_optional_amount,
    "vwap": read_optional_price,
    "adjusted_close": read_optional_price,
    "bid": read_optional_price,
    "ask": read_optional_price,
}
