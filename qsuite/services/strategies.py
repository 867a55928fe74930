"""Strategies: made, changed, started and stopped by their owners, and known to the engine at every order.

The controls ask here for an order's strategy, so all are in memory by id; changes go to the database first. A round of
the loop (twice a second) takes over what other processes changed. Invariant: a strategy that runs or has open orders is
never deleted, and one that is not active does not run.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed
from qsuite.domain.listing import Listing, Page
from qsuite.domain.money import show
from qsuite.domain.roles import Caller
from qsuite.domain.strategies import Strategy, read_parameters
from qsuite.domain.times import NS_PER_S, floor_ms, format_rfc3339
from qsuite.repos.strategies import StrategiesRepo
from qsuite.repos.strategy_books import StrategyBooks
from qsuite.services.model_choice import ModelChoice
from qsuite.services.reference import ReferenceService

# A change becomes visible later than its own time stamp says, by a slow write or another machine's clock.
OVERLAP_NS = 5 * NS_PER_S
UNCOUNTED = -1
JUDGED_BY = frozenset({"algorithm", "parameters", "symbols", "interval"})

Shown = dict[str, Any]


class StrategyService:
    """Keep strategies. A supervised loop."""

    name = "strategies"
    interval_s = 0.5

    def __init__(
        self,
        *,
        strategies: StrategiesRepo,
        books: StrategyBooks,
        reference: ReferenceService,
        models: ModelChoice,
        new_id: Callable[[], UUID],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._repo = strategies
        self._books = books
        self._reference = reference
        self._models = models
        self._new_id = new_id
        self._clock = clock
        self._by_id: dict[UUID, Strategy] = {}
        self._newest_ns = 0
        self._count = UNCOUNTED

    async def start(self) -> None:
        """Load every strategy."""
        known = set(self._by_id)
        loaded = await self._repo.all()
        # Only what was known before the read can be missing from it: what was made meanwhile is newer than the read.
        for gone in known.difference(strategy.id for strategy in loaded):
            self._by_id.pop(gone, None)
        for strategy in loaded:
            self._remember(strategy)

    async def run_once(self, now: int) -> None:
        """Take over what other processes changed since the last round."""
        for strategy in await self._repo.changed_since(max(0, self._newest_ns - OVERLAP_NS)):
            self._remember(strategy)
        # A deleted one leaves no trace but the count. The count may be wrong after a crash, but then it stays so.
        count = await self._repo.count()
        if count != self._count:
            self._count = count
            await self.start()

    # -- looking up -------------------------------------------------------------------------------------------------

    def strategy(self, identity: UUID) -> Strategy | None:
        """Return a strategy from memory, or None."""
        return self._by_id.get(identity)

    def on_account(self, account: UUID) -> tuple[UUID, ...]:
        """Return the strategies that trade on an account."""
        return tuple(each.id for each in self._by_id.values() if each.account == account)

    def running(self) -> list[Strategy]:
        """Return the strategies that are to run by themselves, the oldest first."""
        return [each for _, each in sorted(self._by_id.items()) if each.running and each.is_active]

    async def get(self, caller: Caller, identity: UUID) -> Strategy:
        """Return a strategy as it is stored. NotFound if there is none, or it is not the caller's to see."""
        found = await self._repo.find(identity)
        if found is None or not caller.sees(found.account):
            raise NotFound("no such strategy")
        return found

    async def page(self, caller: Caller, listing: Listing) -> Page[Strategy]:
        """Return a page of the strategies the caller may see."""
        return await self._repo.page_of(listing, None if caller.reads_all else caller.visible)

    # -- changing ---------------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, values: Mapping[str, Any]) -> Strategy:
        """Store a new strategy of the caller's. Invalid names fields that are wrong.

        Conflict for a trained model that may not be used.
        """
        now = floor_ms(self._clock())
        values = dict(values)
        strategy = Strategy(
            id=self._new_id(),
            account=_own(caller, values.pop("account", None)),
            created_by=caller.user,
            created_at=now,
            updated_at=now,
            **self._checked(values),
        )
        await self._require_model(strategy)
        await self._repo.add(strategy)
        self._remember(strategy)
        return strategy

    async def change(
        self, caller: Caller, identity: UUID, values: Mapping[str, Any], version: int | None = None
    ) -> Strategy:
        """Store changed fields of the caller's own strategy, if it is still of the version given.

        Switching it off stops it; switched on again it has to be started again.
        """
        known = await self._own_strategy(caller, identity)
        _require_version(known.version, version)
        values = dict(values)
        if "account" in values:
            values["account"] = _own(caller, values["account"])
        changed = self._checked({"algorithm": known.algorithm, "parameters": known.parameters} | values)
        if not JUDGED_BY.isdisjoint(values):  # one whose model got worse can still be switched off
            await self._require_model(replace(known, **changed))
        return await self._save(known, **changed)

    async def delete(self, caller: Caller, identity: UUID, version: int | None = None) -> None:
        """Delete the caller's own strategy. Conflict while it runs or has open orders."""
        known = await self._own_strategy(caller, identity)
        _require_version(known.version, version)
        if known.running:
            raise Conflict("the strategy runs; stop it first", code="strategy.running")
        if await self._books.working(identity):
            raise Conflict("the strategy has open orders; cancel them first", code="strategy.open_orders")
        await self._repo.delete(known.id, known.version)
        self._by_id.pop(known.id, None)

    async def set_running(self, caller: Caller, identity: UUID, *, running: bool) -> Strategy:
        """Start or stop a strategy; doing it twice is the same as once. Conflict for one that is not active.

        Whoever sees to risk may stop any; only its owner may start it.
        """
        known = await (self._own_strategy(caller, identity) if running else self.get(caller, identity))
        if running and not known.is_active:
            raise Conflict("the strategy is not active", code="strategy.inactive")
        return known if known.running is running else await self._save(known, running=running)

    # ---------------------------------------------------------------------------------------------------------------

    async def _own_strategy(self, caller: Caller, identity: UUID) -> Strategy:
        found = await self.get(caller, identity)
        if found.account in caller.views:
            raise Forbidden("the account is only shown to you")
        if found.account not in caller.accounts:
            raise NotFound("no such strategy")
        return found

    async def _save(self, known: Strategy, **values: Any) -> Strategy:
        # The poll of other processes goes by this time, so a clock set back must not hide a change.
        now = max(floor_ms(self._clock()), known.updated_at)
        changed = replace(known, **values, updated_at=now, version=known.version + 1)
        if not changed.is_active:
            changed = replace(changed, running=False)
        await self._repo.save(changed)
        self._remember(changed)
        return changed

    async def _require_model(self, strategy: Strategy) -> None:
        await self._models.require(strategy.algorithm, strategy.symbols, strategy.parameters, strategy.interval)

    def _checked(self, values: dict[str, Any]) -> dict[str, Any]:
        values["parameters"] = read_parameters(values["algorithm"], values["parameters"])
        if "symbols" in values:
            values["symbols"] = tuple(values["symbols"])
            require_tickers(self._reference, values["symbols"])
        return values

    def _remember(self, strategy: Strategy) -> None:
        known = self._by_id.get(strategy.id)
        if known is None:
            self._count = UNCOUNTED  # one may have gone as this one came
        elif known.version > strategy.version:
            return  # read before our own change, arrived after it
        self._by_id[strategy.id] = strategy
        self._newest_ns = max(self._newest_ns, strategy.updated_at)


