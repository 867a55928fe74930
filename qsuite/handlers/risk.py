"""Limits, exposure, value at risk, events, kill switches and checks over HTTP."""

from uuid import UUID

from marshmallow import fields

from qsuite.domain.errors import Invalid
from qsuite.domain.roles import RISK_MANAGERS, TRADERS, TRADING_READERS
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.trading.commands import Scope
from qsuite.domain.trading.risk import Severity
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation
from qsuite.handlers.risk_schemas import (
    AllLimitsSchema,
    CheckSchema,
    CorrelationQuerySchema,
    CorrelationSchema,
    ExposureQuerySchema,
    ExposureSchema,
    HaltedSchema,
    KillSwitchQuerySchema,
    KillSwitchSchema,
    LimitsQuerySchema,
    RiskEventSchema,
    ScopeLimitsSchema,
    SetLimitsSchema,
    VarQuerySchema,
    VarSchema,
)
from qsuite.handlers.trading_schemas import PlaceOrderSchema
from qsuite.services.correlation import SYMBOLS_MAX
from qsuite.services.risk import limits_id
from qsuite.services.views import show_halt, show_risk_event

TAG = "risk"

EVENTS = ListingSpec(
    filters={
        "code": (fields.String(), EQUALITY),
        "severity": (fields.Enum(Severity, by_value=fields.String), EQUALITY),
        "scope": (fields.Enum(Scope, by_value=fields.String), EQUALITY),
        "target": (fields.String(), EQUALITY),
        "account": (fields.UUID(), EQUALITY),
        "order": (fields.UUID(), EQUALITY),
        "symbol": (fields.String(), EQUALITY),
        "ts": (InstantField(), COMPARISONS),
    },
    orderings=("ts",),
    default_order=("-ts",),
    cursor=True,
)


