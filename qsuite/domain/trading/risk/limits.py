"""The figures that the controls compare with, by scope: what is set narrowly holds instead of what is set globally.

    global            the profile's figures, with what a risk manager changed since
    account, strategy, ticker
                      single figures set for one of them; where several of them set the same, the strictest counts

A figure is a number, a yes or no, ``OFF`` (switched off on purpose), or None: not there or not readable, and then its
control refuses. Versions rise by one per change of a scope, so that what was in force when can be told.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from qsuite.domain.off import OFF, Off
from qsuite.domain.trading.commands import Scope

Figure = Decimal | bool | Off | None
Number = Decimal | Off | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """One figure per control, named as its code without the prefix; the control says what it bounds.

    Fractions are of one (0.05 is five per cent), times are seconds, rates are per second. Those a single machine is to
    be loaded beyond are off here, as in the local profile.
    """

    max_quantity: Number = Decimal(10_000)
    max_value: Number = Decimal(250_000)
    min_value: Number = Decimal(1)
    price_collar: Number = Decimal("0.05")
    price_collar_passive: Number = Decimal("0.20")
    price_collar_window: Number = Decimal("0.03")
    reference_stale: Number = OFF
    reference_suspect: Number = Decimal("0.10")
    position_limit: Number = Decimal(1_000_000)
    gross_exposure: Number = Decimal(2)
    system_exposure: Number = Decimal(10)
    short_sale: bool | None = False
    max_open_orders: Number = Decimal(200)
    max_open_orders_ticker: Number = Decimal(50)
    order_rate: Number = OFF
    order_burst: Number = Decimal(20)
    cancel_rate: Number = OFF
    lookalike: Number = OFF
    execution_throttle: Number = OFF
    daily_loss: Number = Decimal("0.02")
    daily_loss_halt: Number = Decimal("0.05")
    self_trade: bool | None = True


NAMES = frozenset(item.name for item in fields(Limits))
SWITCHES = frozenset({"short_sale", "self_trade"})
FLOORS = frozenset({"min_value"})
"""Where the larger figure is the stricter one."""


class ScopeLimits(NamedTuple):
    """What one scope sets: ``figures`` by name, who set them last, when and why, and how often they changed.

    ``history`` holds the versions before, newest first, themselves without one; the audit log has those it drops.
    """

    scope: Scope
    target: str | None
    figures: Mapping[str, Figure]
    version: int = 0
    set_by: UUID | None = None
    set_at: int = 0
    reason: str = ""
    history: tuple["ScopeLimits", ...] = ()


class LimitBook:
    """All limits in force. ``defaults`` are the profile's figures, which a global change covers."""

    def __init__(self, defaults: Limits | None = None) -> None:
        self.defaults = defaults or Limits()
        self.scopes: dict[tuple[Scope, str | None], ScopeLimits] = {}
        self._global = self.defaults
        self._effective: dict[tuple[str | None, str | None, str | None], Limits] = {}

    def load(self, scopes: Iterable[ScopeLimits]) -> None:
        """Take over what storage knows."""
        for each in scopes:
            self.put(each)

    def put(self, limits: ScopeLimits) -> None:
        """Let a scope's new figures hold at once; without figures the scope sets nothing any more."""
        self.scopes[limits.scope, limits.target] = limits
        self._effective.clear()
        if limits.scope is Scope.GLOBAL:
            figures: dict[str, Any] = dict(limits.figures)
            self._global = replace(self.defaults, **figures)

    def version(self, scope: Scope, target: str | None) -> int:
        """Return how often a scope was changed; 0 for one never set."""
        known = self.scopes.get((scope, target))
        return 0 if known is None else known.version

    def effective(self, account: UUID | None, strategy: UUID | None = None, symbol: str | None = None) -> Limits:
        """Return the figures for an order of this account, strategy and symbol. O(1); remembered until a change."""
        if not self.scopes:
            return self._global
        key = (
            self._set(Scope.ACCOUNT, None if account is None else str(account)),
            self._set(Scope.STRATEGY, None if strategy is None else str(strategy)),
            self._set(Scope.TICKER, symbol),
        )
        if key == (None, None, None):
            return self._global
        found = self._effective.get(key)
        if found is None:
            found = self._effective[key] = self._combined(key)
        return found

    def _set(self, scope: Scope, target: str | None) -> str | None:
        # Only scopes that set something make a key, so that the memory is bounded by what risk managers typed.
        return target if target is not None and (scope, target) in self.scopes else None

    def _combined(self, key: tuple[str | None, str | None, str | None]) -> Limits:
        narrow: dict[str, Any] = {}
        for scope, target in zip((Scope.ACCOUNT, Scope.STRATEGY, Scope.TICKER), key, strict=True):
            if target is not None:
                for name, figure in self.scopes[scope, target].figures.items():
                    narrow[name] = strictest(name, narrow[name], figure) if name in narrow else figure
        return replace(self._global, **narrow)


def strictest(name: str, one: Figure, other: Figure) -> Figure:
    """Return the figure of the two that lets less through. One that cannot be read lets nothing through."""
    if one is None or other is None:
        return None
    if isinstance(one, Off) or isinstance(other, Off):
        return other if isinstance(one, Off) else one
    if name == "self_trade":
        return one or other
    return max(one, other) if name in FLOORS else min(one, other)
