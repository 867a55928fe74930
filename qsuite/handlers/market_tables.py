"""The columns of ticks, bars and stored bars. Names and meaning are those of the JSON answers and of request bodies."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from qsuite.domain.analytics.asof import QuotedTrade
from qsuite.domain.market import QUOTE, TRADE, Bar, Tick, kind_of
from qsuite.domain.market_record import MarketRecord
from qsuite.handlers.market_schemas import shown_made_bar, shown_quoted_trade, shown_record, shown_tick
from qsuite.handlers.row_formats import Column, Kind, RowTable

TRADE_FIELDS = ("price", "size")
QUOTE_FIELDS = ("bid", "ask", "bid_size", "ask_size")
_KINDS = {TRADE: TRADE_FIELDS, QUOTE: QUOTE_FIELDS}


def _field(name: str) -> Callable[[Tick], Any]:
    """Return how to get what a tick of the other kind has not."""
    return lambda tick: getattr(tick, name, None)


def tick_table(kind: str | None) -> RowTable[Tick]:
    """Return the columns of trades, of quotes, or of both."""
    figures = _KINDS.get(kind or "", TRADE_FIELDS + QUOTE_FIELDS)
    return RowTable(
        (
            Column("symbol", Kind.WORD, attrgetter("symbol")),
            Column("ts", Kind.INSTANT, attrgetter("ts_ns")),
            Column("kind", Kind.WORD, kind_of),
            *(Column(name, Kind.DECIMAL, _field(name)) for name in figures),
            Column("seq", Kind.WHOLE, attrgetter("seq")),
        ),
        shown_tick,
    )


def _of_quote(name: str) -> Callable[[QuotedTrade], Any]:
    return lambda each: getattr(each.quote, name, None)


QUOTED_TRADES: RowTable[QuotedTrade] = RowTable(
    (
        Column("symbol", Kind.WORD, attrgetter("trade.symbol")),
        Column("ts", Kind.INSTANT, attrgetter("trade.ts_ns")),
        Column("kind", Kind.WORD, lambda each: TRADE),
        *(Column(name, Kind.DECIMAL, attrgetter(f"trade.{name}")) for name in TRADE_FIELDS),
        Column("seq", Kind.WHOLE, attrgetter("trade.seq")),
        *(Column(name, Kind.DECIMAL, _of_quote(name)) for name in QUOTE_FIELDS),
        Column("quote_ts", Kind.INSTANT, _of_quote("ts_ns")),
        Column("quote_seq", Kind.WHOLE, _of_quote("seq")),
    ),
    shown_quoted_trade,
)


def _bar_columns(at: str = "") -> tuple[Column[Any], ...]:
    def column(name: str, kind: Kind, attribute: str = "") -> Column[Any]:
        return Column(name, kind, attrgetter(at + (attribute or name)))

    decimals = ("open", "high", "low", "close", "volume", "adjusted_close", "vwap")
    return (
        column("symbol", Kind.WORD),
        column("interval", Kind.WORD),
        column("timestamp", Kind.INSTANT, "ts_ns"),
        *(column(name, Kind.DECIMAL) for name in decimals),
        column("trades", Kind.WHOLE),
    )


BARS: RowTable[Bar] = RowTable((*_bar_columns(), Column("final", Kind.FLAG, attrgetter("final"))), shown_made_bar)

RECORDS: RowTable[MarketRecord] = RowTable(
    (
        Column("id", Kind.TEXT, lambda record: str(record.id)),
        Column("ticker", Kind.WORD, lambda record: str(record.ticker)),
        *_bar_columns("bar."),
        Column("created_at", Kind.INSTANT, attrgetter("created_at")),
        Column("updated_at", Kind.INSTANT, attrgetter("updated_at")),
        Column("version", Kind.WHOLE, attrgetter("version")),
    ),
    shown_record,
)
