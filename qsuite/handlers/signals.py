"""Signals over HTTP: what the algorithms advise, and what became of it."""

from marshmallow import fields

from qsuite.domain.analytics.signals import Advice
from qsuite.domain.roles import ADMINS, EVERY_ROLE, RISK_MANAGERS, TRADERS
from qsuite.domain.signals import Fate
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.market_fields import IntervalField
from qsuite.handlers.operations import operation
from qsuite.handlers.strategy_schemas import GeneratedSignalsSchema, GenerateSignalsSchema, SignalSchema
from qsuite.services.signals import show_signal

SIGNALS = ListingSpec(
    filters={
        "symbol": (fields.String(), EQUALITY),
        "algorithm": (fields.String(), EQUALITY),
        "signal": (fields.Enum(Advice, by_value=fields.String), EQUALITY),
        "status": (fields.Enum(Fate, by_value=fields.String), EQUALITY),
        "interval": (IntervalField(), EQUALITY),
        "strategy": (fields.UUID(), EQUALITY),
        "bar": (InstantField(), COMPARISONS),
        "created_at": (InstantField(), COMPARISONS),
    },
    orderings=("created_at", "bar", "symbol"),
    default_order=("-created_at",),
    cursor=True,
)


class SignalsHandler(ApiHandler):
    """Public signals, and those of the caller's strategies."""

    @operation("List signals, newest first", roles=EVERY_ROLE, listing=SIGNALS, returns={200: SignalSchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.signals.page(self.caller, self.listing())
        self.answer_page(page, [show_signal(signal) for signal in page.items])


class GenerateHandler(ApiHandler):
    """Signals now."""

    @operation(
        "Make the signals at each symbol's newest closed bar; those that are there already are shown again",
        roles=TRADERS | RISK_MANAGERS | ADMINS,
        body=GenerateSignalsSchema(),
        returns={200: GeneratedSignalsSchema()},
        scope=ThrottleScope.ANALYTICS,
    )
    async def post(self) -> None:
        """Make them."""
        asked = self.body
        signals, missed = await self.services.signals.generate(asked["symbols"], asked["algorithm"], asked["interval"])
        results = [show_signal(signal) for signal in signals]
        self.answer({"count": len(results), "results": results, "missed": [each._asdict() for each in missed]})


routes = [
    (r"/api/v1/signals/?", SignalsHandler),
    (r"/api/v1/signals/generate/?", GenerateHandler),
]
