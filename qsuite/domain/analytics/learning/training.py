"""What a model of the market is to be trained on, and how it is to be judged: what whoever asks for it may choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qsuite.domain.analytics.algorithms import Bound
from qsuite.domain.errors import Invalid
from qsuite.domain.times import format_rfc3339, parse_rfc3339

MAX_SYMBOLS = 100
MARGIN_MAX = 15.0
"""A margin beyond this would leave no room for a HOLD to tell how even its chances are: see ``market_model``."""
CHOICES: Mapping[str, Bound] = {
    "horizon": Bound(1, 1, 50),
    "folds": Bound(6, 2, 20),
    "embargo": Bound(5, 0, 200),
    "seed": Bound(1, 0, 2**31 - 1),
    "draws": Bound(1_000, 100, 10_000),
    "margin_percent": Bound(2.0, 0.0, MARGIN_MAX, whole=False),
    "cost_bps": Bound(5.0, 0.0, 1_000.0, whole=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTraining:
    """Bars to learn from, from ``start_ns`` to before ``end_ns`` where those are given, and the choices.

    horizon          bars that an outcome spans, from the open after the features to the open so many bars on
    folds, embargo   tests of the walk-forward, and bars left out before each
    seed, draws      where the trees' and the intervals' chance comes from, and how often times are drawn again
    margin_percent   how far from 50 % a probability must be to be traded on
    cost_bps         of the money turned over
    """

    name: str
    symbols: tuple[str, ...]
    interval: str
    start_ns: int | None
    end_ns: int | None
    horizon: int
    folds: int
    embargo: int
    seed: int
    draws: int
    margin_percent: float
    cost_bps: float

    def as_parameters(self) -> dict[str, Any]:
        """Return it as a job keeps it; ``read_training`` reads that."""
        edges = {"start": self.start_ns, "end": self.end_ns}
        return {
            "name": self.name,
            "symbols": list(self.symbols),
            "interval": self.interval,
            **{name: None if edge is None else format_rfc3339(edge) for name, edge in edges.items()},
            **{name: getattr(self, name) for name in CHOICES},
        }


def read_training(raw: Mapping[str, Any]) -> MarketTraining:
    """Read what was asked for, the choices not given at their default. Invalid names each that is wrong.

    Symbols and interval are those of a checked request; times may be instants in nanoseconds or text.
    """
    wrong: dict[str, list[str]] = {}
    chosen: dict[str, Any] = {}
    for name, bound in CHOICES.items():
        try:
            chosen[name] = bound.read(raw[name]) if raw.get(name) is not None else bound.default
        except ValueError as error:
            wrong[name] = [str(error)]
    start_ns, end_ns = _instant(raw.get("start")), _instant(raw.get("end"))
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        wrong["end"] = ["must be after the start"]
    if wrong:
        raise Invalid("some fields are wrong", errors=wrong)
    symbols = tuple(sorted(set(raw["symbols"])))
    return MarketTraining(
        name=raw.get("name") or default_name(symbols, raw["interval"]),
        symbols=symbols,
        interval=raw["interval"],
        start_ns=start_ns,
        end_ns=end_ns,
        **chosen,
    )


def default_name(symbols: tuple[str, ...], interval: str) -> str:
    """Name a model by what it learns from, so that training the same again is of the same name."""
    return f"{'+'.join(symbols)} {interval}"[:100]


def _instant(value: Any) -> int | None:
    return parse_rfc3339(value) if isinstance(value, str) else value