def require_tickers(reference: ReferenceService, symbols: tuple[str, ...], *, field: str = "symbols") -> None:
    """Refuse symbols that no ticker has. Invalid names them, under the field they came in."""
    known = (reference.ticker(symbol) for symbol in symbols)
    unknown = [
        symbol for symbol, ticker in zip(symbols, known, strict=True) if ticker is None or ticker.symbol != symbol
    ]
    if unknown:
        raise Invalid("some symbols are unknown", errors={field: [f"no ticker {name}" for name in unknown[:20]]})


def show_strategy(strategy: Strategy) -> Shown:
    """Show a strategy."""
    return {
        "id": str(strategy.id),
        "name": strategy.name,
        "description": strategy.description,
        "is_active": strategy.is_active,
        "risk_limit": show(strategy.risk_limit),
        "algorithm": strategy.algorithm,
        "symbols": list(strategy.symbols),
        "parameters": {
            name: show(value) if isinstance(value, Decimal) else value for name, value in strategy.parameters.items()
        },
        "interval": strategy.interval,
        "account": str(strategy.account),
        "running": strategy.running,
        "created_by": str(strategy.created_by),
        "created_at": format_rfc3339(strategy.created_at),
        "updated_at": format_rfc3339(strategy.updated_at),
        "version": strategy.version,
    }


def _own(caller: Caller, account: UUID | None) -> UUID:
    if account is None and caller.accounts:
        return caller.accounts[0]
    if account is None or account not in caller.accounts:
        raise NotFound("no such account")
    return account


def _require_version(known: int, wanted: int | None) -> None:
    if wanted is not None and wanted != known:
        raise PreconditionFailed("it was changed since it was read: read it again", version=known)
