"""A strategy: an algorithm that trades some symbols on an account, within a limit of its own.

    signal    what its algorithm advises at a bar (``qsuite.domain.signals``)
    running   runs by itself, once for each bar of its interval or every so many seconds
    active    may trade at all; one that is switched off neither runs nor has its orders let through

On an order's way it comes before everything: a run turns signals into orders, which then meet the same controls as
anybody's, and ``risk_limit`` beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.analytics.algorithms import DEFAULT, TEXT_MAX, Algorithm, Bound
from qsuite.domain.analytics.known import KNOWN
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import bucket_start
from qsuite.domain.money import parse_decimal
from qsuite.domain.times import NS_PER_S

GRACE_NS = 2 * NS_PER_S
"""After a bar's end its last ticks are waited for."""
PACE = Bound(60, 1, 7 * 86_400)
SIZES = ("quantity", "order_value", "equity_fraction")


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """``risk_limit`` is the most gross exposure it may have, in the account's currency. Times in nanoseconds.

    ``parameters`` holds its algorithm's own, and:

        quantity | order_value     the size of an order
        equity_fraction            the part of the account's equity that a position grows to; without any of the three,
                                   an even share of ``risk_limit`` for each symbol
        allow_short                sell more than it holds (the controls must allow it too)
        every_s                    run this often instead of once for each bar

    An order that turns a position first closes it whole; see ``strategy_orders``.
    """

    id: UUID
    name: str
    account: UUID
    created_by: UUID
    risk_limit: Decimal
    description: str = ""
    is_active: bool = True
    algorithm: str = DEFAULT
    symbols: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    interval: str = "1d"
    running: bool = False
    created_at: int = 0
    updated_at: int = 0
    version: int = 1


def read_parameters(algorithm: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked parameters. Invalid names each one that is unknown or wrong."""
    known = KNOWN[algorithm]
    wrong: dict[str, list[str]] = {}
    read: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            read[name] = _read(name, value, known)
        except ValueError as error:
            wrong[f"parameters.{name}"] = [str(error)]
    if sum(name in read for name in SIZES) > 1:
        wrong["parameters"] = [f"give one of {', '.join(SIZES)}"]
    if not wrong and (message := known.check({name: bound.default for name, bound in known.bounds.items()} | read)):
        wrong["parameters"] = [message]
    if wrong:
        raise Invalid("some fields are wrong", errors=wrong)
    return read


def _read(name: str, value: Any, algorithm: Algorithm) -> Any:
    bounds = algorithm.bounds
    if name in bounds or name == "every_s":
        return bounds.get(name, PACE).read(value)
    if name in SIZES:
        number = parse_decimal(value)
        if number <= 0 or (name == "equity_fraction" and number > 1):
            raise ValueError("must be above 0 and at most 1" if name == "equity_fraction" else "must be above 0")
        return number
    if name in algorithm.texts:
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX:
            raise ValueError(f"a text of up to {TEXT_MAX} letters")
        return value
    if name == "allow_short":
        if not isinstance(value, bool):
            raise ValueError("not true or false")
        return value
    raise ValueError(f"unknown; there are {', '.join((*bounds, *algorithm.texts, *SIZES, 'allow_short', 'every_s'))}")


def period_of(strategy: Strategy, now: int) -> int:
    """Return the start of the period that a moment belongs to: a strategy runs once in each."""
    every_s: int | None = strategy.parameters.get("every_s")
    if every_s is not None:
        return now - now % (every_s * NS_PER_S)
    return bucket_start(now - GRACE_NS, strategy.interval)