class LimitsHandler(ApiHandler):
    """The figures the controls compare with."""

    @operation(
        "Show every scope's limits, and those that count for an order",
        roles=TRADING_READERS,
        query=LimitsQuerySchema(),
        returns={200: AllLimitsSchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        """Show them."""
        asked = self.query
        self.answer(
            await self.services.risk.limits(
                self.caller, asked.get("account"), asked.get("strategy"), asked.get("symbol")
            )
        )

    @operation(
        "Set figures of a scope; they count from the next order on",
        roles=RISK_MANAGERS,
        body=SetLimitsSchema(),
        returns={200: ScopeLimitsSchema()},
        raises=(412,),
        tag=TAG,
    )
    async def put(self) -> None:
        """Set them."""
        scope, limits = self.body["scope"], self.body["limits"]
        target = checked_target(scope, self.body.get("id"))
        if not limits:
            raise Invalid("some fields are wrong", errors={"limits": ["name at least one"]})
        version = self.expected_version(limits_id(scope, target))
        shown = await self.services.risk.set_limits(self.caller, scope, target, limits, self.body["reason"], version)
        self.set_header("ETag", shown["etag"])
        self.answer(shown)


class ExposureHandler(ApiHandler):
    """What is at stake now."""

    @operation(
        "Show exposure: one's own, or of whoever reads all everybody's and the system's",
        roles=TRADING_READERS,
        query=ExposureQuerySchema(),
        returns={200: ExposureSchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        """Show it."""
        self.answer(await self.services.exposure.exposure(self.caller, self.query.get("account")))


class ValueAtRiskHandler(ApiHandler):
    """What may be lost."""

    @operation(
        "Estimate value at risk and expected shortfall of an account's positions, and say how such estimates did",
        roles=TRADING_READERS,
        query=VarQuerySchema(),
        returns={200: VarSchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        """Estimate it."""
        asked = self.query
        self.answer(
            await self.services.exposure.value_at_risk(
                self.caller,
                account=asked.get("account"),
                method=asked["method"],
                confidence=asked["confidence"],
                horizon_days=asked["horizon_days"],
                window=asked["window"],
                backtest_days=asked["backtest_days"] if asked["backtest"] else None,
            )
        )


class CorrelationHandler(ApiHandler):
    """How symbols move together."""

    @operation(
        "Show correlations of daily returns, and betas against a benchmark, of symbols or of an account's positions",
        roles=TRADING_READERS,
        query=CorrelationQuerySchema(),
        returns={200: CorrelationSchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        """Show them."""
        asked = self.query
        symbols = list(dict.fromkeys(name.strip() for name in asked.get("symbols", "").split(",") if name.strip()))
        if len(symbols) > SYMBOLS_MAX:
            raise Invalid("the query string has errors", errors={"symbols": [f"at most {SYMBOLS_MAX}"]})
        if symbols and "account" in asked:
            raise Invalid("the query string has errors", errors={"symbols": ["give symbols or an account"]})
        self.answer(
            await self.services.correlation.show(
                self.caller,
                account=asked.get("account"),
                symbols=symbols,
                benchmark=asked.get("benchmark"),
                window=asked["window"],
            )
        )


class RiskEventsHandler(ApiHandler):
    """What the controls did."""

    @operation(
        "List risk events, newest first",
        roles=TRADING_READERS,
        listing=EVENTS,
        returns={200: RiskEventSchema()},
        tag=TAG,
    )
    async def get(self) -> None:
        """List them."""
        page = await self.services.risk.events(self.caller, self.listing())
        self.answer_page(page, [show_risk_event(event) for event in page.items])


class CheckHandler(ApiHandler):
    """A dry run."""

    @operation(
        "Say what an order would meet, without placing it",
        roles=TRADERS,
        body=PlaceOrderSchema(),
        returns={200: CheckSchema()},
        raises=(409,),
        tag=TAG,
    )
    async def post(self) -> None:
        """Check it."""
        self.answer(await self.services.risk.check(self.caller, self.body))


class KillSwitchHandler(ApiHandler):
    """Stop trading, and let it go on."""

    @operation("Show what is halted", roles=TRADING_READERS, returns={200: HaltedSchema()}, tag=TAG)
    async def get(self) -> None:
        """Show it."""
        await self._answer_halts()

    @operation(
        "Halt a scope: new orders are refused, working ones cancelled",
        roles=RISK_MANAGERS,
        body=KillSwitchSchema(),
        returns={200: HaltedSchema()},
        tag=TAG,
        scope=ThrottleScope.CANCELS,
    )
    async def post(self) -> None:
        """Halt."""
        asked = self.body
        target = checked_target(asked["scope"], asked.get("id"))
        cancelled = await self.services.risk.halt(self.caller, asked["scope"], target, asked["state"], asked["reason"])
        await self._answer_halts(cancelled=cancelled)

    @operation(
        "Lift a halt; another user than the one who threw it must",
        roles=RISK_MANAGERS,
        query=KillSwitchQuerySchema(),
        returns={200: HaltedSchema()},
        tag=TAG,
        scope=ThrottleScope.CANCELS,
    )
    async def delete(self) -> None:
        """Lift."""
        scope = self.query["scope"]
        await self.services.risk.resume(self.caller, scope, checked_target(scope, self.query.get("id")))
        await self._answer_halts()

    async def _answer_halts(self, **more: int) -> None:
        self.answer({"halts": [show_halt(halt) for halt in await self.services.risk.halts(self.caller)], **more})


def checked_target(scope: Scope, target: str | None) -> str | None:
    """Return the id a scope needs in its one spelling. Invalid if it is missing, superfluous or malformed."""
    if scope is Scope.GLOBAL:
        if target is not None:
            raise Invalid("the global scope takes no id", errors={"id": ["not taken with scope global"]})
        return None
    if target is None:
        raise Invalid("this scope needs an id", errors={"id": [f"required with scope {scope.value}"]})
    if scope is Scope.TICKER:
        return target
    try:
        return str(UUID(target))
    except ValueError:
        raise Invalid(f"the id of scope {scope.value} is a UUID", errors={"id": ["not a UUID"]}) from None


routes = [
    (r"/api/v1/risk/limits/?", LimitsHandler),
    (r"/api/v1/risk/exposure/?", ExposureHandler),
    (r"/api/v1/risk/var/?", ValueAtRiskHandler),
    (r"/api/v1/risk/correlation/?", CorrelationHandler),
    (r"/api/v1/risk/events/?", RiskEventsHandler),
    (r"/api/v1/risk/check/?", CheckHandler),
    (r"/api/v1/risk/kill-switch/?", KillSwitchHandler),
]
