"""The risk desk: limits, kill switches, events, and what an order would meet.

Everything that changes goes through the engine, so that it counts from the next order on; what is read here comes from
storage, so that a process that stands by answers the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from qsuite.domain.channels import RISK_DESK
from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.listing import Listing, Page
from qsuite.domain.money import show
from qsuite.domain.roles import Caller
from qsuite.domain.strategies import Strategy
from qsuite.domain.times import format_rfc3339
from qsuite.domain.trading.changes import Announcement
from qsuite.domain.trading.commands import Halt, Outcome, Resume, Scope, SetLimits, TradingHalt, TradingMode
from qsuite.domain.trading.order import Status
from qsuite.domain.trading.risk import LimitBook, Limits, RiskEvent, ScopeLimits
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.risk_controls import RiskControlsRepo
from qsuite.repos.risk_events import RiskEventsRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.engine import TradingEngine
from qsuite.services.outcomes import error_of
from qsuite.services.reference import ReferenceService
from qsuite.services.stream import StreamHub
from qsuite.services.trading import TradingService
from qsuite.services.views import Shown, show_risk_event

SNAPSHOT = 100


class RiskService:
    """The use cases of risk managers, and what traders may see of them. ``defaults`` are the profile's limits."""

    def __init__(
        self,
        *,
        engine: TradingEngine,
        trail: AuditTrail,
        trading: TradingService,
        controls: RiskControlsRepo,
        events: RiskEventsRepo,
        accounts: AccountsRepo,
        reference: ReferenceService,
        strategy: Callable[[UUID], Strategy | None],
        stream: StreamHub,
        defaults: Limits,
    ) -> None:
        self._engine = engine
        self._trail = trail
        self._trading = trading
        self._controls = controls
        self._events = events
        self._accounts = accounts
        self._reference = reference
        self._strategy = strategy
        self._stream = stream
        self._defaults = defaults
        engine.listen(self._announce)
        stream.snapshot_source("risk", self._events_snapshot)

    # -- limits -------------------------------------------------------------------------------------------------

    async def limits(
        self, caller: Caller, account: UUID | None, strategy: UUID | None, symbol: str | None
    ) -> dict[str, Any]:
        """Return the limits of every scope the caller may see, and those that count for one order's context.

        Without an account that is the caller's first, for whoever has none nobody's in particular.
        """
        if account is None and caller.accounts:
            account = caller.accounts[0]
        elif account is not None and not caller.sees(account):
            raise NotFound("no such account")
        if strategy is not None and not caller.reads_all and not self._owns(caller, str(strategy)):
            raise NotFound("no such strategy")
        stored = await self._controls.limits()
        book = LimitBook(self._defaults)
        book.load(stored)
        shown = [_show_scope(scoped) for scoped in self._seen_by(caller, stored)]
        return {"scopes": shown, "effective": show_limits(book.effective(account, strategy, symbol))}

    async def set_limits(
        self,
        caller: Caller,
        scope: Scope,
        target: str | None,
        limits: Mapping[str, Decimal | bool | None],
        reason: str,
        version: int | None,
    ) -> dict[str, Any]:
        """Set figures of a scope and return all it sets now; None takes a figure away.

        PreconditionFailed if the scope is not at ``version`` any more; Invalid for figures no limit can have.
        """
        await self.check_target(scope, target)
        command = SetLimits(scope=scope, target=target, limits=limits, user=caller.user, reason=reason, version=version)
        outcome = await self._engine.submit(command)
        if outcome.error == "validation":
            raise Invalid("some fields are wrong", errors=_wrong_fields(outcome))
        if outcome.error is not None:
            raise error_of(outcome)
        self._mention("risk.limits_set", caller, scope, target, limits=limits, reason=reason)
        key = (scope, target)
        stored = await self._controls.limits()
        return _show_scope(next(scoped for scoped in stored if (scoped.scope, scoped.target) == key))

    async def check_target(self, scope: Scope, target: str | None) -> None:
        """Refuse a scope's id that names nothing: what is meant would go on unbounded. Invalid."""
        if target is None:
            return
        if scope is Scope.TICKER:
            known = self._reference.ticker(target) is not None
        elif scope is Scope.STRATEGY:
            known = self._strategy(UUID(target)) is not None
        else:
            known = bool(await self._accounts.of_ids([UUID(target)]))
        if not known:
            raise Invalid("some fields are wrong", errors={"id": [f"there is no such {scope.value}"]})

    # -- kill switches ------------------------------------------------------------------------------------------

    async def halt(self, caller: Caller, scope: Scope, target: str | None, mode: TradingMode, reason: str) -> int:
        """Throw a kill switch; return how many orders it cancelled."""
        await self.check_target(scope, target)
        command = Halt(scope=scope, target=target, user=caller.user, reason=reason, mode=mode)
        outcome = await self._engine.submit(command)
        if outcome.error is not None:
            raise error_of(outcome)
        self._mention("risk.halted", caller, scope, target, mode=mode, reason=reason)
        return len(outcome.orders)

    async def resume(self, caller: Caller, scope: Scope, target: str | None) -> None:
        """Lift a kill switch. Forbidden to the user who threw it, NotFound where nothing is halted."""
        outcome = await self._engine.submit(Resume(scope=scope, target=target, user=caller.user))
        if outcome.error is not None:
            raise error_of(outcome)
        self._mention("risk.resumed", caller, scope, target)

    def _mention(self, kind: str, caller: Caller, scope: Scope, target: str | None, **facts: object) -> None:
        subject = scope.value if target is None else f"{scope.value} {target}"
        self._trail.mention(kind, actor=caller.user, actor_name=caller.username, subject=subject, facts=facts)

    async def halts(self, caller: Caller) -> list[TradingHalt]:
        """Return what is halted of what concerns the caller."""
        return [halt for halt in await self._controls.halts() if self._concerns(caller, halt.scope, halt.target)]

    # -- events and checks --------------------------------------------------------------------------------------

    async def events(self, caller: Caller, listing: Listing) -> Page[RiskEvent]:
        """Return a page of risk events: all for whoever reads all, else those of one's accounts."""
        return await self._events.page(listing, None if caller.reads_all else caller.visible)

    async def check(self, caller: Caller, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Say what an order would meet, without placing it: the verdict its placing would get now."""
        outcome = await self._trading.check(caller, asked)
        if outcome.order is not None:  # placed before, under the same client id: its answer would come again
            refused = outcome.order.status is Status.REJECTED
            return _verdict(outcome.order.reject if refused else None) | {"order": str(outcome.order.id)}
        facts = outcome.facts or {}
        return _verdict(outcome.refusal) | {
            "worst_price": _optional(facts.get("worst_price")),
            "reservation": _optional(facts.get("reservation")),
            "limits": show_limits(facts["limits"]) if "limits" in facts else None,
        }

    # -- inside -------------------------------------------------------------------------------------------------

    def _seen_by(self, caller: Caller, stored: Sequence[ScopeLimits]) -> list[ScopeLimits]:
        """Return the scopes to show, the global one always."""
        found = list(stored)
        if all(scoped.scope is not Scope.GLOBAL for scoped in found):
            found.insert(0, ScopeLimits(Scope.GLOBAL, None, {}))
        return [scoped for scoped in found if self._concerns(caller, scoped.scope, scoped.target)]

    def _concerns(self, caller: Caller, scope: Scope, target: str | None) -> bool:
        """Say whether a scope is everybody's or the caller's own; those who read all trading see every one."""
        if caller.reads_all or scope in (Scope.GLOBAL, Scope.TICKER):
            return True
        if scope is Scope.ACCOUNT:
            return target in {str(account) for account in caller.visible}
        return self._owns(caller, target)

    def _owns(self, caller: Caller, target: str | None) -> bool:
        strategy = None if target is None else self._strategy(UUID(target))
        return strategy is not None and strategy.created_by == caller.user

    def _announce(self, announcements: Sequence[Announcement]) -> None:
        """Tell the risk desk of every event; ``TradingService`` tells the account it befell."""
        for kind, _, what in announcements:
            if kind == "risk_event" and self._stream.wanted_private(RISK_DESK, "risk"):
                self._stream.publish_private(RISK_DESK, "risk", {"type": kind, **show_risk_event(what)})

    async def _events_snapshot(self, caller: Caller, channel: str) -> list[Shown]:
        listing = Listing(order=(("ts", True),), page_size=SNAPSHOT, cursor="")
        return [show_risk_event(event) for event in (await self.events(caller, listing)).items]


def limits_id(scope: Scope, target: str | None) -> str:
    """Name a scope's limits in an entity tag."""
    return f"limits:{scope.value}:{quote(target or '', safe='')}"


def show_limits(limits: Limits) -> dict[str, Any]:
    """Show figures by name: ``off`` is switched off by the profile; null cannot be read, so its control refuses."""
    return {name: _show_figure(figure) for name, figure in asdict(limits).items()}


def _show_scope(scoped: ScopeLimits) -> dict[str, Any]:
    return {
        "scope": scoped.scope.value,
        "id": scoped.target,
        "limits": {name: _show_figure(figure) for name, figure in scoped.figures.items()},
        "version": scoped.version,
        "etag": f'"{limits_id(scoped.scope, scoped.target)}.{scoped.version}"',
        "set_by": None if scoped.set_by is None else str(scoped.set_by),
        "set_at": format_rfc3339(scoped.set_at) if scoped.version else None,
        "reason": scoped.reason or None,
    }


def _show_figure(figure: object) -> object:
    return show(figure) if isinstance(figure, Decimal) else figure


def _verdict(reject: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "verdict": "accepted" if reject is None else "refused",
        "reject": None if reject is None else dict(reject),
        "worst_price": None,
        "reservation": None,
        "limits": None,
        "order": None,
    }


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else show(value)


def _wrong_fields(outcome: Outcome) -> dict[str, list[str]]:
    wrong: Mapping[str, str] = (outcome.facts or {})["errors"]
    return {name if name == "id" else f"limits.{name}": [problem] for name, problem in wrong.items()}
