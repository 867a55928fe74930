"""Explain a fill from what was stored with it: which rule, what the market showed, how much could be had, and why it
cost what it cost; and compute it again from that alone.

Invariant: nothing is looked up. What explains a fill today explains it in ten years.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from qsuite.domain.money import show, show_all
from qsuite.domain.times import NS_PER_MS, format_rfc3339
from qsuite.domain.trading.book_basis import BOOK_MODEL, recompute_book
from qsuite.domain.trading.order import Execution, Side
from qsuite.domain.trading.paper import MODEL, Recomputed, recompute
from qsuite.domain.trading.paper.basis import part_of
from qsuite.services.views import Shown, show_execution

RECOMPUTE: dict[str, Callable[[Mapping[str, Any]], Recomputed]] = {MODEL: recompute, BOOK_MODEL: recompute_book}

TEXTS = {
    "quote": "It {took} the {touch} that the quote showed, {price}.",
    "last": "No quote could be dealt on, so it took the last price, {price}, and a slippage of {slippage_bps} basis "
    "points drawn from its own id, rounded to the tick against the order.",
    "limit": "It rested at its limit of {limit}; a trade at {price} reached it.",
    "gap": "It rested at its limit of {limit}; the price jumped beyond, to {price}, and a gap fills at the gap.",
    "taker": "It came to the book and met an order that rested there at {price}.",
    "maker": "It rested in the book at {price}, and an order came to it.",
}
BOUND = " At most {most} of the {available} shown could be had; the rest waits for later prices."
EARLIER = "An earlier model filled it, which did not keep enough to say more."

MARKET = ("source", "price", "bid", "ask", "bid_size", "ask_size", "size")
SLIPPAGE = ("slippage_bps", "slippage_min_bps", "slippage_max_bps", "seed", "tick_size")
AVAILABLE = ("asked", "available", "participation", "lot_size", "most")
CHARGE = ("commission", "filled_before", "value_before")


def explain(execution: Execution, *, all_orders: bool) -> Shown:
    """Explain a fill. ``all_orders`` says whether the reader may know which other order it met in the book."""
    basis: dict[str, Any] = dict(execution.basis)
    if basis["model"] == MODEL and "available" in basis:
        basis["most"] = part_of(basis["available"], basis["participation"], basis["lot_size"])
    told = all_orders or basis.get("maker") == str(execution.order)
    return {
        "execution": show_execution(execution),
        "model": basis["model"],
        "rule": basis["rule"],
        "text": _text(basis),
        "limit": show_all(basis.get("limit")),
        "latency_ms": basis["latency_ns"] / NS_PER_MS if "latency_ns" in basis else None,
        "maker": basis.get("maker") if told else None,
        "market": _market(basis),
        "slippage": _part(basis, SLIPPAGE),
        "available": _part(basis, AVAILABLE),
        "charge": _part(basis, CHARGE),
        "recomputed": recomputed(execution),
    }


def recomputed(execution: Execution) -> Shown | None:
    """Compute a fill again and compare it, digit for digit; None where an earlier model kept too little for that."""
    basis = execution.basis
    compute = RECOMPUTE.get(basis["model"])
    if compute is None:
        return None
    try:
        again = compute(basis)
    except (LookupError, ValueError, ArithmeticError):  # somebody changed the document: it computes to nothing
        return dict.fromkeys(Recomputed._fields) | {"equal": False}
    stored = (execution.price, execution.quantity, execution.commission, basis.get("slippage_bps"))
    shown: Shown = show_all(again._asdict())
    return shown | {"equal": [str(each) for each in again] == [str(each) for each in stored]}


def _text(basis: Mapping[str, Any]) -> str:
    text = TEXTS.get(basis.get("liquidity", basis["rule"]))
    if basis["model"] not in RECOMPUTE or text is None:
        return EARLIER
    buys = basis.get("side") == Side.BUY
    words = {"took": "paid" if buys else "got", "touch": "ask" if buys else "bid"}
    words |= {name: show(value) for name, value in basis.items() if isinstance(value, Decimal)}
    bound = "most" in basis and basis["most"] < basis["asked"]
    return (text + (BOUND if bound else "")).format_map(words)


def _market(basis: Mapping[str, Any]) -> Shown | None:
    shown = _part(basis, MARKET)
    if shown is not None and "market_ts" in basis:
        shown["timestamp"] = format_rfc3339(basis["market_ts"])
    return shown


def _part(basis: Mapping[str, Any], names: tuple[str, ...]) -> Shown | None:
    shown: Shown = {name: show_all(basis[name]) for name in names if name in basis}
    return shown or None
