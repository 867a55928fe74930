"""How symbols move together: correlations of their daily returns, and their betas against a benchmark.

Both are sample moments of simple returns on the days that all of them have a close, the newest ``window``. A beta is
``cov(r, b) / var(b)``, the slope of the regression on the benchmark. What does not move has no correlation, and a
benchmark that does not move gives no beta: null, and not 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qsuite.domain.analytics.var import LEAST_RETURNS, aligned_returns

Matrix = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comovement:
    """The answer; ``reason`` says why there is none. The matrix is in the order of the symbols asked for."""

    reason: str | None = None
    observations: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    correlations: Matrix = ()
    betas: tuple[float | None, ...] = ()


def comovement(
    symbols: Sequence[str], benchmark: str | None, closes: Mapping[str, Mapping[int, float]], window: int
) -> Comovement:
    """Return how these symbols move together, and with the benchmark where there is one."""
    every = [*symbols, *([] if benchmark is None else [benchmark])]
    without = sorted({symbol for symbol in every if len(closes.get(symbol, {})) < 2})
    if without or not symbols:
        return Comovement(reason=f"no daily closes of {', '.join(without)}" if without else "no symbols")
    days, returns = aligned_returns([closes[symbol] for symbol in every], window)
    found = Comovement(
        observations=len(returns), first_ns=days[0] if days else None, last_ns=days[-1] if days else None
    )
    if len(returns) < LEAST_RETURNS:
        return replace(found, reason=f"{LEAST_RETURNS} daily returns on common days are needed, not {len(returns)}")
    if not np.isfinite(returns).all():
        return replace(found, reason="a close is zero or negative")
    moments = np.atleast_2d(np.cov(returns, rowvar=False))
    # A return that is the same every day differs from its mean by rounding.
    moves = np.ptp(returns, axis=0) > 1e-12 * np.abs(returns).max()
    count, deviations = len(symbols), np.sqrt(np.diag(moments))
    correlations = tuple(
        tuple(
            None
            if not (moves[one] and moves[other])
            else 1.0
            if one == other
            # Rounding must not make more of it than there can be.
            else max(-1.0, min(1.0, float(moments[one, other] / (deviations[one] * deviations[other]))))
            for other in range(count)
        )
        for one in range(count)
    )
    if benchmark is None:
        return replace(found, correlations=correlations)
    betas = tuple(float(moments[one, count] / moments[count, count]) if moves[count] else None for one in range(count))
    return replace(found, correlations=correlations, betas=betas)
