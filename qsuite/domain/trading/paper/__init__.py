"""The paper venue: whether an order trades against the market, at what price, and how much of it.

An order takes what the market shows. It crosses the quote: buys at the ask, sells at the bid, whether it just came,
rested, or is what was left of a market order. Where only a last price is known it pays slippage on it, drawn from the
order's id, so that replaying the order gives the same fill. A print that reaches a resting limit fills it at its limit;
one that jumped beyond fills it there: where the price was never at the limit nobody can have dealt at it, neither
better nor worse, so gaps fill at the gap. Waiting for a trade *through* the limit is the careful setting: the touch is
then somebody else's, and the order gets its limit and nothing better.

A quote that a later trade left behind (it printed outside bid and ask) is not dealt on; nor is a crossed or an old one.

A fill takes at most the order's participation in the size shown; the rest meets later prices, and a quote or print it
took from is never taken from again. Sizes that are not given (or 0, as feeds write it) do not bound. Paper orders leave
no mark on the market: two of them may take the same size.

Every fill carries its ``basis``, from which ``recompute`` gets its price, quantity and commission again, bit for bit.
What the words of a basis mean (absent where it has no meaning):

    model           "paper-2"; a book among users writes "book-1" and words of its own
    rule            "quote"  took the other side of a quote
                    "last"   took the last price, with slippage
                    "limit"  a print reached the resting limit: filled at the limit
                    "gap"    a print jumped beyond the resting limit: filled at the print
    source          what was taken from: "quote" or "trade", its time in ns, its number: "trade 1381152600123000000 7"
    market_ts       that time as a number
    side            BUY or SELL
    limit           the order's limit then
    asked           what was left of the order before this fill
    price           what the market showed: the side of the quote, or the print
    bid, ask        the quote
    bid_size, ask_size, size   what sizes were shown there
    available       the size that this fill could take a part of
    participation   the part it could take at most
    lot_size        the part is rounded down to multiples of this, but is at least this
    tick_size       slipped prices are rounded to multiples of this, against the order
    seed            what the slippage was drawn from: the order's id and what it had filled before
    slippage_min_bps, slippage_max_bps   between what it was drawn
    slippage_bps    what was drawn
    latency_ns      how long orders take to the market
    commission      the schedule, see ``domain.trading.commission``
    filled_before   what of the order had traded before this fill
    value_before    what that was worth
"""

from qsuite.domain.trading.paper.basis import MODEL, Recomputed, recompute
from qsuite.domain.trading.paper.match import Fill, could_fill, match_now, match_resting
from qsuite.domain.trading.paper.quotes import touchline, usable_quote
from qsuite.domain.trading.paper.rules import FillRules, eligible

__all__ = [
    "MODEL",
    "Fill",
    "FillRules",
    "Recomputed",
    "could_fill",
    "eligible",
    "match_now",
    "match_resting",
    "recompute",
    "touchline",
    "usable_quote",
]
