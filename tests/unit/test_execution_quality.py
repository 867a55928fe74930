"""Best execution by hand: what a fill is held against, and the market's mean price while an order worked."""

from decimal import Decimal
from uuid import UUID

import pytest

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.reports.quality import Mean, Span, arrival_price, slippage_bps, together, vwaps

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def trade(ts_ns: int, price: str, size: str = "1") -> Trade:
    return Trade("IBM", ts_ns, Decimal(price), Decimal(size))


def test_an_order_is_held_against_the_middle_of_the_quote_else_the_last_trade() -> None:
    whole = Quote("IBM", 1, Decimal("181.49"), Decimal("181.52"))
    half = Quote("IBM", 1, Decimal("181.49"), None)
    assert arrival_price(Snapshot(trade(1, "180"), whole)) == Decimal("181.505")
    assert arrival_price(Snapshot(trade(1, "180"), half)) == Decimal(180)
    assert arrival_price(Snapshot()) is None


@pytest.mark.parametrize(
    ("side", "price", "bps"), [("BUY", "101", 100), ("SELL", "101", -100), ("BUY", "99.5", -50), ("SELL", "99.5", 50)]
)
def test_slippage_is_above_zero_where_the_fill_was_worse(side: str, price: str, bps: int) -> None:
    assert slippage_bps(side, Decimal(price), Decimal(100)) == bps
    assert slippage_bps(side, Decimal(price), None) is None


def test_a_mean_is_weighted_by_quantity_and_leaves_out_what_is_not_known() -> None:
    mean = Mean()
    for value, quantity in ((Decimal(10), 3), (None, 100), (Decimal(-2), 1)):
        mean.add(value, Decimal(quantity))
    assert mean.value == 7
    assert mean.quantity == 4
    assert Mean().value is None


def test_each_order_is_held_against_the_trades_while_it_worked() -> None:
    spans = [Span(10, 40, A), Span(20, 30, B), Span(30, 31, C)]
    ticks = [
        trade(5, "1", "9"),
        trade(10, "100", "3"),
        trade(20, "104", "1"),
        trade(29, "108", "1"),
        trade(40, "1", "9"),
    ]
    # A: (300 + 104 + 108) / 5; B: (104 + 108) / 2; in C's time nothing was traded.
    assert vwaps(spans, ticks) == {A: Decimal("102.4"), B: Decimal(106), C: None}


def test_spans_that_overlap_or_lie_near_are_read_together() -> None:
    spans = [Span(100, 110, C), Span(0, 50, A), Span(10, 20, B)]
    assert together(spans, 10) == [[Span(0, 50, A), Span(10, 20, B)], [Span(100, 110, C)]]
    assert together(spans, 50) == [[Span(0, 50, A), Span(10, 20, B), Span(100, 110, C)]]
    assert together([], 10) == []
