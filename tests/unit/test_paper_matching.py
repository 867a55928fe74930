"""How much of an order the paper venue fills and when, each figure worked out by hand from what the market showed."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.reference import Ticker
from qsuite.domain.times import NS_PER_S
from qsuite.domain.trading.order import Order, OrderType, Side, TimeInForce
from qsuite.domain.trading.paper import (
    Fill,
    FillRules,
    could_fill,
    eligible,
    match_now,
    match_resting,
    touchline,
    usable_quote,
)

RULES = FillRules()
LOTS_OF_ONE = Ticker(id=UUID(int=1), symbol="IBM", name="IBM")
LOTS_OF_TEN = replace(LOTS_OF_ONE, lot_size=Decimal(10))


def an_order(side: str = "BUY", quantity: int = 100, price: str | None = None, filled: int = 0, at: str = "0") -> Order:
    return Order(
        id=UUID(int=7), account=UUID(int=1), symbol="IBM", side=Side(side), quantity=Decimal(quantity),
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        price=None if price is None else Decimal(price), time_in_force=TimeInForce.DAY, created_by=UUID(int=1),
        created_at=0, updated_at=0, filled_quantity=Decimal(filled), filled_value=filled * Decimal(at),
    )  # fmt: skip


def a_quote(bid: str | None, ask: str | None, sizes: tuple[Any, Any] = (None, None), ts_ns: int = 1) -> Quote:
    bid_size, ask_size = (None if size is None else Decimal(size) for size in sizes)
    return Quote("IBM", ts_ns, bid and Decimal(bid), ask and Decimal(ask), bid_size, ask_size)  # type: ignore[arg-type]


def a_trade(price: str, size: str = "1000", ts_ns: int = 1) -> Trade:
    return Trade("IBM", ts_ns, Decimal(price), Decimal(size))


def now(order: Order, *, quote: Quote | None = None, trade: Trade | None = None, **more: Any) -> Fill | None:
    given = {"ticker": LOTS_OF_ONE, "rules": RULES} | more
    return match_now(order, Snapshot(trade, quote), **given)


def resting(order: Order, tick: Quote | Trade, **more: Any) -> Fill | None:
    return match_resting(order, tick, **({"ticker": LOTS_OF_ONE, "rules": RULES} | more))


def figures(fill: Fill | None) -> tuple[str, str] | None:
    return None if fill is None else (str(fill.price), str(fill.quantity))


# -- how much -------------------------------------------------------------------------------------------------------


def test_a_fill_takes_no_more_than_the_size_shown_on_the_side_it_takes() -> None:
    quote = a_quote("99.98", "100.02", sizes=(70, 40))
    assert figures(now(an_order("BUY"), quote=quote)) == ("100.02", "40")
    assert figures(now(an_order("SELL"), quote=quote)) == ("99.98", "70")
    assert figures(now(an_order("BUY", 30), quote=quote)) == ("100.02", "30")


def test_a_size_that_is_not_given_or_is_written_as_zero_does_not_bound() -> None:
    assert figures(now(an_order(), quote=a_quote("99.98", "100.02"))) == ("100.02", "100")
    assert figures(now(an_order(), quote=a_quote("99.98", "100.02", sizes=(0, 0)))) == ("100.02", "100")
    fill = now(an_order(), trade=a_trade("100", size="0"))
    assert fill is not None
    assert fill.quantity == 100


@pytest.mark.parametrize(
    ("participation", "shown", "ticker", "quantity"),
    [
        ("1", 40, LOTS_OF_ONE, 40),
        ("0.25", 40, LOTS_OF_ONE, 10),
        ("0.25", 39, LOTS_OF_ONE, 9),  # 9.75
        ("0.25", 3, LOTS_OF_ONE, 1),  # 0.75: at least one lot
        ("0.5", 79, LOTS_OF_TEN, 30),  # 39.5
        ("0.5", 10, LOTS_OF_TEN, 10),  # 5: at least one lot
        ("1", 1_000, LOTS_OF_TEN, 100),  # all that was asked
    ],
)
def test_participation_is_a_part_of_the_size_in_whole_lots(
    participation: str, shown: int, ticker: Ticker, quantity: int
) -> None:
    rules = FillRules(participation=Decimal(participation))
    at_quote = now(an_order(), quote=a_quote("9.98", "10.02", sizes=(None, shown)), ticker=ticker, rules=rules)
    at_last = now(an_order(), trade=a_trade("10", size=str(shown)), ticker=ticker, rules=rules)
    at_print = resting(an_order(price="10"), a_trade("10", size=str(shown)), ticker=ticker, rules=rules)
    for fill in (at_quote, at_last, at_print):
        assert fill is not None
        assert fill.quantity == quantity


def test_the_rest_waits_for_a_newer_quote_or_print() -> None:
    first = a_quote("99.98", "100.02", sizes=(None, 60))
    order = an_order()
    fill = now(order, quote=first)
    assert figures(fill) == ("100.02", "60")
    assert fill is not None
    left = an_order(filled=60, at="100.02")
    assert now(left, quote=first, taken=fill.source) is None
    assert resting(left, first, taken=fill.source) is None
    # The same offer again a moment later is a new one.
    again = resting(left, a_quote("99.98", "100.02", sizes=(None, 60), ts_ns=2), taken=fill.source)
    assert figures(again) == ("100.02", "40")


def test_each_partial_fill_at_a_last_price_draws_its_own_slippage() -> None:
    drawn = set()
    for filled in range(0, 100, 10):
        fill = resting(an_order(filled=filled, at="100"), a_trade("100", size="10"))
        assert fill is not None
        assert fill.quantity == 10
        assert fill.basis["seed"] == f"{UUID(int=7)}/{filled}"
        assert 1 <= fill.basis["slippage_bps"] <= 5
        drawn.add(fill.basis["slippage_bps"])
    assert len(drawn) > 5


def test_fill_or_kill_asks_whether_all_of_it_would_trade() -> None:
    quote = a_quote("99.98", "100.02", sizes=(None, 100))
    assert could_fill(an_order(quantity=100), Snapshot(None, quote), LOTS_OF_ONE, RULES)
    assert not could_fill(an_order(quantity=101), Snapshot(None, quote), LOTS_OF_ONE, RULES)
    assert not could_fill(an_order(price="100.01"), Snapshot(None, quote), LOTS_OF_ONE, RULES)
    assert not could_fill(an_order(), Snapshot(), LOTS_OF_ONE, RULES)


# -- at what price --------------------------------------------------------------------------------------------------


def test_slippage_goes_to_the_next_tick_against_the_order_and_never_to_nothing() -> None:
    rules = FillRules(slippage_min_bps=Decimal(3), slippage_max_bps=Decimal(3))
    # 3 basis points of 50 are 0.015: 50.015 and 49.985 lie between ticks.
    assert figures(now(an_order("BUY"), trade=a_trade("50"), rules=rules)) == ("50.02", "100")
    assert figures(now(an_order("SELL"), trade=a_trade("50"), rules=rules)) == ("49.98", "100")
    # The last price is one tick: below it there is none.
    assert figures(now(an_order("SELL"), trade=a_trade("0.01"), rules=rules)) == ("0.01", "100")


def test_a_limit_is_never_passed_by_slippage() -> None:
    assert now(an_order(price="100.00"), trade=a_trade("100")) is None
    fill = now(an_order(price="100.05"), trade=a_trade("100"))
    assert fill is not None
    assert fill.price <= Decimal("100.05")


def test_a_print_at_the_limit_fills_at_the_limit_and_one_that_jumped_beyond_at_the_print() -> None:
    for side, limit, reached, beyond, short in (
        ("BUY", "98.00", "98.00", "95.00", "98.01"),
        ("SELL", "102.00", "102.00", "105.00", "101.99"),
    ):
        order = an_order(side, price=limit)
        touched, jumped = resting(order, a_trade(reached)), resting(order, a_trade(beyond))
        assert touched is not None
        assert jumped is not None
        assert (touched.price, touched.basis["rule"]) == (Decimal(limit), "limit")
        assert (jumped.price, jumped.basis["rule"]) == (Decimal(beyond), "gap")
        assert resting(order, a_trade(short)) is None


def test_waiting_for_a_trade_through_gives_the_limit_and_nothing_better() -> None:
    rules = FillRules(limit_needs_through=True)
    order = an_order(price="98.00")
    assert resting(order, a_trade("98.00"), rules=rules) is None
    assert figures(resting(order, a_trade("97.99"), rules=rules)) == ("98.00", "100")
    assert figures(resting(order, a_trade("95.00"), rules=rules)) == ("98.00", "100")


def test_what_is_left_of_a_limit_that_crossed_goes_on_taking_prices_and_does_not_pay_its_limit() -> None:
    # It dealt at 100.02 under a limit of 101: the next ask costs what it says, and so does the next print.
    left = an_order(price="101.00", filled=60, at="100.02")
    assert figures(resting(left, a_quote("100.00", "100.03"))) == ("100.03", "40")
    for rules in (RULES, FillRules(limit_needs_through=True)):
        fill = resting(left, a_trade("100.00"), rules=rules)
        assert fill is not None
        assert Decimal("100.01") <= fill.price <= Decimal("100.05")


def test_a_resting_limit_takes_the_quote_that_comes_to_it() -> None:
    order = an_order(price="98.00")
    assert resting(order, a_quote("97.90", "98.01")) is None
    assert figures(resting(order, a_quote("97.90", "98.00", sizes=(None, 30)))) == ("98.00", "30")
    assert figures(resting(order, a_quote("97.90", "97.95"))) == ("97.95", "100")
    assert resting(order, a_quote("98.00", "97.95")) is None  # crossed
    assert resting(order, a_quote("97.00", None)) is None


def test_what_is_left_of_a_market_order_takes_whatever_comes_next() -> None:
    left = an_order("SELL", filled=60, at="99")
    assert figures(resting(left, a_quote("98.50", None, sizes=(10, None)))) == ("98.50", "10")
    assert resting(left, a_quote(None, "99.00")) is None
    fill = resting(left, a_trade("98.00"))
    assert fill is not None
    assert Decimal("97.95") <= fill.price <= Decimal("97.99")


def test_a_quote_that_a_later_trade_left_behind_is_not_dealt_on() -> None:
    # A stop to sell at 95 is triggered by the print at 90: the bid of 99.98 is from before the fall.
    quote, gap = a_quote("99.98", "100.02", ts_ns=1), a_trade("90", ts_ns=2)
    for side, low, high in (("SELL", "89.95", "89.99"), ("BUY", "90.01", "90.05")):
        fill = now(an_order(side), quote=quote, trade=gap)
        assert fill is not None
        assert Decimal(low) <= fill.price <= Decimal(high)
    assert touchline(Snapshot(gap, quote), False, RULES) == 90
    # A trade between bid and ask, or one before the quote, leaves it standing.
    assert usable_quote(Snapshot(a_trade("100.02", ts_ns=2), quote), RULES) is quote
    assert usable_quote(Snapshot(a_trade("90", ts_ns=1), quote), RULES) is quote


def test_a_quote_grows_old_in_market_time() -> None:
    quote = a_quote("99.98", "100.02", ts_ns=1)
    assert usable_quote(Snapshot(a_trade("100", ts_ns=60 * NS_PER_S + 1), quote), RULES) is quote
    assert usable_quote(Snapshot(a_trade("100", ts_ns=60 * NS_PER_S + 2), quote), RULES) is None


# -- rules ----------------------------------------------------------------------------------------------------------


def test_an_order_meets_nothing_that_came_before_its_latency_is_over() -> None:
    rules = FillRules(latency_ns=20)
    assert [eligible(100, at, rules) for at in (100, 119, 120, 121)] == [False, False, True, True]
    assert eligible(100, 100, RULES)


def test_a_tickers_own_rules_take_the_place_of_the_configured_ones() -> None:
    fill = {
        "limit_fill": "through", "participation": Decimal("0.5"), "latency_ms": Decimal("1.5"),
        "slippage_min_bps": Decimal(0), "slippage_max_bps": Decimal(0),
    }  # fmt: skip
    own = replace(LOTS_OF_ONE, fill=fill, commission={"model": "percent", "percent": Decimal("0.1")})
    rules = RULES.for_ticker(own)
    assert (rules.limit_needs_through, rules.participation, rules.latency_ns) == (True, Decimal("0.5"), 1_500_000)
    assert rules.commission.total(Decimal(10), Decimal(1000)) == 1
    assert RULES.for_ticker(own) is rules  # made once
    assert rules.for_ticker(own) == rules
    assert RULES.for_ticker(LOTS_OF_ONE) is RULES
    changed = replace(own, fill=None, version=2)
    assert RULES.for_ticker(changed).participation == 1
    assert RULES.for_ticker(changed).commission == rules.commission
    # Matching goes by them without being told.
    assert figures(now(an_order(), trade=a_trade("100", size="30"), ticker=own)) == ("100", "15")
