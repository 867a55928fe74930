"""Figures of trading, each counted by hand."""

import itertools
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from qsuite.domain.performance import Period, fill_figures, order_figures, round_trips, trip_figures
from qsuite.domain.trading.order import Execution, Order, OrderType, Side, Status, TimeInForce

ACCOUNT, OTHER = UUID(int=1), UUID(int=2)
MS = 1_000_000


def fills(*lines: str, account: UUID = ACCOUNT, symbol: str = "IBM", fee: str = "0") -> list[Execution]:
    """Make fills of lines such as ``BUY 100 @ 50``, a millisecond apart."""
    made = []
    for number, line in enumerate(lines, start=1):
        side, quantity, _, price = line.split()
        made.append(fill(number, side, quantity, price, account=account, symbol=symbol, commission=Decimal(fee)))
    return made


def fill(number: int, side: str, quantity: str, price: str, **changed: Any) -> Execution:
    given = {
        "id": UUID(int=1000 + number),
        "order": UUID(int=number),
        "account": ACCOUNT,
        "symbol": "IBM",
        "side": Side(side),
        "quantity": Decimal(quantity),
        "price": Decimal(price),
        "commission": Decimal(0),
        "execution_time": number * MS,
        "external_execution_id": f"paper-{number}",
        "basis": {},
    }
    return Execution(**(given | changed))


def profits(found: list[Execution]) -> list[str]:
    return [str(trip.profit) for trip in round_trips(found)]


def test_a_round_trip_goes_from_flat_to_flat_however_many_fills_it_takes() -> None:
    # 505 entries and one exit are one round trip: 505 bought at 10, all sold at 11.
    entries = [f"BUY 1 @ {10}" for _ in range(505)]
    assert profits(fills(*entries, "SELL 505 @ 11")) == ["505"]


def test_what_is_still_held_is_no_round_trip() -> None:
    assert profits(fills("BUY 100 @ 50", "SELL 60 @ 55")) == []


def test_a_short_round_trip_makes_money_when_the_price_falls() -> None:
    assert profits(fills("SELL 100 @ 50", "BUY 40 @ 45", "BUY 60 @ 44")) == ["560"]  # 5000 - 1800 - 2640


def test_a_fill_that_turns_the_position_over_ends_one_and_begins_the_next() -> None:
    # +100 at 50; 150 sold at 52 close them (200 made) and leave -50 from 52; bought back at 53 (50 lost).
    assert profits(fills("BUY 100 @ 50", "SELL 150 @ 52", "BUY 50 @ 53")) == ["200", "-50"]


def test_commission_counts_and_is_split_by_quantity_where_a_fill_belongs_to_two() -> None:
    # 3 for each fill: the second one gives 2 to the first round trip and 1 to the second.
    found = fills("BUY 100 @ 50", "SELL 150 @ 52", "BUY 50 @ 51", fee="3")
    assert profits(found) == ["195", "46"]


def test_accounts_and_symbols_are_followed_apart() -> None:
    mixed = [
        *fills("BUY 10 @ 1"),
        *fills("SELL 10 @ 3", account=OTHER),
        *fills("SELL 10 @ 2", symbol="AAPL"),
    ]
    assert profits(mixed) == []


def test_the_share_that_made_money_leaves_out_no_loser_and_none_that_came_out_even() -> None:
    found = trip_figures(
        round_trips(
            fills(
                "BUY 10 @ 5", "SELL 10 @ 6",  # won
                "BUY 10 @ 5", "SELL 10 @ 4",  # lost
                "SELL 10 @ 5", "BUY 10 @ 5",  # even
                "SELL 10 @ 5", "BUY 10 @ 4",  # won
            )
        )
    )  # fmt: skip
    assert (found.closed, found.winning, found.losing, found.success_rate) == (4, 2, 1, 0.5)


def test_of_nothing_nothing_is_claimed() -> None:
    assert trip_figures([]).success_rate is None
    assert fill_figures([]).avg_slippage_bps is None
    assert (order_figures([]).fill_rate, order_figures([]).avg_execution_ms) == (None, None)


def test_slippage_is_against_the_middle_of_the_quote_or_the_price_shown() -> None:
    quote = {"bid": Decimal("99.98"), "ask": Decimal("100.02"), "price": Decimal("100.02")}
    found = fill_figures(
        [
            fill(1, "BUY", "100", "100.02", basis=quote),  # 2 bps above 100.00, on 10,000
            fill(2, "SELL", "100", "99.98", basis=quote),  # 2 bps below, on 10,000
            fill(3, "BUY", "200", "100.05", basis={"price": Decimal("100"), "bid": None, "ask": None}),  # 5 on 20,000
            fill(4, "BUY", "1", "77", basis={"model": "other"}),  # says nothing, counts nowhere
        ]
    )
    assert found.avg_slippage_bps == pytest.approx((2 * 10_000 + 2 * 10_000 + 5 * 20_000) / 40_000)


def test_a_fill_better_than_the_market_showed_slips_below_zero() -> None:
    assert fill_figures([fill(1, "SELL", "1", "101", basis={"price": Decimal(100)})]).avg_slippage_bps == -100


def test_sums_are_exact() -> None:
    found = fill_figures(
        [
            fill(1, "BUY", "0.1", "0.2", commission=Decimal("0.01"), postings={"realized_pnl": Decimal("0.30")}),
            fill(2, "SELL", "0.2", "0.2", commission=Decimal("0.02"), postings={"realized_pnl": Decimal("-0.1")}),
        ]
    )
    assert (found.volume, found.value, found.commission) == (Decimal("0.3"), Decimal("0.06"), Decimal("0.03"))
    assert found.realized_pnl == Decimal("-0.20")  # a credit is a profit


def order(status: Status, quantity: int, filled: int, waited_ms: int = 0) -> Order:
    return Order(
        id=UUID(int=next(numbers)), account=ACCOUNT, symbol="IBM", side=Side.BUY, order_type=OrderType.MARKET,
        quantity=Decimal(quantity), filled_quantity=Decimal(filled), time_in_force=TimeInForce.DAY, created_by=ACCOUNT,
        created_at=5 * MS, updated_at=(5 + waited_ms) * MS, status=status,
    )  # fmt: skip


numbers = itertools.count(1)


def test_of_what_reached_the_market_the_part_that_traded() -> None:
    found = order_figures(
        [
            order(Status.FILLED, 100, 100, waited_ms=4),
            order(Status.FILLED, 50, 50, waited_ms=8),
            order(Status.CANCELLED, 100, 25, waited_ms=900),
            order(Status.REJECTED, 1000, 0),
            order(Status.HELD, 1000, 0),
        ]
    )
    assert found.by_status == {"FILLED": 2, "CANCELLED": 1, "REJECTED": 1, "HELD": 1}
    assert found.fill_rate == 0.7  # 175 of 250
    assert found.avg_execution_ms == 6.0


def test_a_period_holds_its_beginning_and_not_its_end() -> None:
    period = Period(from_ns=10, to_ns=20)
    assert [period.holds(ts_ns) for ts_ns in (9, 10, 19, 20)] == [False, True, True, False]
