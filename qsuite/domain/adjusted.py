"""Prices as if every later split and dividend had been in them already, so that returns across one are real.

    AAPL 2000-03-01   close 130.31, adjusted_close 4.186662803811: every price of the bar times 4.186662803811 / 130.31

Invariant: the close becomes the adjusted close to the last digit, and the high stays the highest price and the low the
lowest. Volume stays what was traded: the adjusted close does not tell a split from a dividend.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

from qsuite.domain.market import Bar

PLACES = 12
_WIDE = Context(prec=100, rounding=ROUND_HALF_EVEN)


def adjusted(bar: Bar) -> Bar:
    """Return the bar with adjusted prices, half-even to 12 places or as many as the adjusted close has.

    A bar that knows no adjusted close stays as it is: nothing later than it is known to change it.
    """
    final = bar.adjusted_close
    if final is None or final == bar.close:
        return bar
    exponent = final.as_tuple().exponent
    assert isinstance(exponent, int)
    step = Decimal((0, (1,), min(-PLACES, exponent)))

    def scaled(price: Decimal) -> Decimal:
        # One rounding at the end: a rounded factor would move a close that is the high above or below it.
        return _WIDE.quantize(_WIDE.divide(_WIDE.multiply(price, final), bar.close), step)

    return bar._replace(
        open=_plain(scaled(bar.open)),
        high=_plain(scaled(bar.high)),
        low=_plain(scaled(bar.low)),
        close=final,
        vwap=None if bar.vwap is None else _plain(scaled(bar.vwap)),
    )


def _plain(value: Decimal) -> Decimal:
    """Drop the zeros that rounding to a fixed number of places leaves behind."""
    return value.normalize(_WIDE) if value else value
