"""What a fill in the book among users keeps, from which it can be computed again; see ``paper`` for the other venue.

    model           "book-1"
    rule            "book"  an order came to the book and met one that rested
    liquidity       "taker" for the order that came, "maker" for the one that rested
    price           the level it traded at: the resting order's price
    asked           what was left of the order that came
    available       what was left of the order that rested; both trade the smaller of the two
    maker           the order that rested
    commission, filled_before, value_before   as on the paper venue

Both orders of a match keep these words; only ``liquidity`` and the charges differ.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from qsuite.domain.trading.commission import charge, commission_from
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.paper.basis import Recomputed

BOOK_MODEL = "book-1"


def book_basis(taker: Order, maker: Order, price: Decimal) -> dict[str, Any]:
    """Return what both fills of a match keep; call it before either is booked, and add each one's ``liquidity``."""
    return {
        "model": BOOK_MODEL,
        "rule": "book",
        "price": price,
        "asked": taker.remaining,
        "available": maker.remaining,
        "maker": str(maker.id),
    }


def recompute_book(basis: Mapping[str, Any]) -> Recomputed:
    """Compute a fill in the book again. ValueError for another model's basis, LookupError where a word is missing."""
    if basis["model"] != BOOK_MODEL:
        raise ValueError(f"not a basis of the model {BOOK_MODEL}")
    price: Decimal = basis["price"]
    quantity = min(basis["asked"], basis["available"])
    model = commission_from(basis["commission"])
    commission = charge(model, basis["filled_before"], basis["value_before"], quantity, price)
    return Recomputed(price, quantity, commission, None)
