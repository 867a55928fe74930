"""Kill switches over HTTP."""

from uuid import UUID

from qsuite.domain.errors import Invalid
from qsuite.domain.roles import RISK_MANAGERS, TRADING_READERS
from qsuite.domain.trading.commands import Scope
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.operations import operation
from qsuite.handlers.trading_schemas import HaltedSchema, KillSwitchQuerySchema, KillSwitchSchema
from qsuite.services.views import show_halt


class KillSwitchHandler(ApiHandler):
    """Stop trading, and let it go on."""

    @operation("Show what is halted", roles=TRADING_READERS, returns={200: HaltedSchema()})
    async def get(self) -> None:
        """Show it."""
        self._answer_halts()

    @operation(
        "Halt a scope: new orders are refused, working ones cancelled",
        roles=RISK_MANAGERS,
        body=KillSwitchSchema(),
        returns={200: HaltedSchema()},
    )
    async def post(self) -> None:
        """Halt."""
        scope, target = self.body["scope"], self.body.get("id")
        cancelled = await self.services.trading.halt(
            self.caller, scope, checked_target(scope, target), self.body["reason"]
        )
        self._answer_halts(cancelled=len(cancelled))

    @operation(
        "Lift a halt; another user than the one who threw it must",
        roles=RISK_MANAGERS,
        query=KillSwitchQuerySchema(),
        returns={200: HaltedSchema()},
    )
    async def delete(self) -> None:
        """Lift."""
        scope = self.query["scope"]
        await self.services.trading.resume(self.caller, scope, checked_target(scope, self.query.get("id")))
        self._answer_halts()

    def _answer_halts(self, **more: int) -> None:
        self.answer({"halts": [show_halt(halt) for halt in self.services.trading.halts()], **more})


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
        raise Invalid("an account's id is a UUID", errors={"id": ["not a UUID"]}) from None


routes = [(r"/api/v1/risk/kill-switch/?", KillSwitchHandler)]
