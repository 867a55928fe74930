"""Read the configured fill rules: how paper orders fill and what they cost where a ticker says nothing else."""

from typing import Any

from qsuite.domain.errors import SetupError
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.domain.trading.commission import Commission, Model, commission_from
from qsuite.domain.trading.paper import FillRules
from qsuite.settings import TradingSettings


def rules_from(settings: TradingSettings) -> FillRules:
    """Read the configured fill rules. SetupError names a commission that makes no sense."""
    return FillRules(
        commission=default_commission(settings),
        participation=settings.participation,
        slippage_min_bps=settings.slippage_min_bps,
        slippage_max_bps=settings.slippage_max_bps,
        limit_needs_through=settings.limit_fill == "through",
        latency_ns=int(settings.latency_ms * NS_PER_MS),
        quote_max_age_ns=int(settings.quote_max_age_s * NS_PER_S),
    )


def default_commission(settings: TradingSettings) -> Commission:
    """Read the commission of tickers that have none of their own."""
    model = settings.commission_model
    rates: dict[str, Any] = {
        Model.PER_SHARE: {"per_share": settings.commission_per_share},
        Model.PERCENT: {"percent": settings.commission_percent},
        Model.TIERED: {"tiers": [_tier(text) for text in settings.commission_tiers]},
    }
    bounds = {"minimum": settings.commission_minimum, "maximum": settings.commission_maximum}
    try:
        return commission_from({"model": model} | rates[Model(model)] | bounds)
    except ValueError as error:
        raise SetupError(f"trading.commission_{model}: {error}") from None


def _tier(text: str) -> dict[str, str]:
    """Read ``1000:0.005``, or ``0.002`` for the tier without end."""
    up_to, colon, per_share = text.rpartition(":")
    return {"up_to": up_to, "per_share": per_share} if colon else {"per_share": per_share}
