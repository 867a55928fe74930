"""Strategies over HTTP: their life, their runs, and how they did. A trader sees their own."""

from uuid import UUID

from marshmallow import fields

from qsuite.domain.roles import RISK_MANAGERS, TRADERS, TRADING_READERS
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.handlers.strategy_schemas import (
    GeneratedSignalsSchema,
    StrategyInputSchema,
    StrategyPerformanceSchema,
    StrategySchema,
)
from qsuite.services.signals import show_signal
from qsuite.services.strategies import show_strategy

STRATEGIES = ListingSpec(
    filters={
        "name": (fields.String(), EQUALITY),
        "account": (fields.UUID(), EQUALITY),
        "algorithm": (fields.String(), EQUALITY),
        "symbol": (fields.String(), EQUALITY),
        "is_active": (fields.Boolean(), ("eq",)),
        "running": (fields.Boolean(), ("eq",)),
        "created_by": (fields.UUID(), EQUALITY),
        "created_at": (InstantField(), COMPARISONS),
    },
    search=True,
    orderings=("name", "created_at", "updated_at"),
    default_order=("name",),
)


class StrategiesHandler(ApiHandler):
    """All strategies of the caller."""

    @operation("List strategies", roles=TRADING_READERS, listing=STRATEGIES, returns={200: StrategySchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.strategies.page(self.caller, self.listing())
        self.answer_page(page, [show_strategy(strategy) for strategy in page.items])

    @operation(
        "Add a strategy; it does not run before it is started",
        roles=TRADERS,
        body=StrategyInputSchema(),
        returns={201: StrategySchema()},
    )
    async def post(self) -> None:
        """Add one."""
        strategy = await self.services.strategies.create(self.caller, self.body)
        self.set_header("Location", f"/api/v1/strategies/{strategy.id}/")
        self.answer_resource(show_strategy(strategy), strategy.version, 201)


class StrategyHandler(ApiHandler):
    """One strategy."""

    @operation("Show a strategy", roles=TRADING_READERS, returns={200: StrategySchema()})
    async def get(self, name: str) -> None:
        """Show it."""
        strategy = await self.services.strategies.get(self.caller, as_id(name))
        self.answer_resource(show_strategy(strategy), strategy.version)

    @operation(
        "Replace a strategy",
        roles=TRADERS,
        body=StrategyInputSchema(),
        returns={200: StrategySchema()},
        raises=(409, 412),
    )
    async def put(self, name: str) -> None:
        """Replace it."""
        await self._change(as_id(name))

    @operation(
        "Change fields of a strategy; one that is switched off stops",
        roles=TRADERS,
        body=StrategyInputSchema(partial=True),
        returns={200: StrategySchema()},
        raises=(409, 412),
    )
    async def patch(self, name: str) -> None:
        """Change it."""
        await self._change(as_id(name))

    @operation(
        "Delete a strategy that neither runs nor has open orders",
        roles=TRADERS,
        returns={204: None},
        raises=(409, 412),
    )
    async def delete(self, name: str) -> None:
        """Delete it."""
        identity = as_id(name)
        await self.services.strategies.delete(self.caller, identity, self.expected_version(identity))
        self.answer_nothing()

    async def _change(self, identity: UUID) -> None:
        version = self.expected_version(identity)
        strategy = await self.services.strategies.change(self.caller, identity, self.body, version)
        self.answer_resource(show_strategy(strategy), strategy.version)


class RunHandler(ApiHandler):
    """One run of a strategy, now."""

    @operation(
        "Compute the signals of a strategy's symbols and place what follows from them, once for each bar",
        roles=TRADERS,
        returns={200: GeneratedSignalsSchema()},
        raises=(409,),
    )
    async def post(self, name: str) -> None:
        """Run it."""
        run = await self.services.strategy_runs.run(self.caller, as_id(name))
        results = [show_signal(signal) for signal in run.signals]
        self.answer({"count": len(results), "results": results, "missed": [each._asdict() for each in run.missed]})


class StartHandler(ApiHandler):
    """The beginning of a strategy's running by itself."""

    @operation(
        "Let a strategy run by itself, once for each bar or every so many seconds",
        roles=TRADERS,
        returns={200: StrategySchema()},
        raises=(409, 412),
    )
    async def post(self, name: str) -> None:
        """Start it."""
        strategy = await self.services.strategies.set_running(self.caller, as_id(name), running=True)
        self.answer_resource(show_strategy(strategy), strategy.version)


class StopHandler(ApiHandler):
    """The end of it."""

    @operation(
        "Stop a strategy from running by itself; its orders stay",
        roles=TRADERS | RISK_MANAGERS,
        returns={200: StrategySchema()},
        raises=(409, 412),
    )
    async def post(self, name: str) -> None:
        """Stop it."""
        strategy = await self.services.strategies.set_running(self.caller, as_id(name), running=False)
        self.answer_resource(show_strategy(strategy), strategy.version)


class PerformanceHandler(ApiHandler):
    """How a strategy did."""

    @operation(
        "Show what a strategy's orders and fills amount to",
        roles=TRADING_READERS,
        returns={200: StrategyPerformanceSchema()},
    )
    async def get(self, name: str) -> None:
        """Show it."""
        strategy = await self.services.strategies.get(self.caller, as_id(name))
        last_run = self.services.strategy_runs.last_runs.get(strategy.id)
        self.answer(await self.services.strategy_performance.show(strategy, last_run))


routes = [
    (r"/api/v1/strategies/?", StrategiesHandler),
    (r"/api/v1/strategies/([^/]+)/?", StrategyHandler),
    (r"/api/v1/strategies/([^/]+)/run/?", RunHandler),
    (r"/api/v1/strategies/([^/]+)/start/?", StartHandler),
    (r"/api/v1/strategies/([^/]+)/stop/?", StopHandler),
    (r"/api/v1/strategies/([^/]+)/performance/?", PerformanceHandler),
]
