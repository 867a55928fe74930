"""The wire to an exchange, through ccxt: its markets, their recent trades, and the top of their books.

Invariant: ccxt is imported only where a feed of this kind is configured, every wait is bounded, and whatever the
exchange or the library makes of it out there is a ``SourceError`` in here. Trades keep the decimals they were written
with, as ccxt is told to make ``Decimal`` of them; of a book it makes floats, which are read by their shortest decimal.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Quote, Trade
from qsuite.domain.times import NS_PER_MS
from qsuite.services.feeds.source import SourceError
from qsuite.services.files.rows import RowError, check_time, read_amount, read_price
from qsuite.settings import ExchangeSettings

PAGE = 500
"""Trades asked for at once."""
BOOK_LEVELS = 5
# What parsing a stranger's answer can raise, beside the library's own errors.
UNREADABLE = (OSError, TimeoutError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)


class Seen(NamedTuple):
    """A trade and what the exchange knows it by, which stays the same however often it is asked for."""

    key: str
    trade: Trade


class Page(NamedTuple):
    """One answer: the trades that can be read, oldest first, how many cannot, and whether there may be more."""

    trades: list[Seen]
    bad: int
    full: bool


class ExchangeSource:
    """One exchange. SetupError where ccxt is not installed, or for settings that make no sense."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._name = _known(settings.name or "")
        self._config = {"timeout": int(settings.timeout_s * 1_000), "enableRateLimit": True, **_object(settings.config)}
        self._ccxt: Any = None
        self._client: Any = None
        self._known: dict[str, Any] = {}

    @asynccontextmanager
    async def connected(self, markets: Mapping[str, str]) -> AsyncIterator[None]:
        """Learn the exchange's markets, once. SourceError when it does not answer, or lacks one of those asked for."""
        self._client = await self._made()
        try:
            with self._translated():
                if any(market not in self._known for market in markets.values()):
                    self._known = await self._client.load_markets()
                else:
                    self._client.set_markets(self._known)
            for market in markets.values():
                if market not in self._known:
                    raise SourceError(f"{self._name} has no market {market}")
            yield
        finally:
            await self._client.close()

    async def _made(self) -> Any:
        # The first time a second of work, for it brings a hundred exchanges with it.
        self._ccxt = await asyncio.to_thread(import_module, "ccxt.async_support")
        client = getattr(self._ccxt, self._name)(self._config)
        client.number = Decimal
        if self._settings.url is not None:
            client.urls["api"] = _elsewhere(client.urls["api"], self._settings.url)
        return client

    async def trades(self, symbol: str, market: str, since_ms: int | None) -> Page:
        """Ask for trades from a time on, or the latest; ``symbol`` is ours."""
        with self._translated():
            rows = await self._client.fetch_trades(market, since_ms, PAGE)
            rows.sort(key=lambda row: row["timestamp"] or 0)
        found: list[Seen] = []
        same: Counter[Trade] = Counter()
        for row in rows:
            try:
                trade = Trade(symbol, _time(row), read_price(str(row["price"])), read_price(str(row["amount"])))
            except ValueError:
                continue
            same[trade] += 1
            found.append(Seen(str(row["id"] or f"{trade.ts_ns} {trade.price} {trade.size} {same[trade]}"), trade))
        if rows and not found:
            raise SourceError("trades of which none can be read")
        return Page(found, len(rows) - len(found), len(rows) >= PAGE)

    async def quote(self, symbol: str, market: str, now_ns: int) -> Quote | None:
        """Ask for the top of a book; None where it is empty. It carries its own time, or the present."""
        with self._translated():
            book = await self._client.fetch_order_book(market, BOOK_LEVELS)
            (bid, bid_size), (ask, ask_size) = (_best(book[side]) for side in ("bids", "asks"))
            ts_ns = now_ns if book["timestamp"] is None else _time(book)
        return None if bid is None and ask is None else Quote(symbol, ts_ns, bid, ask, bid_size, ask_size)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (self._ccxt.BaseError, *UNREADABLE) as error:
            raise SourceError(f"{type(error).__name__}: {str(error)[:200]}") from None


def _known(name: str) -> str:
    """Return the name of an exchange that ccxt has a module for, without importing them all."""
    found = find_spec("ccxt")
    if found is None:
        raise SetupError("feed.kind exchange needs ccxt: pip install 'qsuite[exchange]'")
    folders = [Path(each) / "async_support" for each in found.submodule_search_locations or ()]
    if not name.isidentifier() or not any((folder / f"{name}.py").is_file() for folder in folders):
        raise SetupError(f"exchange.name: ccxt knows no exchange {name!r}")
    return name


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SetupError("exchange.config is not a JSON object")
    return found


def _elsewhere(address: Any, url: str) -> Any:
    """Put another scheme and host into an address, or into each of a tree of them."""
    if isinstance(address, dict):
        return {name: _elsewhere(each, url) for name, each in address.items()}
    return re.sub(r"^\w+://[^/]+", url.rstrip("/"), address) if isinstance(address, str) else address


def _time(row: Mapping[str, Any]) -> int:
    stamp = row.get("timestamp")
    if not isinstance(stamp, int) or isinstance(stamp, bool):
        raise RowError("not a time in milliseconds", "timestamp")
    return check_time(stamp * NS_PER_MS)


def _best(levels: Any) -> tuple[Decimal | None, Decimal | None]:
    """Return price and size of the first level."""
    return (read_price(str(levels[0][0])), read_amount(str(levels[0][1]))) if levels else (None, None)
