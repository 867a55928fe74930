"""Each control that compares a figure: just below, at and above it, for a new order, a replace and a stop's trigger.

The order stays, the limit moves around what the order comes to; IBM trades at 100.00 and the account has 100,000:

    new, replace   BUY 100 at 90.00
    trigger        BUY 100, stop 101.00, reached by a trade at 101.00; so its worst price is 101.00 x 1.05 = 106.05
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from qsuite.domain.market import Trade
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.domain.trading.commands import MarketMoved, ReplaceOrder
from qsuite.domain.trading.order import OrderType, Status, TimeInForce
from qsuite.domain.trading.risk import OFF, Limits
from qsuite.domain.trading.risk.limits import SWITCHES
from tests.support.trading import ACCOUNT, STRATEGY, USER, Desk

Wanted = Callable[[Desk], str | None]
"""Send the order in one of the three ways; return the code it was refused with, None if it passed."""


def new(desk: Desk) -> str | None:
    return desk.refusal("BUY", 100, "90.00", strategy=STRATEGY)


def replaced(desk: Desk) -> str | None:
    order = next(order for order in desk.state.orders.values() if order.strategy == STRATEGY)
    version = order.version
    command = ReplaceOrder(order=order.id, user=USER, accounts=(ACCOUNT,), quantity=Decimal(100))
    outcome = desk.send(command)
    assert outcome.error is None
    if outcome.refusal is None:
        assert order.quantity == 100
        return None
    assert (order.quantity, order.version) == (50, version), "a refused replace leaves the order as it was"
    return str(outcome.refusal["code"])


def triggered(desk: Desk) -> str | None:
    order = next(order for order in desk.state.orders.values() if order.strategy == STRATEGY)
    desk.move("101.00")
    assert order.triggered
    if order.reject is None:
        assert order.status is Status.FILLED
        return None
    assert order.status is Status.REJECTED
    assert order.reserved == 0
    return str(order.reject["code"])


def desk_for(wanted: Wanted, limits: Limits | None = None) -> Desk:
    """Return a desk where the order to be replaced rests, or the stop waits."""
    desk = Desk(limits=limits or Limits())
    desk.add_strategy()
    if wanted is replaced:
        assert desk.refusal("BUY", 50, "90.00", strategy=STRATEGY) is None
    elif wanted is triggered:
        stop = Decimal("101.00")
        assert desk.refusal("BUY", 100, order_type=OrderType.STOP, stop_price=stop, strategy=STRATEGY) is None
    return desk


WAYS = pytest.mark.parametrize("wanted", [new, replaced, triggered], ids=lambda way: way.__name__)

# What the order comes to when it is new or a replace, and when it is triggered.
CEILINGS = [
    ("max_quantity", "risk.max_quantity", "100", "100", "1"),
    ("max_value", "risk.max_value", "9000.00", "10605.00", "0.01"),  # 100 x 90.00; 100 x 106.05
    ("position_limit", "risk.position_limit", "100", "100", "1"),
    ("gross_exposure", "risk.gross_exposure", "0.1", "0.101", "0.0001"),  # 100 x 100 and 100 x 101 of 100,000
    ("system_exposure", "risk.system_exposure", "0.05", "0.0505", "0.0001"),  # the same of 2 x 100,000
]


@WAYS
@pytest.mark.parametrize(("name", "code", "as_new", "at_trigger", "step"), CEILINGS, ids=[row[0] for row in CEILINGS])
def test_an_order_below_and_at_a_limit_passes_and_one_above_is_refused(
    wanted: Wanted, name: str, code: str, as_new: str, at_trigger: str, step: str
) -> None:
    comes_to = Decimal(at_trigger if wanted is triggered else as_new)
    for limit, expected in ((comes_to + Decimal(step), None), (comes_to, None), (comes_to - Decimal(step), code)):
        desk = desk_for(wanted)
        desk.limit(**{name: limit})
        assert wanted(desk) == expected, limit


@WAYS
def test_an_order_at_and_above_the_least_value_passes_and_one_below_is_refused(wanted: Wanted) -> None:
    value = Decimal("10605.00") if wanted is triggered else Decimal("9000.00")
    for limit, expected in ((value - 1, None), (value, None), (value + Decimal("0.01"), "risk.min_value")):
        desk = desk_for(wanted)
        desk.limit(min_value=limit)
        assert wanted(desk) == expected


@WAYS
def test_cash_covers_value_and_commission_to_the_cent(wanted: Wanted) -> None:
    # 100 x 90.00 + 100 x 0.005; 100 x 106.05 + 0.50
    needed = Decimal("10605.50") if wanted is triggered else Decimal("9000.50")
    for cash, expected in ((needed + 1, None), (needed, None), (needed - Decimal("0.01"), "risk.buying_power")):
        desk = desk_for(wanted)
        desk.account.cash = cash
        assert wanted(desk) == expected


@WAYS
def test_a_strategy_stays_within_its_own_risk_limit(wanted: Wanted) -> None:
    gross = Decimal(10100) if wanted is triggered else Decimal(10000)
    for limit, expected in ((gross + 1, None), (gross, None), (gross - 1, "risk.strategy_limit")):
        desk = desk_for(wanted)
        desk.strategies[STRATEGY] = replace(desk.strategies[STRATEGY], risk_limit=limit)
        assert wanted(desk) == expected


def test_a_strategy_above_its_limit_may_still_reduce() -> None:
    desk = desk_for(new)
    desk.place("BUY", 50, strategy=STRATEGY)
    desk.strategies[STRATEGY] = replace(desk.strategies[STRATEGY], risk_limit=Decimal(1000))
    assert desk.refusal("BUY", 1, "99.00", strategy=STRATEGY) == "risk.strategy_limit"
    assert desk.refusal("SELL", 20, "101.00", strategy=STRATEGY) is None


@WAYS
def test_an_order_of_a_strategy_nobody_knows_is_refused(wanted: Wanted) -> None:
    desk = desk_for(wanted)
    del desk.strategies[STRATEGY]
    assert wanted(desk) == "risk.strategy_limit"


@WAYS
@pytest.mark.parametrize("name", ["max_open_orders", "max_open_orders_ticker"])
def test_an_order_takes_one_place_among_the_open_ones(wanted: Wanted, name: str) -> None:
    for places, expected in ((4, None), (3, None), (2, "risk.max_open_orders")):
        desk = desk_for(wanted)
        for price in ("85.00", "86.00"):
            assert desk.refusal("BUY", 1, price) is None
        desk.limit(**{name: Decimal(places)})
        assert wanted(desk) == expected


def test_open_orders_of_another_ticker_count_for_the_account_but_not_for_the_ticker() -> None:
    desk = Desk(limits=Limits(max_open_orders=Decimal(3), max_open_orders_ticker=Decimal(2)))
    desk.add_ticker("AAPL", last="100.00")
    assert [desk.refusal("BUY", 1, "90.00") for _ in range(3)] == [None, None, "risk.max_open_orders"]
    assert desk.refusal("BUY", 1, "90.00", symbol="AAPL") is None
    assert desk.refusal("BUY", 1, "90.00", symbol="AAPL") == "risk.max_open_orders"
    assert desk.refusal("BUY", 1, "90.00", time_in_force=TimeInForce.IOC) is None  # never rests, so takes no place


@pytest.mark.parametrize("wanted", [new, replaced], ids=lambda way: way.__name__)
def test_a_limit_may_stay_away_from_the_market_by_the_passive_collar(wanted: Wanted) -> None:
    # 90.00 lies 10 % below 100.00
    for collar, expected in (("0.1001", None), ("0.1", None), ("0.0999", "risk.price_collar")):
        desk = desk_for(wanted)
        desk.limit(price_collar_passive=Decimal(collar))
        assert wanted(desk) == expected


@pytest.mark.parametrize(
    ("side", "price", "code"),
    [
        ("BUY", "104.99", None), ("BUY", "105.00", None), ("BUY", "105.01", "risk.price_collar"),
        ("SELL", "95.01", None), ("SELL", "95.00", None), ("SELL", "94.99", "risk.price_collar"),
        ("BUY", "80.01", None), ("BUY", "80.00", None), ("BUY", "79.99", "risk.price_collar"),
        ("SELL", "119.99", None), ("SELL", "120.00", None), ("SELL", "120.01", "risk.price_collar"),
    ],
)  # fmt: skip
def test_a_limit_lies_within_the_collars_on_both_sides(side: str, price: str, code: str | None) -> None:
    desk = Desk(limits=Limits(price_collar_window=OFF, short_sale=True))
    assert desk.refusal(side, 1, price) == code


@pytest.mark.parametrize(("ask", "code"), [("104.99", None), ("105.00", None), ("105.01", "risk.price_collar")])
def test_a_market_order_is_not_dealt_beyond_the_collar(ask: str, code: str | None) -> None:
    desk = Desk(limits=Limits(price_collar_window=OFF))
    desk.quote("99.00", ask)
    assert desk.refusal("BUY", 1) == code


@pytest.mark.parametrize(("ask", "code"), [("105.03", None), ("105.04", None), ("105.05", "risk.price_collar")])
def test_a_triggered_stop_is_not_dealt_beyond_the_collar(ask: str, code: str | None) -> None:
    # The reference is then 101.00, and 101.00 x 1.04 = 105.04
    desk = desk_for(triggered, Limits(price_collar_window=OFF))
    desk.limit(price_collar=Decimal("0.04"))
    desk.quote("100.00", ask)
    assert triggered(desk) == code


@pytest.mark.parametrize(
    ("side", "price", "code"),
    [
        ("BUY", "102.99", None), ("BUY", "103.00", None), ("BUY", "103.01", "risk.price_collar_window"),
        ("SELL", "97.01", None), ("SELL", "97.00", None), ("SELL", "96.99", "risk.price_collar_window"),
        ("BUY", "90.00", None), ("SELL", "110.00", None),
    ],
)  # fmt: skip
def test_no_price_is_far_beyond_the_last_minutes_average(side: str, price: str, code: str | None) -> None:
    # (1 x 99.00 + 1 x 101.00 + 2 x 100.00) / 4 = 100.00, and the first trade is forgotten
    desk = Desk(limits=Limits(short_sale=True))
    desk.now += 60 * NS_PER_S
    for traded, size in (("99.00", "1"), ("101.00", "1"), ("100.00", "2")):
        desk.trade(traded, size=size)
    assert desk.refusal(side, 1, price) == code


def test_without_a_trade_in_the_last_minute_the_collar_alone_holds() -> None:
    desk = Desk(limits=Limits())
    desk.now += 3600 * NS_PER_S
    desk.quote("99.99", "100.01", ts_ns=60 * NS_PER_S - NS_PER_MS)
    assert desk.refusal("BUY", 1, "104.00") == "risk.price_collar_window"
    desk.quote("99.99", "100.01", ts_ns=60 * NS_PER_S)
    assert desk.refusal("BUY", 1, "104.00") is None


@pytest.mark.parametrize(("collar", "code"), [("0.0201", None), ("0.02", None), ("0.0199", "risk.price_collar_window")])
def test_a_stop_that_opens_does_not_chase_a_spike(collar: str, code: str | None) -> None:
    # Of 98.00 and 102.00 the average is 100.00, and 102.00 lies 2 % beyond it
    desk = Desk(limits=Limits())
    desk.add_strategy()
    desk.place("BUY", 100, order_type=OrderType.STOP, stop_price=Decimal("101.00"), strategy=STRATEGY)
    desk.now += 60 * NS_PER_S
    desk.trade("98.00", size="1")
    desk.limit(price_collar_window=Decimal(collar))
    order = next(iter(desk.state.orders.values()))
    desk.move("102.00", size="1")
    assert (order.reject or {"code": None})["code"] == code


@pytest.mark.parametrize(("age_ms", "code"), [(9_999, None), (10_000, None), (10_001, "risk.reference_stale")])
def test_prices_are_too_old_by_when_they_arrived(age_ms: int, code: str | None) -> None:
    desk = Desk(limits=Limits(reference_stale=Decimal(10)))
    desk.now += age_ms * NS_PER_MS
    assert desk.refusal("BUY", 1, "100.00") == code
    desk.trade("100.00", ts_ns=1)  # of long ago by its own time, but it arrived now
    assert desk.refusal("BUY", 1, "100.00") is None


@pytest.mark.parametrize(("age_ms", "code"), [(10_000, None), (10_001, "risk.reference_stale")])
def test_a_replace_needs_a_fresh_price_too(age_ms: int, code: str | None) -> None:
    desk = desk_for(replaced)
    desk.limit(reference_stale=Decimal(10))
    desk.now += age_ms * NS_PER_MS
    assert replaced(desk) == code


def test_a_price_that_never_arrived_live_is_too_old() -> None:
    desk = Desk(limits=Limits(reference_stale=Decimal(10)))
    desk.add_ticker("AAPL")
    desk.market["AAPL"] = desk.market["IBM"]._replace(trade=Trade("AAPL", 1, Decimal(100), Decimal(1)))
    assert desk.refusal("BUY", 1, "100.00", symbol="AAPL") == "risk.reference_stale"


@WAYS
@pytest.mark.parametrize(("limit", "code"), [("0.11", None), ("0.1", None), ("0.0999", "risk.reference_suspect")])
def test_after_a_jump_a_second_trade_must_confirm_the_price(wanted: Wanted, limit: str, code: str | None) -> None:
    # From 90.00 to 99.00, and for the trigger from 100.00 to 110.00: each a tenth
    desk = desk_for(wanted, Limits(price_collar_window=OFF, price_collar_passive=OFF))
    desk.limit(reference_suspect=Decimal(limit))
    if wanted is triggered:
        order = next(iter(desk.state.orders.values()))
        desk.move("110.00")
        assert (order.reject or {"code": None})["code"] == code
        return
    desk.trade("90.00")
    desk.trade("99.00")
    assert wanted(desk) == code
    desk.trade("99.01")
    assert desk.refusal("BUY", 1, "98.00") is None


def test_a_stop_that_only_reduces_is_let_out_of_a_market_that_jumps() -> None:
    desk = Desk(limits=Limits())
    desk.place("BUY", 10)
    stop = desk.place("SELL", 10, order_type=OrderType.STOP, stop_price=Decimal("95.00"))
    desk.move("80.00")
    done = desk.state.find(stop.id)
    assert done is not None
    assert (done.status, done.reject) == (Status.FILLED, None)
    assert desk.refusal("BUY", 1, "80.00") == "risk.reference_suspect"


def test_a_crossed_quote_is_suspect() -> None:
    desk = Desk(limits=Limits())
    desk.quote("100.01", "100.00")
    assert desk.refusal("BUY", 1) == "risk.reference_suspect"
    desk.quote("100.00", "100.00")
    assert desk.refusal("BUY", 1) is None


@pytest.mark.parametrize("name", sorted({"order_rate", "order_burst", "lookalike"} | set(Limits.__dataclass_fields__)))
@WAYS
def test_a_limit_that_cannot_be_read_refuses(wanted: Wanted, name: str) -> None:
    desk = desk_for(wanted, Limits(order_rate=Decimal(1000), order_burst=Decimal(1000)))
    if name == "short_sale":
        desk.limit(short_sale=None)
        assert desk.refusal("SELL", 1, "100.00") == "risk.short_sale"
        return
    desk.limit(**{name: None})
    if name == "cancel_rate":  # letting go is what is safe
        assert wanted(desk) is None
        return
    own = {"order_burst": "order_rate", "daily_loss_halt": "daily_loss", "max_open_orders_ticker": "max_open_orders"}
    own["price_collar_passive"] = "price_collar"
    assert wanted(desk) == f"risk.{own.get(name, name)}"


@WAYS
@pytest.mark.parametrize("name", sorted(set(Limits.__dataclass_fields__) - SWITCHES))
def test_a_control_that_is_switched_off_passes(wanted: Wanted, name: str) -> None:
    desk = desk_for(wanted)
    desk.limit(**{name: OFF})
    assert wanted(desk) is None


# -- pace ---------------------------------------------------------------------------------------------------------


def test_messages_are_let_through_in_a_burst_and_then_at_the_rate() -> None:
    desk = Desk(limits=Limits(order_rate=Decimal(10), order_burst=Decimal(20), max_open_orders_ticker=OFF))
    codes = [desk.refusal("BUY", 1, "90.00") for _ in range(25)]
    assert codes == [None] * 20 + ["risk.order_rate"] * 5
    desk.now += 99 * NS_PER_MS
    assert desk.refusal("BUY", 1, "90.00") == "risk.order_rate"
    desk.now += NS_PER_MS
    assert [desk.refusal("BUY", 1, "90.00") for _ in range(2)] == [None, "risk.order_rate"]


def test_what_is_refused_or_a_replace_counts_as_a_message_too() -> None:
    desk = Desk(limits=Limits(order_rate=Decimal(1), order_burst=Decimal(3)))
    order = desk.place("BUY", 1, "90.00")
    assert desk.refusal("BUY", 0, "90.00") == "order.lot_size"
    command = ReplaceOrder(order=order.id, user=USER, accounts=(ACCOUNT,), price=Decimal("91.00"))
    assert desk.send(command).refusal is None
    assert desk.refusal("BUY", 1, "90.00") == "risk.order_rate"
    assert (desk.send(replace(command, price=Decimal("92.00"))).refusal or {})["code"] == "risk.order_rate"


def test_one_accounts_messages_are_not_anothers() -> None:
    desk = Desk(limits=Limits(order_rate=Decimal(1), order_burst=Decimal(1)))
    other = replace(desk.account, id=UUID(int=99), user=UUID(int=98))
    desk.state.load([other], [], [])
    assert [desk.refusal("BUY", 1, "90.00") for _ in range(2)] == [None, "risk.order_rate"]
    assert desk.refusal("BUY", 1, "90.00", account=other.id, user=other.user) is None


def test_a_trigger_is_no_message() -> None:
    desk = desk_for(triggered, Limits(order_rate=Decimal("0.001"), order_burst=Decimal(1)))
    assert desk.refusal("BUY", 1, "90.00") == "risk.order_rate"
    assert triggered(desk) is None


def test_the_fourth_order_alike_within_a_second_is_refused() -> None:
    desk = Desk(limits=Limits(lookalike=Decimal(3)))
    assert [desk.refusal("BUY", 1, "90.00") for _ in range(4)] == [None] * 3 + ["risk.lookalike"]
    assert desk.refusal("BUY", 2, "90.00") is None
    assert desk.refusal("BUY", 1, "90.01") is None
    desk.now += NS_PER_S - NS_PER_MS
    assert desk.refusal("BUY", 1, "90.00") == "risk.lookalike"
    desk.now += NS_PER_MS  # the first four are a second old, one of this second is left
    assert [desk.refusal("BUY", 1, "90.00") for _ in range(3)] == [None, None, "risk.lookalike"]


def test_the_same_replace_again_and_again_is_alike() -> None:
    desk = Desk(limits=Limits(lookalike=Decimal(3)))
    order = desk.place("BUY", 10, "90.00")
    codes = []
    for price in ("91.00", "92.00", "91.00", "92.00", "91.00", "92.00", "91.00"):
        command = ReplaceOrder(order=order.id, user=USER, accounts=(ACCOUNT,), price=Decimal(price))
        codes.append((desk.send(command).refusal or {"code": None})["code"])
    assert codes == [None] * 6 + ["risk.lookalike"]


# -- together -----------------------------------------------------------------------------------------------------


def fits(desk: Desk, **order: object) -> list[str | None]:
    given = {"side": "BUY", "quantity": 1, "price": "90.00"} | order
    return [desk.refusal(**given) for _ in range(50)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figures", "code", "fit"),
    [
        ({"position_limit": "23"}, "risk.position_limit", 23),
        ({"gross_exposure": "0.0235"}, "risk.gross_exposure", 23),  # 2,350 of 100,000, each 1 x 100
        ({"system_exposure": "0.01175"}, "risk.system_exposure", 23),  # 2,350 of 200,000
        ({"max_open_orders": "23"}, "risk.max_open_orders", 23),
        ({"max_open_orders_ticker": "23"}, "risk.max_open_orders", 23),
        ({"order_rate": "1", "order_burst": "23"}, "risk.order_rate", 23),
        ({"lookalike": "23"}, "risk.lookalike", 23),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_of_fifty_orders_that_only_together_breach_a_limit_as_many_pass_as_fit(
    figures: dict[str, str], code: str, fit: int
) -> None:
    desk = Desk(limits=Limits(**{name: Decimal(figure) for name, figure in figures.items()}))
    assert fits(desk) == [None] * fit + [code] * (50 - fit)


def test_of_fifty_buys_as_many_pass_as_the_cash_pays_for() -> None:
    # 23 x (90.00 + 0.005) = 2,070.115
    assert fits(Desk(cash="2070.115")) == [None] * 23 + ["risk.buying_power"] * 27
    assert fits(Desk(cash="2070.114")) == [None] * 22 + ["risk.buying_power"] * 28


def test_of_fifty_sells_as_many_pass_as_is_held() -> None:
    desk = Desk()
    desk.place("BUY", 23)
    assert fits(desk, side="SELL", price="110.00") == [None] * 23 + ["risk.short_sale"] * 27


def test_of_fifty_orders_of_a_strategy_as_many_pass_as_its_risk_limit_allows() -> None:
    desk = Desk()
    strategy = desk.add_strategy(risk_limit="2350")
    assert fits(desk, strategy=strategy) == [None] * 23 + ["risk.strategy_limit"] * 27


def test_of_fifty_orders_that_trade_at_once_as_many_pass_as_fit() -> None:
    desk = Desk(limits=Limits(position_limit=Decimal(23)))
    assert fits(desk, price=None) == [None] * 23 + ["risk.position_limit"] * 27
    assert desk.state.position(ACCOUNT, "IBM").quantity == 23


def test_of_fifty_stops_triggered_by_one_trade_as_many_act_as_fit() -> None:
    desk = Desk()
    stops = [desk.place("BUY", 1, order_type=OrderType.STOP, stop_price=Decimal("101.00")) for _ in range(50)]
    desk.limit(position_limit=Decimal(23))
    # One that is triggered is looked at without itself, but with the others that wait: they all count as working.
    outcome = desk.send(MarketMoved(ticks=[desk.trade("101.00")]))
    assert len(outcome.orders) == 50
    done = [desk.state.find(stop.id) for stop in stops]
    refused = [order for order in done if order is not None and order.status is Status.REJECTED]
    filled = [order for order in done if order is not None and order.status is Status.FILLED]
    assert (len(refused), len(filled)) == (27, 23)
    assert desk.state.position(ACCOUNT, "IBM").quantity == 23


def test_nobody_trades_in_the_name_of_a_strategy_of_another_account() -> None:
    desk = Desk()
    desk.add_strategy(risk_limit="1000000")
    desk.strategies[STRATEGY] = replace(desk.strategies[STRATEGY], account=USER)
    assert desk.refusal("BUY", 1, strategy=STRATEGY) == "not_permitted"


def test_a_strategy_that_is_switched_off_may_only_close() -> None:
    desk = Desk()
    desk.add_strategy(risk_limit="1000000")
    assert desk.refusal("BUY", 10, strategy=STRATEGY) is None
    desk.strategies[STRATEGY] = replace(desk.strategies[STRATEGY], is_active=False)
    assert desk.refusal("BUY", 1, strategy=STRATEGY) == "not_permitted"
    assert desk.refusal("SELL", 10, strategy=STRATEGY) is None
