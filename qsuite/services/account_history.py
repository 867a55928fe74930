"""Writes down once a minute, and at the day's end, what every active account is worth; and reads it back.

Active is who is in the engine's memory: who holds something, has an open order, or traded since it started. Samples are
of one instant each: of memory as it is between two batches. Only the process that has the engine samples, so that its
memory is what counts; should two of them believe so for a moment, the second one's samples change nothing.
"""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

from qsuite.domain.account_history import EquitySample, due_at, sample_of
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.valuation import value_account
from qsuite.repos.account_history import AccountHistoryRepo
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineState

PriceOf = Callable[[Position], Decimal | None]
LIMIT = 10_000


class AccountHistory:
    """A supervised loop, and the reading of what it wrote."""

    name = "account-history"
    interval_s = 1.0

    def __init__(
        self,
        *,
        engine: TradingEngine,
        history: AccountHistoryRepo,
        price_of: PriceOf,
    ) -> None:
        self._engine = engine
        self._history = history
        self._price_of = price_of
        self._done_at = 0

    async def run_once(self, now: int) -> None:
        """Sample if it is time to; never backwards, should the clock be set back."""
        ts = due_at(now)
        if ts <= self._done_at or self._engine.state is not EngineState.ACTIVE:
            return
        await self._history.add_new(self._samples(ts))
        self._done_at = ts

    async def read(self, account: UUID, interval: str, from_ns: int | None, to_ns: int | None) -> list[EquitySample]:
        """Return the last sample of each interval, oldest first; the newest 10,000 of the range."""
        return await self._history.read(account, interval, from_ns, to_ns, LIMIT)

    def _samples(self, ts: int) -> list[EquitySample]:
        memory = self._engine.memory
        found = []
        for account in memory.accounts.values():
            held = [position for position in memory.positions.get(account.id, {}).values() if position.quantity]
            valued = value_account(account, [(position, self._price_of(position)) for position in held])
            found.append(sample_of(account, valued, ts))
        return found
