"""An order that turns a position round: what it closes backs the rest, and never more than that. Figures by hand."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from qsuite.domain.trading import seen
from qsuite.domain.trading.order import Status
from qsuite.domain.trading.risk import OFF, Limits, buying_power
from tests.support.trading import ACCOUNT, Desk

ANY = Limits(
    short_sale=True, gross_exposure=OFF, system_exposure=OFF, max_quantity=OFF, max_value=OFF, min_value=OFF,
    price_collar_passive=OFF, price_collar_window=OFF, reference_suspect=OFF, daily_loss=OFF, daily_loss_halt=OFF,
)  # fmt: skip
FEE = Decimal("0.005")
COLLAR = Decimal("0.05")


@pytest.fixture(autouse=True, scope="module")
def small_memory() -> Iterator[None]:
    """A megabyte of bits for each desk is most of its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "LEAST_BITS", 1 << 10)
        yield


def holding(held: int, cash: str | Decimal) -> Desk:
    """Hold this much of IBM, bought or sold at 100.00, and this much cash after that."""
    desk = Desk(cash="100000000", limits=ANY)
    desk.quote("100.00", "100.00")
    if held:
        assert desk.place("BUY" if held > 0 else "SELL", abs(held)).status is Status.FILLED
    desk.account.cash = Decimal(cash)
    return desk


def free(desk: Desk) -> Decimal:
    return buying_power(desk.account, desk.state.exposures)


@pytest.mark.parametrize(("cash", "code"), [("1001.595", "risk.buying_power"), ("1001.600", None), ("1001.605", None)])
def test_a_sale_that_goes_short_needs_half_of_that_less_what_closing_brings(cash: str, code: str | None) -> None:
    # 100 held; of 320 sold at 100 or better 220 are short: 11,000 of margin, 10,000 from closing, 1.60 of commission.
    desk = holding(100, cash)
    assert desk.refusal("SELL", 320, "100.00") == code
    if code is None:
        # 1,001.60 + 32,000 - 1.60, less 1.5 x 22,000
        assert free(desk) == Decimal(cash) - Decimal("1001.600")


@pytest.mark.parametrize(
    ("cash", "code"), [("15000.745", "risk.buying_power"), ("15000.750", None), ("15000.755", None)]
)
def test_a_purchase_that_goes_long_may_spend_what_the_short_held_back(cash: str, code: str | None) -> None:
    # 100 short: 15,000 are held back. 150 bought at 100 cost 15,000 and 0.75.
    desk = holding(-100, cash)
    assert desk.refusal("BUY", 150, "100.00") == code
    if code is None:
        assert free(desk) == desk.account.cash == Decimal(cash) - Decimal("15000.750")


def test_a_market_sale_is_reckoned_at_the_worse_end_of_the_collar() -> None:
    # 100 held, 150 sold: closing brings 100 x 95 at the least, the short of 50 takes 25 x 95. At 105: 25 - 100 of it.
    desk = holding(100, "0")
    assert desk.refusal("SELL", 150) is None
    # 100 held, 400 sold: 150 - 100 at 105 is 5,250, and 2.00 of commission.
    for cash, code in (("5251.99", "risk.buying_power"), ("5252.00", None)):
        assert holding(100, cash).refusal("SELL", 400) == code


def test_nobody_else_is_let_to_the_cash_that_the_last_part_needs() -> None:
    desk = holding(100, "1001.60")
    desk.quote("99.00", "99.10")
    resting = desk.place("SELL", 320, "100.00")
    assert resting.status is Status.PENDING
    assert free(desk) < 0  # 16,001.60 are reserved as for any sale of 320
    assert desk.refusal("BUY", 1, "1.00") == "risk.buying_power"
    desk.move("100.00", size="100")
    assert desk.state.position_or_flat(ACCOUNT, "IBM").quantity == 0
    # what is left, 220, is backed in full: 11,000 and 1.10; closing brought 10,000 less 0.50
    assert desk.state.orders[resting.id].reserved == Decimal("11001.10")
    assert free(desk) == Decimal("1001.60") + 10_000 - Decimal("0.50") - Decimal("11001.10")


def test_of_two_sales_only_one_counts_what_is_held() -> None:
    desk = holding(100, "3000")
    desk.quote("99.00", "99.10")
    assert desk.refusal("SELL", 100, "100.00") is None
    assert desk.refusal("SELL", 100, "100.00") == "risk.buying_power"  # 5,000.50 for a short of 100
    assert desk.refusal("SELL", 59, "100.00") is None


@settings(max_examples=100, deadline=None)
@given(
    held=st.integers(-300, 300),
    cash=st.integers(-4_000_000, 8_000_000),
    side=st.sampled_from(["BUY", "SELL"]),
    quantity=st.integers(1, 900),
    price=st.one_of(st.none(), st.integers(9_500, 10_500)),
)
@example(held=100, cash=525_200, side="SELL", quantity=400, price=None)
@example(held=300, cash=-2_500_000, side="SELL", quantity=400, price=None)
@example(held=-100, cash=1_500_075, side="BUY", quantity=150, price=10_000)
def test_exactly_those_pass_that_leave_buying_power_at_every_price_up_to_the_collar(
    held: int, cash: int, side: str, quantity: int, price: int | None
) -> None:
    signed = quantity if side == "BUY" else -quantity
    assume(held * signed < 0 and quantity > abs(held))
    desk = holding(held, Decimal(cash) / 100)
    desk.quote("100.00", "100.00")
    before = desk.account.cash
    limit = None if price is None else Decimal(price) / 100
    if limit is None:
        ends = [100 * (1 + COLLAR), 100 * (1 - COLLAR)]
    elif side == "BUY":
        ends = [limit]
    else:
        ends = [limit, max(limit, Decimal(100))]
    fee = FEE * quantity
    left = [
        before - signed * end - fee - Decimal("1.5") * max(Decimal(0), -(held + signed) * end)
        for end in (ends[:1] if side == "BUY" else ends)
    ]
    code = desk.refusal(side, quantity, None if limit is None else str(limit))
    assert (code is None) == (min(left) >= 0), (code, left)
    if code is not None:
        assert code == "risk.buying_power"
    elif not desk.state.orders:
        assert free(desk) >= 0
