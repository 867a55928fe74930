"""Tickers and data sources: what can be traded, and where its prices come from.

Every order and tick asks here for its ticker, so all tickers are in memory, by symbol and by id; changes go to the
database first. A round of the loop (twice a second) takes over what other processes changed.
Invariant: a ticker that prices or orders refer to is never deleted, and its symbol never changes.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Conflict, Invalid, NotFound, PreconditionFailed
from qsuite.domain.listing import Listing, Page
from qsuite.domain.reference import DataSource, Ticker
from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.repos.data_sources import DataSourcesRepo
from qsuite.repos.tickers import TickersRepo

Refers = Callable[[str], Awaitable[bool]]
"""Say whether something refers to a symbol."""

# A change becomes visible later than its own time stamp says, by a slow write or another machine's clock.
OVERLAP_NS = 5 * NS_PER_S


class ReferenceService:
    """Keep reference data. A supervised loop."""

    name = "reference"
    interval_s = 0.5

    def __init__(
        self,
        *,
        tickers: TickersRepo,
        data_sources: DataSourcesRepo,
        new_id: Callable[[], UUID],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tickers = tickers
        self._sources = data_sources
        self._new_id = new_id
        self._clock = clock
        self._by_symbol: dict[str, Ticker] = {}
        self._by_id: dict[UUID, Ticker] = {}
        self._newest_ns = 0
        self._count = 0
        self._refers: list[tuple[str, Refers]] = []

    async def start(self) -> None:
        """Load every ticker."""
        loaded = await self._tickers.all()
        self._by_symbol, self._by_id = {}, {}
        for ticker in loaded:
            self._remember(ticker)

    async def run_once(self, now: int) -> None:
        """Take over what other processes changed since the last round."""
        for ticker in await self._tickers.changed_since(max(0, self._newest_ns - OVERLAP_NS)):
            self._remember(ticker)
        # A deleted ticker leaves no trace but the count. The count may be wrong after a crash, but then it stays so.
        count = await self._tickers.count()
        if count != self._count:
            self._count = count
            await self.start()

    def protect(self, what: str, refers: Refers) -> None:
        """Refuse to delete a ticker while ``refers(symbol)``; ``what`` names the things that do (``orders``)."""
        self._refers.append((what, refers))

    # -- tickers ----------------------------------------------------------------------------------------------------

    def ticker(self, symbol_or_id: str) -> Ticker | None:
        """Return a ticker by symbol or id from memory, or None."""
        found = self._by_symbol.get(symbol_or_id)
        if found is None and len(symbol_or_id) == 36:  # a UUID as text
            identity = _as_uuid(symbol_or_id)
            found = None if identity is None else self._by_id.get(identity)
        return found

    def require(self, symbol_or_id: str) -> Ticker:
        """Return a ticker by symbol or id. NotFound if there is none."""
        found = self.ticker(symbol_or_id)
        if found is None:
            raise NotFound(f"no ticker {symbol_or_id[:100]}", code="ticker.unknown")
        return found

    def tickers(self) -> list[Ticker]:
        """Return every ticker, by symbol."""
        return [self._by_symbol[symbol] for symbol in sorted(self._by_symbol)]

    async def list_tickers(self, listing: Listing) -> Page[Ticker]:
        """Return one page of tickers."""
        return await self._tickers.page(listing)

    async def create_ticker(self, values: Mapping[str, Any]) -> Ticker:
        """Store a new ticker. AlreadyExists when the symbol is taken, Invalid for a data source that is not there."""
        await self._check_source(values.get("data_source"))
        now = floor_ms(self._clock())
        ticker = Ticker(id=self._new_id(), created_at=now, updated_at=now, **values)
        await self._tickers.add(ticker)
        self._remember(ticker)
        return ticker

    async def ensure_ticker(self, symbol: str, values: Mapping[str, Any]) -> Ticker:
        """Return the ticker of a symbol, made from the values when there is none."""
        known = self.ticker(symbol)
        if known is None:
            known = await self._tickers.find_by({"symbol": symbol})
        if known is not None:
            self._remember(known)
            return known
        return await self.create_ticker({"symbol": symbol, **values})

    async def change_ticker(self, symbol_or_id: str, values: Mapping[str, Any], version: int | None = None) -> Ticker:
        """Store a ticker's changed fields, if it is still of the version given.

        Invalid for another symbol: orders, positions and prices carry it.
        """
        known = await self._tickers.get(self.require(symbol_or_id).id)
        _require_version(known.version, version)
        if values.get("symbol", known.symbol) != known.symbol:
            raise Invalid("a symbol never changes", errors={"symbol": ["make a new ticker instead"]})
        await self._check_source(values.get("data_source"))
        changed = replace(known, **values, updated_at=self._later_than(known.updated_at), version=known.version + 1)
        await self._tickers.save(changed)
        self._remember(changed)
        return changed

    async def delete_ticker(self, symbol_or_id: str, version: int | None = None) -> None:
        """Delete a ticker. Conflict while prices, orders or positions refer to it."""
        known = await self._tickers.get(self.require(symbol_or_id).id)
        _require_version(known.version, version)
        for what, refers in self._refers:
            if await refers(known.symbol):
                raise Conflict(f"{what} refer to {known.symbol}; make it inactive instead", code="ticker.in_use")
        await self._tickers.delete(known.id, known.version)
        self._by_symbol.pop(known.symbol, None)
        self._by_id.pop(known.id, None)

    # -- data sources -----------------------------------------------------------------------------------------------

    async def data_source(self, identity: UUID) -> DataSource:
        """Return a data source. NotFound if there is none."""
        return await self._sources.get(identity)

    async def list_data_sources(self, listing: Listing) -> Page[DataSource]:
        """Return one page of data sources."""
        return await self._sources.page(listing)

    async def create_data_source(self, values: Mapping[str, Any]) -> DataSource:
        """Store a new data source. AlreadyExists when the code is taken."""
        now = floor_ms(self._clock())
        source = DataSource(id=self._new_id(), created_at=now, updated_at=now, **values)
        await self._sources.add(source)
        return source

    async def ensure_data_source(self, code: str, name: str) -> DataSource:
        """Return the data source of a code, made when there is none."""
        known = await self._sources.find_by_code(code)
        return known or await self.create_data_source({"code": code, "name": name})

    async def change_data_source(
        self, identity: UUID, values: Mapping[str, Any], version: int | None = None
    ) -> DataSource:
        """Store a data source's changed fields, if it is still of the version given."""
        known = await self._sources.get(identity)
        _require_version(known.version, version)
        changed = replace(known, **values, updated_at=self._later_than(known.updated_at), version=known.version + 1)
        await self._sources.save(changed)
        return changed

    async def delete_data_source(self, identity: UUID, version: int | None = None) -> None:
        """Delete a data source. Conflict while tickers refer to it."""
        known = await self._sources.get(identity)
        _require_version(known.version, version)
        if await self._tickers.uses_data_source(identity):
            raise Conflict(f"tickers refer to {known.code}; make it inactive instead", code="data_source.in_use")
        await self._sources.delete(identity, known.version)

    # ---------------------------------------------------------------------------------------------------------------

    async def _check_source(self, identity: UUID | None) -> None:
        if identity is not None and await self._sources.find(identity) is None:
            raise Invalid("no such data source", errors={"data_source": ["no such data source"]})

    def _later_than(self, ts_ns: int) -> int:
        # The poll of other processes goes by this time, so a clock set back must not hide a change.
        return max(floor_ms(self._clock()), ts_ns)

    def _remember(self, ticker: Ticker) -> None:
        known = self._by_id.get(ticker.id)
        if known is not None and known.version > ticker.version:
            return  # read before our own change, arrived after it
        self._by_symbol[ticker.symbol] = ticker
        self._by_id[ticker.id] = ticker
        self._newest_ns = max(self._newest_ns, ticker.updated_at)


def _require_version(known: int, wanted: int | None) -> None:
    if wanted is not None and wanted != known:
        raise PreconditionFailed("it was changed since it was read: read it again", version=known)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
