"""The arithmetic of a fill, from its basis alone: matching computes with it, and whoever asks why computes it again.

Invariant: every function here is a pure function of the basis, so that what was stored can be checked for ever.
"""

import hashlib
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from qsuite.domain.money import MONEY, ZERO, round_to_tick, show
from qsuite.domain.trading.commission import charge, commission_from
from qsuite.domain.trading.order import Order, Side

MODEL = "paper-2"
BPS = Decimal(10_000)
STEPS_PER_BPS = 1000


class Recomputed(NamedTuple):
    """What a basis amounts to; ``slippage_bps`` is drawn again, None where none was."""

    price: Decimal
    quantity: Decimal
    commission: Decimal
    slippage_bps: Decimal | None


def recompute(basis: Mapping[str, Any]) -> Recomputed:
    """Compute a paper fill again. ValueError for a basis of another model, LookupError where a word is missing."""
    if basis["model"] != MODEL:
        raise ValueError(f"not a basis of the model {MODEL}")
    bps = None
    if basis["rule"] == "last":
        bps = slippage_bps(basis["seed"], basis["slippage_min_bps"], basis["slippage_max_bps"])
    price = price_of({**basis, "slippage_bps": bps})
    quantity = quantity_of(basis)
    model = commission_from(basis["commission"])
    commission = charge(model, basis["filled_before"], basis["value_before"], quantity, price)
    return Recomputed(price, quantity, commission, bps)


def price_of(basis: Mapping[str, Any]) -> Decimal:
    """Compute a fill's price from its basis and the slippage that it names."""
    shown: Decimal = basis["price"]
    if basis["rule"] == "limit":
        limit: Decimal = basis["limit"]
        return limit
    if basis["rule"] != "last":
        return shown
    return slipped(shown, basis["slippage_bps"], basis["tick_size"], buy=basis["side"] == Side.BUY)


def quantity_of(basis: Mapping[str, Any]) -> Decimal:
    """Compute a fill's quantity from its basis."""
    asked: Decimal = basis["asked"]
    available: Decimal | None = basis.get("available")
    if available is None:
        return asked
    return min(asked, part_of(available, basis["participation"], basis["lot_size"]))


def part_of(available: Decimal, participation: Decimal, lot_size: Decimal) -> Decimal:
    """Return the most a fill may take of a shown size: whole lots, at least one."""
    lots = MONEY.divide(available * participation, lot_size).to_integral_value(ROUND_FLOOR)
    return MONEY.multiply(max(lots, Decimal(1)), lot_size)


def seed_of(order: Order) -> str:
    """Return what an order's next fill draws its slippage from: each partial fill draws its own."""
    return f"{order.id}/{show(order.filled_quantity.normalize())}"


def slippage_bps(seed: str, low: Decimal, high: Decimal) -> Decimal:
    """Draw a slippage, uniform between the bounds to a thousandth of a basis point, from the seed alone."""
    draw = int.from_bytes(hashlib.sha256(b"slippage " + seed.encode()).digest()[:8], "big")
    steps = int((high - low) * STEPS_PER_BPS)
    return low + Decimal(draw % (steps + 1)) / STEPS_PER_BPS


def slipped(price: Decimal, bps: Decimal, tick_size: Decimal, *, buy: bool) -> Decimal:
    """Move a price against the order, and on to the next tick. What is sold for next to nothing brings one tick."""
    share = bps / BPS
    moved = round_to_tick(price * (1 + share if buy else 1 - share), tick_size, up=buy)
    return moved if moved > ZERO else min(price, tick_size)
