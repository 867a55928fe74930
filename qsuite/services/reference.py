"""Tickers and data sources: what can be traded, and where its prices come from.

Every order and tick asks here for its ticker, so all tickers are in memory, by symbol and by id; changes go to the
database first. A round of the loop (twice a second) takes over what other processes changed.
Invariants: a ticker that prices or orders refer to is never deleted, and its symbol never changes; what open orders
were accepted under (tick size, lot size, execution mode) stays while they are open. A ticker whose stored terms cannot
be read is not traded.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol
from uuid import UUID

import structlog

from qsuite.domain.errors import Conflict, Invalid, NotFound, PreconditionFailed
from qsuite.domain.listing import Listing, Page
from qsuite.domain.reference import ALWAYS_OPEN, DataSource, Ticker
from qsuite.domain.times import NS_PER_S, floor_ms
from qsuite.domain.trading.commission import commission_from
from qsuite.domain.trading.paper.rules import fill_overrides
from qsuite.repos.data_sources import DataSourcesRepo
from qsuite.repos.tickers import TickersRepo
from qsuite.services.audit_trail import AuditTrail

log = structlog.get_logger(__name__)

Refers = Callable[[str], Awaitable[bool]]
"""Say whether something refers to a symbol."""

# A change becomes visible later than its own time stamp says, by a slow write or another machine's clock.
OVERLAP_NS = 5 * NS_PER_S
UNCOUNTED = -1

HELD_BY_ORDERS = ("tick_size", "lot_size", "execution_mode")
"""What of a ticker open orders depend on."""


class Calendars(Protocol):
    """Where trading sessions are read."""

    async def load(self, calendar: str) -> None:
        """Read a calendar. LookupError for one that is not there."""

    async def load_all(self, calendars: Iterable[str]) -> None:
        """Read these, as far as they can be."""


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
        trail: AuditTrail,
        calendars: Calendars | None = None,
        currency: str = "USD",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._calendars = calendars
        self._trail = trail
        self._tickers = tickers
        self._sources = data_sources
        self._new_id = new_id
        self._currency = currency
        self._clock = clock
        self._by_symbol: dict[str, Ticker] = {}
        self._by_id: dict[UUID, Ticker] = {}
        self._newest_ns = 0
        self.revision = 0
        """Rises whenever a ticker comes, goes or changes."""
        self._count = UNCOUNTED
        self._refers: list[tuple[str, Refers]] = []
        self._open_orders: Refers | None = None

    async def start(self) -> None:
        """Load every ticker."""
        known = set(self._by_id)
        loaded = await self._tickers.all()
        # Only what was known before the read can be missing from it: what was made meanwhile is newer than the read.
        for gone in known.difference(ticker.id for ticker in loaded):
            self._forget(gone)
        for ticker in loaded:
            self._remember(ticker)
        await self._load_calendars()

    async def run_once(self, now: int) -> None:
        """Take over what other processes changed since the last round."""
        for ticker in await self._tickers.changed_since(max(0, self._newest_ns - OVERLAP_NS)):
            self._remember(ticker)
        # A deleted ticker leaves no trace but the count. The count may be wrong after a crash, but then it stays so.
        count = await self._tickers.count()
        if count != self._count:
            self._count = count
            await self.start()
        await self._load_calendars()

    def protect(self, what: str, refers: Refers) -> None:
        """Refuse to delete a ticker while ``refers(symbol)``; ``what`` names the things that do (``orders``)."""
        self._refers.append((what, refers))

    def protect_terms(self, has_open_orders: Refers) -> None:
        """Refuse to change what open orders depend on while ``has_open_orders(symbol)``."""
        self._open_orders = has_open_orders

    # -- tickers ----------------------------------------------------------------------------------------------------

    def ticker(self, symbol_or_id: str) -> Ticker | None:
        """Return a ticker by symbol or id from memory, or None."""
        found = self._by_symbol.get(symbol_or_id)
        if found is None and len(symbol_or_id) == 36:  # a UUID as text
            identity = _as_uuid(symbol_or_id)
            found = None if identity is None else self._by_id.get(identity)
        return found

    def venue(self, symbol: str) -> str:
        """Return where a symbol's orders trade: ``paper``, or ``book``; of one that has gone by now, ``paper``."""
        ticker = self._by_symbol.get(symbol)
        return "paper" if ticker is None else ticker.execution_mode

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
        """Store a new ticker. AlreadyExists when the symbol is taken, Invalid for a data source, calendar or terms that
        are none.
        """
        values = await self._checked(values)
        now = floor_ms(self._clock())
        ticker = Ticker(id=self._new_id(), created_at=now, updated_at=now, **values)
        await self._trail.record(
            "ticker.created",
            subject=ticker.symbol,
            facts=values,
            change=lambda session: self._tickers.add(ticker, session),
        )
        self._remember(ticker)
        return ticker

    async def ensure_ticker(self, symbol: str, values: Mapping[str, Any]) -> Ticker:
        """Return the ticker of a symbol, made from the values when there is none, in the accounts' currency."""
        known = self.ticker(symbol)
        if known is None:
            known = await self._tickers.find_by({"symbol": symbol})
        if known is not None:
            self._remember(known)
            return known
        return await self.create_ticker({"symbol": symbol, "currency": self._currency, **values})

    async def change_ticker(self, symbol_or_id: str, values: Mapping[str, Any], version: int | None = None) -> Ticker:
        """Store a ticker's changed fields, if it is still of the version given.

        Invalid for another symbol: orders, positions and prices carry it. Conflict for what open orders depend on.
        """
        known = await self._tickers.get(self.require(symbol_or_id).id)
        _require_version(known.version, version)
        if values.get("symbol", known.symbol) != known.symbol:
            raise Invalid("a symbol never changes", errors={"symbol": ["make a new ticker instead"]})
        values = await self._checked(values)
        changed = replace(known, **values, updated_at=self._later_than(known.updated_at), version=known.version + 1)
        if any(getattr(known, name) != getattr(changed, name) for name in HELD_BY_ORDERS):
            await self._change_held(known, changed, values)
        else:
            await self._save_ticker(changed, values)
            self._remember(changed)
        return changed

    async def _save_ticker(self, changed: Ticker, values: Mapping[str, Any]) -> None:
        await self._trail.record(
            "ticker.changed",
            subject=changed.symbol,
            facts=values,
            change=lambda session: self._tickers.save(changed, session),
        )

    async def _change_held(self, known: Ticker, changed: Ticker, values: Mapping[str, Any]) -> None:
        """Store what open orders depend on, if there are none. No order is taken meanwhile."""
        self._remember(replace(known, is_active=False))
        try:
            if self._open_orders is not None and await self._open_orders(known.symbol):
                detail = f"orders in {known.symbol} are open; cancel them before its {', '.join(HELD_BY_ORDERS)} change"
                raise Conflict(detail, code="ticker.open_orders")
            await self._save_ticker(changed, values)
        except BaseException:
            self._remember(known)
            raise
        self._remember(changed)

    async def delete_ticker(self, symbol_or_id: str, version: int | None = None) -> None:
        """Delete a ticker. Conflict while prices, orders or positions refer to it."""
        known = await self._tickers.get(self.require(symbol_or_id).id)
        _require_version(known.version, version)
        for what, refers in self._refers:
            if await refers(known.symbol):
                raise Conflict(f"{what} refer to {known.symbol}; make it inactive instead", code="ticker.in_use")
        await self._trail.record(
            "ticker.deleted",
            subject=known.symbol,
            change=lambda session: self._tickers.delete(known.id, known.version, session),
        )
        self._forget(known.id)

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
        await self._trail.record(
            "data_source.created",
            subject=source.code,
            facts=values,
            change=lambda session: self._sources.add(source, session),
        )
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
        await self._trail.record(
            "data_source.changed",
            subject=changed.code,
            facts=values,
            change=lambda session: self._sources.save(changed, session),
        )
        return changed

    async def delete_data_source(self, identity: UUID, version: int | None = None) -> None:
        """Delete a data source. Conflict while tickers refer to it."""
        known = await self._sources.get(identity)
        _require_version(known.version, version)
        if await self._tickers.uses_data_source(identity):
            raise Conflict(f"tickers refer to {known.code}; make it inactive instead", code="data_source.in_use")
        await self._trail.record(
            "data_source.deleted",
            subject=known.code,
            change=lambda session: self._sources.delete(identity, known.version, session),
        )

    # ---------------------------------------------------------------------------------------------------------------

    async def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a ticker's values as they are kept. Invalid names the field that makes no sense."""
        await self._check_source(values.get("data_source"))
        kept = dict(values)
        if "calendar" in kept:
            await self._check_calendar(kept["calendar"])
        try:
            field = "commission"
            if kept.get(field) is not None:
                kept[field] = dict(commission_from(kept[field]).shown)
            field = "fill"
            if kept.get(field) is not None:
                fill_overrides(kept[field])
                kept[field] = {name: value for name, value in kept[field].items() if value is not None} or None
        except ValueError as error:
            raise Invalid(str(error), errors={field: [str(error)]}) from None
        return kept

    async def _check_calendar(self, name: str) -> None:
        if name == ALWAYS_OPEN:
            return
        try:
            if self._calendars is None:
                raise LookupError(f"there is no calendar {name}")
            await self._calendars.load(name)
        except LookupError as error:
            raise Invalid(str(error), errors={"calendar": [str(error)]}) from None

    async def _load_calendars(self) -> None:
        if self._calendars is not None:
            await self._calendars.load_all({ticker.calendar for ticker in self._by_symbol.values()})

    async def _check_source(self, identity: UUID | None) -> None:
        if identity is not None and await self._sources.find(identity) is None:
            raise Invalid("no such data source", errors={"data_source": ["no such data source"]})

    def _later_than(self, ts_ns: int) -> int:
        # The poll of other processes goes by this time, so a clock set back must not hide a change.
        return max(floor_ms(self._clock()), ts_ns)

    def _forget(self, ticker_id: UUID) -> None:
        self.revision += 1
        ticker = self._by_id.pop(ticker_id, None)
        if ticker is not None and self._by_symbol.get(ticker.symbol) is ticker:
            del self._by_symbol[ticker.symbol]

    def _remember(self, ticker: Ticker) -> None:
        known = self._by_id.get(ticker.id)
        if known is None:
            self._count = UNCOUNTED  # one may have gone as this one came
        elif known.version > ticker.version:
            return  # read before our own change, arrived after it
        reason = _unreadable(ticker)
        if reason is not None:
            if known is None or known.version != ticker.version:
                log.error("reference.ticker_unreadable", symbol=ticker.symbol, reason=reason)
            # Nobody can say what an order would cost.
            ticker = replace(ticker, is_active=False, commission=None, fill=None)
        if ticker != known:
            self.revision += 1
        self._by_symbol[ticker.symbol] = ticker
        self._by_id[ticker.id] = ticker
        self._newest_ns = max(self._newest_ns, ticker.updated_at)


def _unreadable(ticker: Ticker) -> str | None:
    """Say what is wrong with a ticker's own terms, None if nothing is."""
    try:
        if ticker.commission is not None:
            commission_from(ticker.commission)
        if ticker.fill is not None:
            fill_overrides(ticker.fill)
    except (ValueError, TypeError, AttributeError) as error:
        return str(error)
    return None


def _require_version(known: int, wanted: int | None) -> None:
    if wanted is not None and wanted != known:
        raise PreconditionFailed("it was changed since it was read: read it again", version=known)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
