"""What orders cost; each charge worked out by hand."""

from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsuite.domain.trading.commission import Commission, commission_from, commission_of, worst_commission
from qsuite.domain.trading.order import Order, OrderType, Side, TimeInForce

TIERS = {"model": "tiered", "tiers": [{"up_to": "1000", "per_share": "0.005"}, {"per_share": "0.003"}]}


def an_order() -> Order:
    nobody = UUID(int=0)
    return Order(
        id=nobody, account=nobody, symbol="IBM", side=Side.BUY, order_type=OrderType.MARKET, created_by=nobody,
        quantity=Decimal(10_000), time_in_force=TimeInForce.DAY, created_at=0, updated_at=0,
    )  # fmt: skip


def charges(terms: dict[str, Any], *fills: tuple[str, str]) -> list[Decimal]:
    """Charge fills of (quantity, price) of one order, one after the other."""
    order, model, charged = an_order(), commission_from(terms), []
    for quantity, price in ((Decimal(quantity), Decimal(price)) for quantity, price in fills):
        charged.append(commission_of(order, quantity, price, model))
        order.filled_quantity += quantity
        order.filled_value += quantity * price
    return charged


def test_half_a_cent_a_share_unless_something_else_is_configured_and_never_rounded() -> None:
    assert Commission().total(Decimal(1), Decimal(0)) == Decimal("0.005")
    assert Commission().total(Decimal(333), Decimal(0)) == Decimal("1.665")
    assert charges({"model": "per_share", "per_share": "0.0035"}, ("7", "100"), ("0.001", "100")) == [
        Decimal("0.0245"),
        Decimal("0.0000035"),
    ]


def test_per_cent_goes_by_the_value() -> None:
    # 0.2 % of 150 x 33.33 = 4,999.50 is 9.999
    assert charges({"model": "percent", "percent": "0.2"}, ("150", "33.33")) == [Decimal("9.999")]


def test_tiers_go_by_what_the_order_itself_has_traded() -> None:
    # 600 at 0.005 = 3; the next 600: 400 at 0.005 and 200 at 0.003 = 2.60; then all at 0.003
    assert charges(TIERS, ("600", "10"), ("600", "10"), ("100", "10")) == [3, Decimal("2.6"), Decimal("0.3")]


def test_a_minimum_is_paid_once_by_the_first_fill_and_used_up_by_those_after() -> None:
    # 100 at 0.005 is 0.50, so 1 is due; the next 100 are covered; at 300 the bare charge is 1.50
    terms = {"model": "per_share", "per_share": "0.005", "minimum": "1"}
    assert charges(terms, ("100", "10"), ("100", "10"), ("100", "10")) == [1, 0, Decimal("0.5")]


def test_nothing_is_charged_beyond_the_maximum() -> None:
    terms = {"model": "percent", "percent": "1", "maximum": "5"}
    assert charges(terms, ("4", "100"), ("4", "100"), ("4", "100")) == [4, 1, 0]


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        ({"model": "free"}, "one of per_share, percent, tiered"),
        ({"model": "percent", "per_share": "1"}, "needs percent"),
        ({"model": "percent", "percent": "1", "tiers": []}, "no other rate"),
        ({"model": "percent", "percent": "-1"}, "below zero"),
        ({"model": "percent", "percent": "NaN"}, "not a decimal"),
        ({"model": "percent", "percent": "1", "minimum": "2", "maximum": "1"}, "above the maximum"),
        ({"model": "percent", "percent": "1", "colour": "red"}, "colour"),
        ({"model": "tiered", "tiers": []}, "no tier"),
        ({"model": "tiered", "tiers": "1:2"}, "a list"),
        ({"model": "tiered", "tiers": [{"per_share": "1"}, {"per_share": "2"}]}, "needs up_to"),
        ({"model": "tiered", "tiers": [{"up_to": "5", "per_share": "1"}]}, "the last has none"),
        (
            {"model": "tiered", "tiers": [{"up_to": n, "per_share": "1"} for n in ("5", "5")] + [{"per_share": "1"}]},
            "small to large",
        ),
    ],
)
def test_terms_that_make_no_sense_are_refused_with_the_reason(terms: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        commission_from(terms)


AMOUNTS = st.integers(0, 1000).map(lambda cents: Decimal(cents) / 100)
RATES = AMOUNTS.map(str)
SCHEDULES = st.one_of(
    st.fixed_dictionaries({"model": st.just("per_share"), "per_share": RATES}),
    st.fixed_dictionaries({"model": st.just("percent"), "percent": RATES}),
    st.lists(RATES, min_size=1, max_size=4).map(
        lambda rates: {
            "model": "tiered",
            "tiers": [{"up_to": 100 * n, "per_share": rate} for n, rate in enumerate(rates[1:], 1)]
            + [{"per_share": rates[0]}],
        }
    ),
)
BOUNDS = st.lists(AMOUNTS, min_size=2, max_size=2).map(sorted)
FILLS = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 5000)), min_size=1, max_size=8)


@given(SCHEDULES, BOUNDS, FILLS)
def test_an_order_pays_the_same_however_it_is_sliced_and_never_more_than_was_reserved(
    schedule: dict[str, Any], bounds: list[Decimal], fills: list[tuple[int, int]]
) -> None:
    model = commission_from(schedule | {"minimum": bounds[0], "maximum": bounds[1]})
    assert commission_from(model.shown) == model
    quantity, value = sum(each for each, _ in fills), sum(each * price for each, price in fills)
    worst_price = Decimal(max(price for _, price in fills))
    order = an_order()
    paid = [Decimal(0)]
    for some, price in fills:
        left = quantity - order.filled_quantity
        worst = worst_commission(order, left, worst_price, model)
        paid.append(paid[-1] + commission_of(order, Decimal(some), Decimal(price), model))
        order.filled_quantity += some
        order.filled_value += some * price
        assert paid[-1] - paid[-2] + worst_commission(order, left - some, worst_price, model) <= worst
    assert paid[-1] == model.total(Decimal(quantity), Decimal(value))
    assert all(before <= after for before, after in pairwise(paid))
    assert bounds[0] <= paid[-1] <= bounds[1]
