"""Each pre-trade control one step below, at, and above its limit; figures worked out by hand."""

from decimal import Decimal
from uuid import UUID

import pytest

from qsuite.domain.trading.commands import Halt, Scope
from qsuite.domain.trading.order import Status
from qsuite.domain.trading.risk import OFF, LimitBook, Limits
from tests.support.trading import ACCOUNT, USER, Desk


@pytest.mark.parametrize(("quantity", "code"), [(499, None), (500, None), (501, "risk.max_quantity")])
def test_quantity_at_most_the_limit(quantity: int, code: str | None) -> None:
    desk = Desk(limits=Limits(max_quantity=Decimal(500)))
    assert desk.refusal("BUY", quantity, "90.00") == code


@pytest.mark.parametrize(("price", "code"), [("99.99", None), ("100.00", None), ("100.01", "risk.max_value")])
def test_value_at_most_the_limit(price: str, code: str | None) -> None:
    desk = Desk(limits=Limits(max_value=Decimal(10_000)))
    assert desk.refusal("BUY", 100, price) == code


@pytest.mark.parametrize(("quantity", "code"), [(94, None), (95, None), (96, "risk.max_value")])
def test_a_market_order_is_valued_five_percent_beyond_the_market(quantity: int, code: str | None) -> None:
    # 95 x 100.00 x 1.05 = 9,975; 96 x 105 = 10,080
    desk = Desk(limits=Limits(max_value=Decimal(10_000)))
    assert desk.refusal("BUY", quantity) == code


@pytest.mark.parametrize(("price", "code"), [("4.99", "risk.min_value"), ("5.00", None), ("5.01", None)])
def test_value_at_least_the_limit(price: str, code: str | None) -> None:
    desk = Desk(limits=Limits(min_value=Decimal(5), price_collar_passive=OFF))
    assert desk.refusal("BUY", 1, price) == code


@pytest.mark.parametrize(("cash", "code"), [("1000.04", "risk.buying_power"), ("1000.05", None), ("1000.06", None)])
def test_cash_covers_value_and_commission(cash: str, code: str | None) -> None:
    # 10 x 100.00 + 10 x 0.005
    assert Desk(cash=cash).refusal("BUY", 10, "100.00") == code


def test_cash_reserved_by_working_orders_is_not_available() -> None:
    desk = Desk(cash="2000.09")
    assert desk.refusal("BUY", 10, "99.00") is None
    assert desk.refusal("BUY", 10, "99.00") is None
    assert desk.refusal("BUY", 1, "20.00") == "risk.buying_power"  # 2000.09 - 2 x 990.05 = 19.99
    assert desk.account.reserved == Decimal("1980.100")


@pytest.mark.parametrize(("quantity", "code"), [(59, None), (60, None), (61, "risk.position_limit")])
def test_position_and_working_buys_together_stay_within_the_limit(quantity: int, code: str | None) -> None:
    desk = Desk(limits=Limits(position_limit=Decimal(100)))
    assert desk.place("BUY", 10).status is Status.FILLED
    assert desk.place("BUY", 30, "90.00").status is Status.PENDING
    assert desk.refusal("BUY", quantity, "80.00") == code


def test_a_sell_that_reduces_a_breached_position_passes() -> None:
    desk = Desk()
    desk.place("BUY", 50)
    desk.state.limits = LimitBook(Limits(position_limit=Decimal(10)))
    assert desk.refusal("SELL", 20) is None


@pytest.mark.parametrize(("quantity", "code"), [(6, None), (7, None), (8, "risk.short_sale")])
def test_no_more_is_sold_than_is_held_less_working_sells(quantity: int, code: str | None) -> None:
    desk = Desk()
    desk.place("BUY", 10)
    assert desk.place("SELL", 3, "120.00").status is Status.PENDING
    assert desk.refusal("SELL", quantity, "120.00") == code


def test_a_flat_account_in_profit_may_buy_again() -> None:
    desk = Desk(cash="1100")
    desk.place("BUY", 10)
    desk.trade("200.00")
    desk.place("SELL", 10)
    assert desk.refusal("BUY", 5) is None


@pytest.mark.parametrize(
    ("side", "quantity", "price", "code"),
    [
        ("BUY", "1", "100.005", "order.tick_size"),
        ("BUY", "1.5", "100.00", "order.lot_size"),
        ("BUY", "0", "100.00", "order.lot_size"),
        ("BUY", "-1", "100.00", "order.lot_size"),
        ("BUY", "1", "0", "order.price"),
        ("BUY", "1", "-1", "order.price"),
    ],
)
def test_prices_and_quantities_off_the_grid_are_refused(side: str, quantity: str, price: str, code: str) -> None:
    assert Desk().refusal(side, quantity, price) == code


def test_tickers_must_be_known_and_active_and_have_a_price_for_market_orders() -> None:
    desk = Desk()
    desk.add_ticker("OLD", last="10", is_active=False)
    desk.add_ticker("NEW")
    assert desk.refusal("BUY", 1, symbol="WHAT") == "ticker.unknown"
    assert desk.refusal("BUY", 1, symbol="OLD") == "ticker.inactive"
    assert desk.refusal("BUY", 1, symbol="NEW") == "risk.reference_stale"
    assert desk.refusal("BUY", 1, "10.00", symbol="NEW") is None


def test_an_unknown_or_disabled_account_is_refused_before_anything_else() -> None:
    desk = Desk()
    assert desk.refusal("BUY", "-1", "0", symbol="WHAT", account=UUID(int=77)) == "account.disabled"
    desk.account.is_active = False
    assert desk.refusal("BUY", 1) == "account.disabled"


@pytest.mark.parametrize(
    ("scope", "target"), [(Scope.GLOBAL, None), (Scope.ACCOUNT, str(ACCOUNT)), (Scope.TICKER, "IBM")]
)
def test_a_halt_of_any_scope_refuses_new_orders_and_cancels_working_ones(scope: Scope, target: str | None) -> None:
    desk = Desk()
    working = desk.place("BUY", 1, "90.00")
    outcome = desk.send(Halt(scope=scope, target=target, user=USER, reason="drill"))
    assert [order.id for order in outcome.orders] == [working.id]
    assert desk.refusal("BUY", 1) == "risk.halted"
    assert desk.account.reserved == 0


def test_a_halt_elsewhere_stops_nothing_here() -> None:
    desk = Desk()
    desk.send(Halt(scope=Scope.TICKER, target="AAPL", user=USER, reason="drill"))
    desk.send(Halt(scope=Scope.ACCOUNT, target=str(UUID(int=77)), user=USER, reason="drill"))
    assert desk.refusal("BUY", 1) is None


def test_a_refusal_keeps_the_figures_it_compared() -> None:
    order = Desk(limits=Limits(max_quantity=Decimal(5))).place("BUY", 6)
    assert order.status is Status.REJECTED
    assert order.reject == {
        "code": "risk.max_quantity", "detail": "at most 5 in one order", "limit": "5", "value": "6",
    }  # fmt: skip
