"""What the controls compare with: exposures, rates and reference prices, against sums done anew and by hand."""

import random
from decimal import Decimal
from uuid import UUID

import pytest

from qsuite.domain.market import Quote, Trade
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.commands import CancelOrder
from qsuite.domain.trading.risk import Exposures, Limits, RateBook, ReferenceTape
from qsuite.domain.trading.risk.exposure import worst_quantity
from tests.support.trading import ACCOUNT, NOW, USER, Desk

A, B = UUID(int=1), UUID(int=2)


def position(holder: UUID, symbol: str, quantity: int, buys: int = 0, sells: int = 0, cost: int = 0) -> Position:
    return Position(
        account=holder, symbol=symbol, quantity=Decimal(quantity), cost=Decimal(cost), working_buys=Decimal(buys),
        working_sells=Decimal(sells),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "buys", "sells", "worst"),
    [(10, 0, 0, 10), (10, 5, 0, 15), (10, 0, 5, 10), (10, 0, 25, 15), (-10, 0, 5, 15), (-10, 30, 0, 20), (0, 3, 7, 7)],
)
def test_the_worst_a_position_can_come_to(quantity: int, buys: int, sells: int, worst: int) -> None:
    assert worst_quantity(Decimal(quantity), Decimal(buys), Decimal(sells)) == worst


def test_totals_by_hand() -> None:
    exposures = Exposures()
    exposures.know("IBM", Decimal(100))
    exposures.know("AAPL", Decimal(50))
    exposures.changed(position(A, "IBM", 10, buys=5))  # 15 x 100
    exposures.changed(position(A, "AAPL", -4, sells=2))  # 6 x 50
    exposures.changed(position(B, "IBM", 1))
    totals = exposures.accounts.of(A)
    assert (totals.gross, totals.long_value, totals.short_value, totals.net) == (1800, 1000, 200, 800)
    assert exposures.accounts.total.gross == 1900
    exposures.remark({"IBM": Decimal(110), "AAPL": None}.get)
    assert (totals.gross, totals.net) == (1950, 900)
    exposures.changed(position(A, "IBM", 0))
    exposures.changed(position(A, "AAPL", 0))
    assert (exposures.accounts.of(A).gross, exposures.accounts.total.gross) == (0, 110)
    assert exposures.accounts.holders() == [B]


def test_a_position_whose_symbol_shows_no_price_counts_at_cost() -> None:
    exposures = Exposures()
    exposures.changed(position(A, "IBM", -10, cost=-1200))
    assert (exposures.accounts.of(A).gross, exposures.accounts.of(A).short_value) == (1200, 1200)


def test_running_totals_are_the_sums_of_their_lines_whatever_happens() -> None:
    draw = random.Random(7)
    exposures, held, marks = Exposures(), {}, dict.fromkeys("XYZ", Decimal(100))
    for symbol, mark in marks.items():
        exposures.know(symbol, mark)
    for _ in range(3_000):
        holder, symbol = draw.choice((A, B)), draw.choice("XYZ")
        if draw.random() < 0.1:
            marks[symbol] = Decimal(draw.randrange(1, 30_000)) / 100
            exposures.remark(marks.get)
        one = position(holder, symbol, draw.randrange(-9, 10), draw.randrange(5), draw.randrange(5))
        held[holder, symbol] = one
        exposures.changed(one)
    for holder in (A, B):
        mine = [(one, marks[symbol]) for (owner, symbol), one in held.items() if owner == holder]
        worst = sum(worst_quantity(p.quantity, p.working_buys, p.working_sells) * mark for p, mark in mine)
        totals = exposures.accounts.of(holder)
        assert totals.gross == worst
        assert totals.net == sum(p.quantity * mark for p, mark in mine)
        assert totals.short_value == -sum(min(p.quantity, Decimal(0)) * mark for p, mark in mine)


def test_the_engines_totals_follow_its_positions() -> None:
    desk = Desk(limits=Limits(short_sale=True))
    desk.place("BUY", 10)
    resting = desk.place("BUY", 5, "90.00")
    assert desk.state.exposures.accounts.of(ACCOUNT).gross == 1500
    assert desk.state.exposures.equity(desk.account) == desk.account.cash + 1000
    desk.send(CancelOrder(order=resting.id, user=USER, accounts=(ACCOUNT,)))
    assert desk.state.exposures.accounts.of(ACCOUNT).gross == 1000
    desk.place("SELL", 30)
    assert desk.state.exposures.accounts.of(ACCOUNT).short_value == 2000


