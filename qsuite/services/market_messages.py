"""How the live market looks on the stream (the contract fixes these shapes); the hub adds channel and number."""

from typing import Any

from qsuite.domain.market import Bar, Quote, Tick, Trade
from qsuite.domain.money import show
from qsuite.domain.times import format_rfc3339
from qsuite.services.price_marks import Mark

Message = dict[str, Any]


def tick_channel(tick: Tick) -> str:
    """Return the channel of a tick."""
    return f"trades:{tick.symbol}" if isinstance(tick, Trade) else f"quotes:{tick.symbol}"


def tick_message(tick: Tick, mark: Mark) -> Message:
    """Show a tick; what is not to be relied on says so."""
    message = trade_message(tick) if isinstance(tick, Trade) else quote_message(tick)
    if mark.stale:
        message["stale"] = True
    if mark.suspect:
        message["suspect"] = True
    return message


def trade_message(trade: Trade) -> Message:
    """Show a trade."""
    return {
        "type": "trade",
        "ts": format_rfc3339(trade.ts_ns),
        "symbol": trade.symbol,
        "price": show(trade.price),
        "size": show(trade.size),
    }


def quote_message(quote: Quote) -> Message:
    """Show a quote; a side nobody quotes is null."""
    return {
        "type": "quote",
        "ts": format_rfc3339(quote.ts_ns),
        "symbol": quote.symbol,
        "bid": None if quote.bid is None else show(quote.bid),
        "ask": None if quote.ask is None else show(quote.ask),
        "bid_size": None if quote.bid_size is None else show(quote.bid_size),
        "ask_size": None if quote.ask_size is None else show(quote.ask_size),
    }


def bar_channel(bar: Bar) -> str:
    """Return the channel of a bar."""
    return f"bars:{bar.interval}:{bar.symbol}"


def bar_message(bar: Bar) -> Message:
    """Show a bar; ``ts`` is its start."""
    return {
        "type": "bar",
        "ts": format_rfc3339(bar.ts_ns),
        "symbol": bar.symbol,
        "interval": bar.interval,
        "open": show(bar.open),
        "high": show(bar.high),
        "low": show(bar.low),
        "close": show(bar.close),
        "volume": show(bar.volume),
        "vwap": None if bar.vwap is None else show(bar.vwap),
        "trades": bar.trades,
        "final": bar.final,
    }
