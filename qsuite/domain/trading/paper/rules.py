"""How orders fill: the configured rules, and what a ticker changes of them.

Invariant: rules never change; a ticker's own are made once for each version of the ticker, and found in O(1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from qsuite.domain.money import ZERO, parse_decimal
from qsuite.domain.reference import Ticker
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.domain.trading.commission import Commission, commission_from

ONE = Decimal(1)
LIMIT_FILLS = ("touch", "through")
OVERRIDES = frozenset({"limit_fill", "participation", "slippage_min_bps", "slippage_max_bps", "latency_ms"})
CUSHION = Decimal("0.05")
MOST_LATENCY_MS = 60_000
MOST_SLIPPAGE_BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRules:
    """How paper orders fill and what they cost.

    ``participation`` is the part of a shown size that a fill may take (above 0, at most 1); slippage is in basis
    points; ``limit_needs_through`` lets a resting limit wait for a print beyond it; ``quote_max_age_ns`` is in market
    time, beside the last trade; ``latency_ns`` is how long an order takes to the market. ``cushion`` is how far beyond
    the market shown an order without a limit is valued while the price collar is off: where a market that moves on
    before the order arrives can deal it.
    """

    commission: Commission = field(default_factory=Commission)
    participation: Decimal = ONE
    slippage_min_bps: Decimal = Decimal(1)
    slippage_max_bps: Decimal = Decimal(5)
    limit_needs_through: bool = False
    latency_ns: int = 0
    quote_max_age_ns: int = 60 * NS_PER_S
    cushion: Decimal = CUSHION
    _of_tickers: dict[str, tuple[Ticker, "FillRules"]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        assert ZERO < self.participation <= ONE
        assert ZERO <= self.slippage_min_bps <= self.slippage_max_bps
        assert self.latency_ns >= 0
        assert self.cushion >= ZERO

    def for_ticker(self, ticker: Ticker) -> "FillRules":
        """Return the rules with the ticker's own in their place. Asking the answer again gives the same."""
        if ticker.commission is None and ticker.fill is None:
            return self
        known = self._of_tickers.get(ticker.symbol)
        if known is None or known[0] is not ticker:
            known = self._of_tickers[ticker.symbol] = (ticker, self._changed_by(ticker))
        return known[1]

    def _changed_by(self, ticker: Ticker) -> "FillRules":
        changed: dict[str, Any] = {} if ticker.fill is None else fill_overrides(ticker.fill)
        if ticker.commission is not None:
            changed["commission"] = commission_from(ticker.commission)
        return replace(self, **changed)


def fill_overrides(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a ticker changes of the rules, as fields of ``FillRules``. ValueError says what is wrong with it."""
    given = {name: value for name, value in raw.items() if value is not None}
    if set(given) - OVERRIDES:
        raise ValueError(f"a ticker sets no {', '.join(sorted(set(given) - OVERRIDES))}")
    changed: dict[str, Any] = {}
    if "limit_fill" in given:
        if given["limit_fill"] not in LIMIT_FILLS:
            raise ValueError(f"limit_fill is one of {', '.join(LIMIT_FILLS)}")
        changed["limit_needs_through"] = given["limit_fill"] == "through"
    if "participation" in given:
        changed["participation"] = _between(given, "participation", ZERO, ONE)
        if not changed["participation"]:
            raise ValueError("participation is above 0")
    if "latency_ms" in given:
        changed["latency_ns"] = int(_between(given, "latency_ms", ZERO, Decimal(MOST_LATENCY_MS)) * NS_PER_MS)
    return changed | _slippage(given)


def eligible(sent_at: int, now: int, rules: FillRules) -> bool:
    """Say whether an order that began to act at ``sent_at`` has reached the market: it meets nothing that came before.

    ``sent_at`` is when it was placed, released or triggered; both are nanoseconds of the engine's clock. ``rules`` are
    the ticker's own.
    """
    return now >= sent_at + rules.latency_ns


def _slippage(given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("slippage_min_bps", "slippage_max_bps")
    if all(name not in given for name in names):
        return {}
    if any(name not in given for name in names):
        raise ValueError("slippage_min_bps and slippage_max_bps are given together")
    low, high = (_between(given, name, ZERO, Decimal(MOST_SLIPPAGE_BPS)) for name in names)
    if low > high:
        raise ValueError("slippage_min_bps is above slippage_max_bps")
    return {"slippage_min_bps": low, "slippage_max_bps": high}


def _between(given: Mapping[str, Any], name: str, low: Decimal, high: Decimal) -> Decimal:
    value = parse_decimal(given[name])
    if not low <= value <= high:
        raise ValueError(f"{name} is between {low} and {high}")
    return value