# -- rates --------------------------------------------------------------------------------------------------------


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    buckets, rate, burst = RateBook().messages, Decimal(10), Decimal(20)
    assert [buckets.take(A, NOW, rate, burst) for _ in range(21)] == [True] * 20 + [False]
    assert buckets.wait_ns(A, NOW, rate, burst) == 100 * NS_PER_MS
    assert not buckets.take(A, NOW + 100 * NS_PER_MS - 1, rate, burst)
    assert buckets.take(A, NOW + 100 * NS_PER_MS, rate, burst)
    assert not buckets.take(A, NOW + 100 * NS_PER_MS, rate, burst)
    assert sum(buckets.take(A, NOW + 3600 * NS_PER_S, rate, burst) for _ in range(30)) == 20
    assert sum(buckets.take(B, NOW, rate, burst) for _ in range(30)) == 20


def test_over_a_minute_a_bucket_lets_through_its_burst_and_rate_and_no_more() -> None:
    buckets = RateBook().messages
    instants = range(NOW, NOW + 60 * NS_PER_S, NS_PER_MS)
    assert (
        sum(buckets.take(A, now, Decimal(10), Decimal(20)) for now in instants) == 20 + 599
    )  # the 600th is due at 60 s


def test_looking_at_a_bucket_takes_nothing() -> None:
    buckets = RateBook().messages
    for _ in range(5):
        assert buckets.free(A, NOW, Decimal(1), Decimal(1))
    assert buckets.take(A, NOW, Decimal(1), Decimal(1))
    assert not buckets.free(A, NOW, Decimal(1), Decimal(1))


def test_cancels_have_their_own_bucket_and_nothing_else_stops_them() -> None:
    desk = Desk(limits=Limits(cancel_rate=Decimal(2), order_rate=Decimal(100), order_burst=Decimal(100)))
    orders = [desk.place("BUY", 1, "90.00") for _ in range(4)]

    def cancel(at: int) -> str | None:
        outcome = desk.send(CancelOrder(order=orders[at].id, user=USER, accounts=(ACCOUNT,)))
        return None if outcome.refusal is None else str(outcome.refusal["code"])

    assert [cancel(at) for at in range(3)] == [None, None, "risk.cancel_rate"]
    assert orders[2].id in desk.state.orders
    desk.now += 500 * NS_PER_MS
    assert [cancel(2), cancel(3)] == [None, "risk.cancel_rate"]
    desk.limit(cancel_rate=None)
    assert cancel(3) is None


# -- reference prices ---------------------------------------------------------------------------------------------


def test_the_average_is_of_sixty_seconds_of_the_market_by_size_whenever_they_came_here() -> None:
    tape = ReferenceTape()
    assert tape.look("IBM") == (None, None, None)
    averages = []
    for at_s, price, size in ((0, "100", 1), (30, "110", 3), (59, "90", 4)):
        tape.see(Trade("IBM", at_s * NS_PER_S, Decimal(price), Decimal(size)), NOW)
    averages.append(tape.look("IBM").average)
    for at_s in (60, 90, 119):
        tape.see(Quote("IBM", at_s * NS_PER_S, Decimal(90), Decimal(91)), NOW + 1)
        averages.append(tape.look("IBM").average)
    # (100 + 330 + 360) / 8; then (330 + 360) / 7; then 360 / 4
    assert averages == [Decimal("98.75"), Decimal(690) / 7, 90, None]
    assert tape.look("IBM").arrived == NOW + 1


def test_a_recording_played_again_begins_a_minute_of_its_own() -> None:
    tape = ReferenceTape()
    for at_s, price in ((3600, "200"), (0, "100"), (1, "102")):
        tape.see(Trade("IBM", at_s * NS_PER_S, Decimal(price), Decimal(1)), NOW)
    assert tape.look("IBM").average == 101


def test_a_tick_that_is_met_again_counts_once() -> None:
    tape = ReferenceTape()
    for seq, price in ((1, "100"), (2, "130"), (1, "100"), (2, "130")):
        tape.see(Trade("IBM", 1, Decimal(price), Decimal(1), seq), NOW)
    assert tape.look("IBM").average == 115


def test_a_jump_stands_until_the_next_trade() -> None:
    tape = ReferenceTape()
    jumps = []
    for price in ("100", "120", "121", "100"):
        tape.see(Trade("IBM", 1, Decimal(price), Decimal(1)), NOW)
        jumps.append(tape.look("IBM").jumped)
    assert jumps == [0, Decimal("0.2"), Decimal(1) / 120, Decimal(21) / 121]


def test_a_quote_is_an_arrival_and_moves_no_average() -> None:
    tape = ReferenceTape()
    tape.see(Trade("IBM", 1, Decimal(100), Decimal(1)), NOW)
    tape.see(Quote("IBM", 1, Decimal(1), Decimal(2)), NOW + NS_PER_S)
    assert tape.look("IBM") == (100, NOW + NS_PER_S, 0)
