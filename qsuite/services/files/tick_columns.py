"""The cells of a tick file as columns of ticks: all rows of a piece at a time, without an object for any of them.

Invariant: the ticks are those that ``RowBuilder`` builds of the same cells, with the same numbers. It is also who goes
on where this one stops: a piece with anything that is out of the ordinary raises ``ValueError`` and changes nothing,
and is then built row by row, with what is wrong explained line by line.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qsuite.domain.tick_columns.columns import OF_QUOTES, OF_TRADES, Flags, Integers, MoneyColumn, TickColumns, take
from qsuite.domain.tick_columns.runs import cut
from qsuite.services.files.arrow_numbers import chosen
from qsuite.services.files.build import Recipe, RowBuilder
from qsuite.services.files.layout import FileKind
from qsuite.services.files.money_cells import Read, read_money, used_words
from qsuite.services.files.rows import read_optional_amount, read_optional_price, read_price, read_symbol
from qsuite.services.files.time_cells import read_times

_READERS: Mapping[str, Read] = {
    "price": read_price,
    "size": read_price,
    "bid": read_optional_price,
    "ask": read_optional_price,
    "bid_size": read_optional_amount,
    "ask_size": read_optional_amount,
}
_TIME = "ts"


class SymbolTicks(NamedTuple):
    """Ticks of one symbol in the order of their file, and the line of each."""

    lines: Integers
    columns: TickColumns


def needed_columns(recipe: Recipe) -> dict[str, int]:
    """Return which columns of the file a builder of columns reads, by field."""
    at = {field: index for field, index in recipe.layout.at.items() if field in (*_READERS, "symbol", "kind")}
    return at | {_TIME: recipe.layout.ts_index}


class ColumnBuilder:
    """Build the ticks of one file, piece by piece from its first line, taking turns with ``rows``."""

    def __init__(self, recipe: Recipe, rows: RowBuilder) -> None:
        self._recipe = recipe
        self._rows = rows

    def build(self, cells: Mapping[str, Any], lines: Integers) -> list[SymbolTicks]:
        """Return a piece's ticks by symbol; ``cells`` are Arrow arrays by field. ValueError, and nothing is changed."""
        if self._recipe.layout.clock_index is not None:
            raise ValueError("a date and a time")
        codes, symbols = self._symbols(cells, len(lines))
        only = self._recipe.only_symbol
        if only is not None:
            # Of other symbols not even the prices are looked at.
            wanted = np.flatnonzero(codes == symbols.index(only)) if only in symbols else np.zeros(0, dtype=np.intp)
            cells = {field: chosen(column, wanted) for field, column in cells.items()}
            lines, codes, symbols = lines[wanted], np.zeros(len(wanted), dtype=np.intp), [only]
        if not len(lines):
            return []
        ts_ns = read_times(cells[_TIME], self._recipe.clock)
        trades = self._trades(cells, len(lines))
        whole = TickColumns(symbols[0], ts_ns, np.zeros(len(lines), dtype=np.int64), trades, _money(cells, trades))
        return self._numbered(whole, lines, codes, symbols)

    def _symbols(self, cells: Mapping[str, Any], count: int) -> tuple[Any, list[str]]:
        """Return a code for each row, and the symbols of the codes."""
        if self._recipe.symbol is not None or "symbol" not in cells:
            return np.zeros(count, dtype=np.intp), [self._recipe.symbol or ""]
        codes, texts = used_words(_as_words(cells["symbol"]))
        read = [read_symbol(text) for text in texts.to_pylist()]
        symbols = list(dict.fromkeys(read))
        places = np.array([symbols.index(symbol) for symbol in read], dtype=np.intp)
        return places[codes], symbols

    def _trades(self, cells: Mapping[str, Any], count: int) -> Flags:
        """Say of each row whether it is a trade."""
        kind = self._recipe.layout.kind
        if kind is not FileKind.TICKS:
            return np.full(count, kind is FileKind.TRADES)
        codes, texts = used_words(_as_words(cells["kind"]))
        read = [text.strip().lower() for text in texts.to_pylist()]
        if not set(read) <= {"trade", "quote"}:
            raise ValueError("neither trade nor quote")
        is_trade = np.array([text == "trade" for text in read], dtype=np.bool_)
        if is_trade.any() and not {"price", "size"} <= cells.keys():
            raise ValueError("no price and size for a trade")
        found: Flags = is_trade[codes]
        return found

    def _numbered(self, whole: TickColumns, lines: Integers, codes: Any, symbols: list[str]) -> list[SymbolTicks]:
        if len(symbols) > 1:  # symbol by symbol, each in the order of the file
            order = np.argsort(codes, kind="stable")
            whole, lines, codes = take(whole, order), lines[order], codes[order]
        ends = codes.searchsorted(np.arange(len(symbols) + 1)).tolist()
        parts, newest = [], {}
        for symbol, (start, end) in zip(symbols, pairwise(ends), strict=True):
            ticks, own_lines = cut(whole, start, end), lines[start:end]
            seq, newest[symbol] = number(ticks.ts_ns, own_lines, self._rows.newest.get(symbol))
            parts.append(SymbolTicks(own_lines, TickColumns(symbol, ticks.ts_ns, seq, ticks.trades, ticks.money)))
        self._rows.newest |= newest
        return parts


def number(ts_ns: Integers, lines: Integers, newest: tuple[int, int] | None) -> tuple[Integers, tuple[int, int]]:
    """Number the ticks of one symbol by the rule of ``build``, going on behind ``newest``; return the newest then."""
    before_ns, before_seq = (int(ts_ns[0]), -1) if newest is None else newest
    reached = np.maximum(np.maximum.accumulate(ts_ns), before_ns)
    late = ts_ns < reached
    instants = reached[~late]
    places = np.arange(len(instants))
    begins = np.ones(len(instants), dtype=np.bool_)
    begins[1:] = instants[1:] != instants[:-1]
    place = places - np.maximum.accumulate(np.where(begins, places, 0))
    place[instants == before_ns] += before_seq + 1
    seq = lines.copy()
    seq[~late] = place
    if not len(instants):
        return seq, (before_ns, before_seq)
    return seq, (int(instants[-1]), int(place[-1]))


def _as_words(cells: Any) -> Any:
    return cells if pa.types.is_dictionary(cells.type) else pc.dictionary_encode(cells)


def _money(cells: Mapping[str, Any], trades: Flags) -> dict[str, MoneyColumn]:
    money = {}
    for names, rows in ((OF_TRADES, np.flatnonzero(trades)), (OF_QUOTES, np.flatnonzero(~trades))):
        for name in names:
            if name not in cells or not len(rows):
                money[name] = _all_missing(len(rows))
                continue
            there = cells[name] if len(rows) == len(trades) else chosen(cells[name], rows)
            money[name] = read_money(there, _READERS[name])
    if (money["bid"].missing & money["ask"].missing).any():
        raise ValueError("neither a bid nor an ask")
    for side in ("bid", "ask"):
        # The size of no bid means nothing.
        money[f"{side}_size"] = _without(money[f"{side}_size"], money[side].missing)
    return money


def _all_missing(count: int) -> MoneyColumn:
    nothing = np.zeros(count, dtype=np.int64)
    return MoneyColumn(0, nothing, nothing, np.ones(count, dtype=np.bool_), {})


def _without(column: MoneyColumn, rows: Flags) -> MoneyColumn:
    if not (rows & ~column.missing).any():
        return column
    wide = {place: text for place, text in column.wide.items() if not rows[place]}
    there = ~rows
    return MoneyColumn(column.exponent, column.units * there, column.zeros * there, column.missing | rows, wide)
