"""What a backtest was asked to do: all that its result depends on beside the prices, as plain values too.

Invariant: ``plan_from(plan.plain())`` is the plan again, so that it can be handed to another process and kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from qsuite.domain.backtests.terms import Finish, Terms, open_limits
from qsuite.domain.money import parse_decimal, show, show_all
from qsuite.domain.reference import Ticker
from qsuite.domain.strategies import Strategy, read_parameters
from qsuite.domain.times import format_rfc3339, parse_rfc3339
from qsuite.domain.trading.commission import commission_from

NOBODY = UUID(int=0)


class Source(StrEnum):
    """What the engine is shown: bars walked through, or the ticks themselves."""

    BARS = "bars"
    TICKS = "ticks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A backtest of an algorithm. ``start`` and ``end`` bound the starts of its bars, in nanoseconds; None does not.

    ``commissions`` are those of symbols that do not cost ``commission``; ``adjusted`` plays prices as if later splits
    and dividends had been in them.
    """

    strategy: str
    symbols: tuple[str, ...]
    interval: str
    start: int | None
    end: int | None
    initial_cash: Decimal
    parameters: Mapping[str, Any]
    commission: Mapping[str, Any]
    commissions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    slippage_bps: Decimal
    participation: Decimal | None
    seed: int
    source: Source = Source.BARS
    adjusted: bool = True
    finish: Finish = Finish.LEAVE

    def plain(self) -> dict[str, Any]:
        """Return it in text, whole numbers, floats, booleans and null."""
        return {
            "strategy": self.strategy,
            "symbols": list(self.symbols),
            "interval": self.interval,
            "start": None if self.start is None else format_rfc3339(self.start),
            "end": None if self.end is None else format_rfc3339(self.end),
            "initial_cash": show(self.initial_cash),
            "parameters": show_all(self.parameters),
            "commission": show_all(self.commission),
            "commissions": show_all(self.commissions),
            "slippage_bps": show(self.slippage_bps),
            "participation": None if self.participation is None else show(self.participation),
            "seed": self.seed,
            "source": self.source.value,
            "adjusted": self.adjusted,
            "finish": self.finish.value,
        }

    def terms(self, tickers: Mapping[str, Ticker]) -> Terms:
        """Return what is traded with. ``tickers`` must be there for every symbol, without terms of their own."""
        return Terms(
            cash=self.initial_cash,
            tickers=tickers,
            commission=commission_from(self.commission),
            slippage_bps=(self.slippage_bps, self.slippage_bps),
            participation=self.participation,
            limits=open_limits(short_sale=bool(self.parameters.get("allow_short", False))),
            seed=self.seed,
            finish=self.finish,
        )

    def as_strategy(self) -> Strategy:
        """Return the strategy that trades; where nothing sizes its orders, an even share of the initial cash does."""
        return Strategy(
            id=NOBODY,
            name=self.strategy,
            account=NOBODY,
            created_by=NOBODY,
            risk_limit=self.initial_cash,
            algorithm=self.strategy,
            symbols=self.symbols,
            parameters=self.parameters,
            interval=self.interval,
        )


def plan_from(plain: Mapping[str, Any]) -> Plan:
    """Read a plan from its plain values."""
    participation = plain["participation"]
    return Plan(
        strategy=plain["strategy"],
        symbols=tuple(plain["symbols"]),
        interval=plain["interval"],
        start=None if plain["start"] is None else parse_rfc3339(plain["start"]),
        end=None if plain["end"] is None else parse_rfc3339(plain["end"]),
        initial_cash=parse_decimal(plain["initial_cash"]),
        parameters=read_parameters(plain["strategy"], plain["parameters"]),
        commission=commission_from(plain["commission"]).shown,
        commissions={symbol: commission_from(each).shown for symbol, each in plain["commissions"].items()},
        slippage_bps=parse_decimal(plain["slippage_bps"]),
        participation=None if participation is None else parse_decimal(participation),
        seed=plain["seed"],
        source=Source(plain["source"]),
        adjusted=plain["adjusted"],
        finish=Finish(plain["finish"]),
    )
