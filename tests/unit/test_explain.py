"""A stored fill explains itself: computed again from what was stored with it alone, it comes out digit for digit."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.market import Quote, Snapshot, Trade
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.book_basis import book_basis
from qsuite.domain.trading.commission import commission_basis, commission_from, commission_of
from qsuite.domain.trading.order import Execution, Order, OrderType, Side, TimeInForce
from qsuite.domain.trading.paper import Fill, FillRules, match_now, match_resting
from qsuite.repos.bson_pieces import decoded
from qsuite.repos.executions import execution_document, execution_from
from qsuite.services.explain import explain, recomputed

SCHEDULES: list[dict[str, Any]] = [
    {"model": "per_share", "per_share": "0.005"},
    {"model": "per_share", "per_share": "0.0035", "minimum": "0.35", "maximum": "7"},
    {"model": "percent", "percent": "0.0123"},
    {"model": "tiered", "tiers": [{"up_to": "100", "per_share": "0.0125"}, {"per_share": "0.01"}], "minimum": "1"},
]


def an_order(buy: bool = True, quantity: str = "100", price: str | None = None, number: int = 7) -> Order:
    return Order(
        id=UUID(int=number), account=UUID(int=1), symbol="IBM", side=Side.BUY if buy else Side.SELL,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT, created_by=UUID(int=1),
        quantity=Decimal(quantity), price=None if price is None else Decimal(price),
        time_in_force=TimeInForce.DAY, created_at=0, updated_at=0,
    )  # fmt: skip


def stored(order: Order, fill: Fill, rules: FillRules) -> Execution:
    """Book a fill, store it, and read it back as whoever asks why would."""
    execution = Execution(
        id=UUID(int=9), order=order.id, account=order.account, symbol=order.symbol, side=order.side,
        quantity=fill.quantity, price=fill.price, execution_time=0, external_execution_id="x", basis=fill.basis,
        commission=commission_of(order, fill.quantity, fill.price, rules.commission), postings={},
    )  # fmt: skip
    order.filled_quantity += fill.quantity
    order.filled_value += fill.quantity * fill.price
    return execution_from(decoded(execution_document(execution)))


CENTS = st.integers(9_800, 10_200).map(lambda cents: Decimal(cents) / 100)
SIZES = st.one_of(st.none(), st.integers(0, 40).map(Decimal))
TRADES = st.builds(Trade, st.just("IBM"), st.integers(1, 10**18), CENTS, st.integers(0, 40).map(Decimal))
QUOTES = st.builds(
    lambda ts_ns, bid, spread, sizes: Quote("IBM", ts_ns, bid, bid + spread, *sizes),
    st.integers(1, 10**18), CENTS, st.integers(0, 50).map(lambda cents: Decimal(cents) / 100), st.tuples(SIZES, SIZES),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    ticks=st.lists(st.one_of(TRADES, QUOTES), min_size=1, max_size=12),
    buy=st.booleans(),
    price=st.one_of(st.none(), CENTS.map(str)),
    terms=st.tuples(st.sampled_from(SCHEDULES), st.integers(1, 100), st.sampled_from(["1", "0.5", "7"]), st.booleans()),
    number=st.integers(1, 2**100),
)
def test_every_fill_of_an_order_comes_out_again_and_one_digit_off_is_noticed(
    ticks: list[Trade | Quote], buy: bool, price: str | None, terms: tuple[Any, ...], number: int
) -> None:
    schedule, per_cent, lot, through = terms
    rules = FillRules(
        commission=commission_from(schedule), participation=Decimal(per_cent) / 100, limit_needs_through=through
    )
    ticker = Ticker(id=UUID(int=1), symbol="IBM", name="IBM", lot_size=Decimal(lot))
    order = an_order(buy, "70", price, number)
    market = Snapshot(ticks[0], None) if isinstance(ticks[0], Trade) else Snapshot(None, ticks[0])
    fill = match_now(order, market, ticker, rules)
    for tick in ticks[1:]:
        if fill is not None:
            assert 0 < fill.quantity <= order.remaining
            assert order.limit is None or (fill.price <= order.limit if buy else fill.price >= order.limit)
            check(stored(order, fill, rules))
        taken = fill.source if fill is not None else None
        fill = match_resting(order, tick, ticker, rules, taken=taken) if order.remaining else None


def check(execution: Execution) -> None:
    shown = recomputed(execution)
    assert shown is not None
    assert shown["equal"] is True
    assert shown["price"] == str(execution.price)
    for name in ("price", "quantity", "commission"):
        value: Decimal = getattr(execution, name)
        off = replace(execution, **{name: value + Decimal((0, (1,), value.as_tuple().exponent))})
        assert recomputed(off)["equal"] is False  # type: ignore[index]
        assert recomputed(replace(execution, **{name: value * Decimal("1.0")}))["equal"] is False  # type: ignore[index]


def last_price_fill() -> tuple[Order, Fill, FillRules]:
    rules = FillRules(participation=Decimal("0.5"))
    ticker = Ticker(id=UUID(int=1), symbol="IBM", name="IBM", lot_size=Decimal(10))
    order = an_order(quantity="100")
    fill = match_now(order, Snapshot(Trade("IBM", 10**18, Decimal(100), Decimal(50), 3)), ticker, rules)
    assert fill is not None
    return order, fill, rules


def test_an_explanation_says_what_the_market_showed_and_what_bounded_the_fill() -> None:
    execution = stored(*last_price_fill())
    shown = explain(execution, all_orders=False)
    # Half of 50 is 25, in lots of 10 that is 20; 20 at half a cent is 0.10.
    assert (shown["execution"]["quantity"], shown["execution"]["commission"]) == ("20", "0.100")
    assert shown["market"] == {
        "source": "trade 1000000000000000000 3", "timestamp": "2001-09-09T01:46:40.000Z", "price": "100", "size": "50",
    }  # fmt: skip
    assert shown["available"] == {
        "asked": "100", "available": "50", "participation": "0.5", "lot_size": "10", "most": "20",
    }  # fmt: skip
    assert shown["slippage"]["seed"] == f"{UUID(int=7)}/0"
    assert 1 <= Decimal(shown["slippage"]["slippage_bps"]) <= 5
    assert shown["charge"] == {
        "commission": {"model": "per_share", "per_share": "0.005"}, "filled_before": "0", "value_before": "0",
    }  # fmt: skip
    assert shown["text"].startswith("No quote could be dealt on, so it took the last price, 100, and a slippage of ")
    assert shown["text"].endswith("At most 20 of the 50 shown could be had; the rest waits for later prices.")
    assert shown["recomputed"]["equal"] is True


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("price", Decimal("100.01")), ("slippage_bps", Decimal("9")), ("seed", "another"), ("available", Decimal(70)),
        ("asked", Decimal(10)), ("participation", Decimal(1)), ("lot_size", Decimal(1)), ("tick_size", Decimal(1)),
        ("side", "SELL"), ("slippage_max_bps", Decimal(900)), ("commission", {"model": "generous"}),
        ("commission", {"model": "per_share", "per_share": Decimal("0.0050")}),
    ],
)  # fmt: skip
def test_a_basis_that_somebody_changed_no_longer_gives_the_fill(word: str, value: Any) -> None:
    execution = stored(*last_price_fill())
    shown = recomputed(replace(execution, basis=execution.basis | {word: value}))
    assert shown is not None
    assert shown["equal"] is False


def test_a_basis_that_lost_a_word_computes_to_nothing() -> None:
    execution = stored(*last_price_fill())
    for word in ("seed", "asked", "commission", "filled_before", "price"):
        basis = {name: value for name, value in execution.basis.items() if name != word}
        assert recomputed(replace(execution, basis=basis)) == {
            "price": None, "quantity": None, "commission": None, "slippage_bps": None, "equal": False,
        }  # fmt: skip


def test_an_earlier_models_fill_is_shown_without_being_computed_again() -> None:
    order, fill, rules = last_price_fill()
    execution = replace(stored(order, fill, rules), basis={"model": "paper-1", "rule": "quote", "price": Decimal(5)})
    shown = explain(execution, all_orders=True)
    assert (shown["recomputed"], shown["charge"]) == (None, None)
    assert "earlier model" in shown["text"]


def test_a_fill_in_the_book_is_explained_and_names_another_users_order_only_to_who_sees_all() -> None:
    rules, price = FillRules(), Decimal("10.50")
    taker, maker = an_order(quantity="100"), an_order(buy=False, quantity="40", price="10.50", number=99)
    basis = book_basis(taker, maker, price)
    bought = stored(taker, Fill(price, Decimal(40), basis | {"liquidity": "taker"} | terms_of(taker, rules)), rules)
    sold = stored(maker, Fill(price, Decimal(40), basis | {"liquidity": "maker"} | terms_of(maker, rules)), rules)
    for execution in (bought, sold):
        assert recomputed(execution) == {
            "price": "10.50", "quantity": "40", "commission": "0.200", "slippage_bps": None, "equal": True,
        }  # fmt: skip
    assert "came to the book and met" in explain(bought, all_orders=False)["text"]
    assert "rested in the book at 10.50" in explain(sold, all_orders=False)["text"]
    assert [explain(each, all_orders=False)["maker"] for each in (bought, sold)] == [None, str(maker.id)]
    assert explain(bought, all_orders=True)["maker"] == str(maker.id)


def terms_of(order: Order, rules: FillRules) -> dict[str, Any]:
    return commission_basis(order, rules.commission)
