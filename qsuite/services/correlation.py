"""Correlations and betas of what an account holds, or of the symbols asked for: computed in a worker process.

Beta exposure is what the positions amount to in units of the benchmark: the sum of each one's value times its beta.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from qsuite.domain.analytics.comovement import Comovement, comovement
from qsuite.domain.roles import Caller
from qsuite.domain.times import format_rfc3339
from qsuite.repos.daily_closes import DailyClosesRepo
from qsuite.services.exposure import SPARE_DAYS, ExposureService, money_of
from qsuite.services.reference import ReferenceService
from qsuite.services.strategies import require_tickers
from qsuite.services.workers import WorkerPool

SYMBOLS_MAX = 50


class CorrelationService:
    """Answer for how symbols move together."""

    def __init__(
        self,
        *,
        exposure: ExposureService,
        closes: DailyClosesRepo,
        reference: ReferenceService,
        workers: WorkerPool,
    ) -> None:
        self._exposure = exposure
        self._closes = closes
        self._reference = reference
        self._workers = workers

    async def show(
        self, caller: Caller, *, account: UUID | None, symbols: Sequence[str], benchmark: str | None, window: int
    ) -> dict[str, Any]:
        """Return the figures of these symbols, or without any of what the account holds, as value at risk sees it.

        NotFound for an account that is not theirs, Invalid for symbols that no ticker has.
        """
        require_tickers(self._reference, tuple(symbols))
        if benchmark is not None:
            require_tickers(self._reference, (benchmark,), field="benchmark")
        worth: dict[str, float] = {}
        if symbols:
            account = None
        else:
            account, quantities, values, _ = await self._exposure.held(caller, account)
            symbols, worth = sorted(quantities), {symbol: float(value) for symbol, value in values.items()}
        found = await self._found(symbols, benchmark, window)
        exposed = [
            None if beta is None or symbol not in worth else beta * worth[symbol]
            for symbol, beta in zip(symbols, found.betas, strict=False)
        ]
        known = [value for value in exposed if value is not None]
        return {
            "account": None if account is None else str(account),
            "symbols": list(symbols),
            "benchmark": benchmark,
            "window": window,
            "observations": found.observations,
            "from": None if found.first_ns is None else format_rfc3339(found.first_ns),
            "to": None if found.last_ns is None else format_rfc3339(found.last_ns),
            "correlations": [list(row) for row in found.correlations],
            "betas": list(found.betas),
            "beta_exposure": money_of(sum(known)) if worth and found.betas and len(known) == len(exposed) else None,
            "reason": found.reason,
        }

    async def _found(self, symbols: Sequence[str], benchmark: str | None, window: int) -> Comovement:
        if not symbols:
            return Comovement(reason="nothing is held")
        if len(symbols) > SYMBOLS_MAX:
            return Comovement(reason=f"{len(symbols)} symbols are held; ask for at most {SYMBOLS_MAX} of them")
        asked = {*symbols} | ({benchmark} if benchmark is not None else set())
        closes = await self._closes.closes(asked, window + 1 + SPARE_DAYS)
        found: Comovement = await self._workers.run(comovement, list(symbols), benchmark, closes, window)
        return found
