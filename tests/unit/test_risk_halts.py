"""Kill switches of every scope and mode: who is covered, who may lift them, and what the engine throws by itself."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from qsuite.domain.times import DAY_NS, NS_PER_MS, NS_PER_S
from qsuite.domain.trading.commands import Halt, MarkAccounts, Resume, Scope, StopEverything, TradingMode
from qsuite.domain.trading.order import Execution, OrderType, Side, Status
from qsuite.domain.trading.risk import OFF, Limits, Severity, check_invariants
from tests.support.trading import ACCOUNT, FAR, STRATEGY, USER, Desk

OTHER = UUID(int=77)
SCOPES = [
    (Scope.GLOBAL, None), (Scope.ACCOUNT, str(ACCOUNT)), (Scope.STRATEGY, str(STRATEGY)), (Scope.TICKER, "IBM")
]  # fmt: skip
ELSEWHERE = [(Scope.ACCOUNT, str(OTHER)), (Scope.STRATEGY, str(OTHER)), (Scope.TICKER, "AAPL")]
MODES = pytest.mark.parametrize("mode", list(TradingMode), ids=lambda mode: mode.value)


def halted(desk: Desk, key: tuple[Scope, str | None], mode: TradingMode = TradingMode.HALTED, user: UUID = USER) -> int:
    outcome = desk.send(Halt(scope=key[0], target=key[1], user=user, reason="drill", mode=mode))
    assert outcome.error is None
    return len(outcome.orders)


def lifted(desk: Desk, key: tuple[Scope, str | None], user: UUID) -> str | None:
    return desk.send(Resume(scope=key[0], target=key[1], user=user)).error


def desk_with_strategy(limits: Limits = FAR) -> Desk:
    desk = Desk(limits=limits)
    desk.add_strategy()
    return desk


@pytest.mark.parametrize("key", SCOPES, ids=lambda key: key[0].value)
def test_halted_refuses_all_orders_and_cancels_the_open_ones(key: tuple[Scope, str | None]) -> None:
    desk = desk_with_strategy()
    desk.place("BUY", 10, strategy=STRATEGY)
    working = desk.place("BUY", 1, "90.00", strategy=STRATEGY)
    held = desk.place("SELL", 1, "110.00", strategy=STRATEGY, hold=True)
    assert halted(desk, key) == 2
    for order in (working, held):
        assert desk.state.find(order.id).status is Status.CANCELLED  # type: ignore[union-attr]
    assert desk.refusal("SELL", 1, strategy=STRATEGY) == "risk.halted"
    assert desk.refusal("BUY", 1, strategy=STRATEGY) == "risk.halted"
    assert desk.account.reserved == 0


@pytest.mark.parametrize("key", SCOPES, ids=lambda key: key[0].value)
def test_reducing_lets_through_only_what_makes_the_position_smaller(key: tuple[Scope, str | None]) -> None:
    desk = desk_with_strategy()
    desk.place("BUY", 10, strategy=STRATEGY)
    resting = desk.place("SELL", 3, "110.00", strategy=STRATEGY)
    assert halted(desk, key, TradingMode.REDUCING) == 0
    assert desk.state.find(resting.id).status is Status.PENDING  # type: ignore[union-attr]
    assert desk.refusal("BUY", 1, strategy=STRATEGY) == "risk.reducing"
    assert desk.refusal("SELL", 8, "110.00", strategy=STRATEGY) == "risk.reducing"  # 3 of 10 are on their way
    assert desk.refusal("SELL", 7, "110.00", strategy=STRATEGY) is None


@pytest.mark.parametrize("key", ELSEWHERE, ids=lambda key: key[0].value)
@MODES
def test_a_switch_elsewhere_stops_nothing_here(key: tuple[Scope, str | None], mode: TradingMode) -> None:
    desk = desk_with_strategy()
    desk.place("BUY", 1, "90.00", strategy=STRATEGY)
    assert halted(desk, key, mode) == 0
    assert desk.refusal("BUY", 1, strategy=STRATEGY) is None


def test_orders_of_no_strategy_are_not_covered_by_a_strategys_switch() -> None:
    desk = desk_with_strategy()
    halted(desk, (Scope.STRATEGY, str(STRATEGY)))
    assert desk.refusal("BUY", 1, strategy=STRATEGY) == "risk.halted"
    assert desk.refusal("BUY", 1) is None


@pytest.mark.parametrize("key", SCOPES, ids=lambda key: key[0].value)
@MODES
def test_only_another_user_lifts_what_a_user_threw(key: tuple[Scope, str | None], mode: TradingMode) -> None:
    desk = desk_with_strategy()
    assert lifted(desk, key, OTHER) == "not_found"
    halted(desk, key, mode)
    assert lifted(desk, key, USER) == "forbidden"
    assert desk.refusal("BUY", 1, strategy=STRATEGY) is not None
    assert lifted(desk, key, OTHER) is None
    assert desk.refusal("BUY", 1, strategy=STRATEGY) is None
    assert lifted(desk, key, OTHER) == "not_found"


@pytest.mark.parametrize(
    "key", [(Scope.GLOBAL, "x"), (Scope.TICKER, None), (Scope.ACCOUNT, "x"), (Scope.STRATEGY, "x")]
)
def test_a_switch_of_nothing_is_not_thrown(key: tuple[Scope, str | None]) -> None:
    desk = Desk()
    outcome = desk.send(Halt(scope=key[0], target=key[1], user=USER, reason="drill"))
    assert (outcome.error, desk.state.halts) == ("validation", {})


def test_a_stricter_switch_takes_the_place_of_a_milder_one_and_not_the_other_way_round() -> None:
    desk, key = Desk(), (Scope.GLOBAL, None)
    halted(desk, key, TradingMode.REDUCING)
    halted(desk, key, TradingMode.HALTED, user=OTHER)
    assert desk.refusal("BUY", 1) == "risk.halted"
    halted(desk, key, TradingMode.REDUCING)
    assert desk.refusal("BUY", 1) == "risk.halted"
    assert lifted(desk, key, OTHER) == "forbidden"
    assert lifted(desk, key, USER) is None


def test_of_several_switches_one_that_halts_counts() -> None:
    desk = Desk()
    halted(desk, (Scope.GLOBAL, None), TradingMode.REDUCING)
    halted(desk, (Scope.TICKER, "IBM"))
    assert desk.refusal("BUY", 1) == "risk.halted"


def test_a_stop_under_a_switch_is_rejected_at_its_trigger() -> None:
    desk = Desk()
    stop = desk.place("BUY", 1, order_type=OrderType.STOP, stop_price=Decimal("101.00"))
    halted(desk, (Scope.GLOBAL, None), TradingMode.REDUCING)
    desk.move("101.00")
    done = desk.state.find(stop.id)
    assert done is not None
    assert (done.status, (done.reject or {})["code"]) == (Status.REJECTED, "risk.reducing")


def test_each_throw_and_lift_makes_an_event() -> None:
    desk = Desk()
    halted(desk, (Scope.ACCOUNT, str(ACCOUNT)))
    lifted(desk, (Scope.ACCOUNT, str(ACCOUNT)), OTHER)
    thrown, resumed = desk.state.changes.risk_events
    assert (thrown.code, thrown.severity, thrown.actor, thrown.detail) == (
        "risk.halted", Severity.CRITICAL, USER, "drill"
    )  # fmt: skip
    assert (resumed.code, resumed.severity, resumed.actor) == ("risk.resumed", Severity.INFO, OTHER)
    assert (thrown.account, thrown.scope, thrown.target) == (ACCOUNT, Scope.ACCOUNT, str(ACCOUNT))


def test_refusals_by_risk_controls_make_events_and_wrong_fields_do_not() -> None:
    desk = Desk(limits=Limits(max_quantity=Decimal(5)))
    order = desk.place("BUY", 6)
    desk.place("BUY", 0)
    (event,) = desk.state.changes.risk_events
    assert (event.code, event.order, event.account, event.limit, event.value) == (
        "risk.max_quantity", order.id, ACCOUNT, 5, 6
    )  # fmt: skip
    assert (event.severity, event.actor) == (Severity.WARNING, USER)


# -- what a day lost ----------------------------------------------------------------------------------------------


def lost(desk: Desk, price: str) -> str | None:
    """Let the market move, the accounts be valued, and an order open more; return its refusal."""
    desk.trade(price)
    desk.send(MarkAccounts())
    return desk.refusal("BUY", 1)


def desk_holding_a_thousand() -> Desk:
    """Return a desk that holds 1,000 bought at 100.00 for no commission, valued at 100,000 as its day began."""
    desk = Desk(limits=replace(FAR, max_value=OFF, price_collar=Decimal("0.0001")))
    desk.quote("100.00", "100.00")
    desk.place("BUY", 900)
    desk.account.cash, desk.account.commission = Decimal(10_000), Decimal(0)
    desk.send(MarkAccounts())
    assert desk.account.day_open_equity == 100_000  # 10,000 + 900 x 100.00
    desk.market["IBM"] = desk.market["IBM"]._replace(quote=None)
    return desk


# 900 fall by 2.2222 to lose 2,000; the prices around it lie on the grid of a cent
@pytest.mark.parametrize(
    ("price", "code"),
    [
        ("97.79", None),
        ("97.78", None),
        ("97.77", "risk.reducing"),
        ("94.45", "risk.reducing"),
        ("94.44", "risk.halted"),
    ],
)
def test_two_per_cent_lost_lets_only_reduce_and_five_halts(price: str, code: str | None) -> None:
    # 900 x 2.22 = 1,998; 900 x 2.23 = 2,007; 900 x 5.55 = 4,995; 900 x 5.56 = 5,004
    assert lost(desk_holding_a_thousand(), price) == code


def test_a_loss_of_exactly_the_limit_is_one() -> None:
    desk = desk_holding_a_thousand()
    desk.account.cash -= 20  # 900 x 2.20 + 20 = 2,000
    assert lost(desk, "97.80") == "risk.reducing"


def test_after_two_per_cent_a_position_can_be_reduced_and_after_five_its_orders_are_gone() -> None:
    desk = desk_holding_a_thousand()
    resting = desk.place("SELL", 100, "101.00")
    assert lost(desk, "97.00") == "risk.reducing"
    assert desk.refusal("SELL", 100, "98.00") is None
    desk.trade("94.00")
    outcome = desk.send(MarkAccounts())
    assert len(outcome.orders) == 2
    assert desk.state.find(resting.id).status is Status.CANCELLED  # type: ignore[union-attr]
    assert desk.refusal("SELL", 100, "98.00") == "risk.halted"
    codes = [event.code for event in desk.state.changes.risk_events if event.severity is Severity.CRITICAL]
    assert codes == ["risk.reducing", "risk.halted"]
    last = next(event for event in desk.state.changes.risk_events if event.code == "risk.halted")
    assert (last.limit, last.value, last.actor) == (Decimal("0.05"), Decimal("0.054"), None)  # 900 x 6 of 100,000


def test_what_the_engine_threw_anybody_lifts_once_the_cause_is_gone() -> None:
    desk, key = desk_holding_a_thousand(), (Scope.ACCOUNT, str(ACCOUNT))
    assert lost(desk, "94.00") == "risk.halted"
    assert lifted(desk, key, USER) is None
    assert desk.refusal("BUY", 1) == "risk.daily_loss", "the loss itself refuses until it is looked at again"
    assert lost(desk, "94.00") == "risk.halted"
    desk.limit(daily_loss=Decimal("0.20"), daily_loss_halt=Decimal("0.30"))
    assert lifted(desk, key, USER) is None
    assert lost(desk, "94.00") is None


def test_a_new_day_begins_with_what_is_left_and_a_restart_does_not_begin_one() -> None:
    desk = desk_holding_a_thousand()
    desk.send(MarkAccounts())
    assert lost(desk, "98.00") is None  # 1,800 of 100,000
    desk.now += 3600 * NS_PER_S
    desk.send(MarkAccounts())
    assert desk.account.day_open_equity == 100_000
    desk.now = (desk.now // DAY_NS + 1) * DAY_NS
    desk.trade("98.00")
    desk.send(MarkAccounts())
    bought = Decimal("98.00") * 901 + desk.account.cash
    assert (desk.account.day, desk.account.day_open_equity) == (desk.now // DAY_NS, bought)
    kinds = [entry.kind for entry in desk.state.changes.entries]
    assert kinds.count("account.day_began") == 2
    assert lost(desk, "97.00") is None  # 901 of 98,000, though 2,700 of the day before's opening


# -- how fast a strategy fills ------------------------------------------------------------------------------------


def test_a_strategy_that_fills_too_fast_is_halted_until_somebody_lifts_it() -> None:
    desk = desk_with_strategy(replace(FAR, execution_throttle=Decimal(100)))
    resting = desk.place("BUY", 1, "90.00", strategy=STRATEGY)
    for _ in range(99):
        assert desk.place("BUY", 1, strategy=STRATEGY).status is Status.FILLED
    assert desk.place("BUY", 1, strategy=STRATEGY).status is Status.FILLED  # the hundredth
    assert desk.refusal("BUY", 1, strategy=STRATEGY) == "risk.halted"
    assert desk.state.find(resting.id).status is Status.CANCELLED  # type: ignore[union-attr]
    assert desk.refusal("BUY", 1) is None
    (event,) = [event for event in desk.state.changes.risk_events if event.severity is Severity.CRITICAL]
    assert (event.limit, event.value, event.target, event.actor) == (100, 100, str(STRATEGY), None)
    desk.now += 3600 * NS_PER_S
    assert desk.refusal("BUY", 1, strategy=STRATEGY) == "risk.halted"
    assert lifted(desk, (Scope.STRATEGY, str(STRATEGY)), USER) is None
    assert desk.place("BUY", 1, strategy=STRATEGY).status is Status.FILLED


def test_fills_ten_seconds_ago_do_not_count() -> None:
    desk = desk_with_strategy(replace(FAR, execution_throttle=Decimal(3)))
    desk.place("BUY", 1, strategy=STRATEGY)
    desk.place("BUY", 1, strategy=STRATEGY)
    desk.now += 10 * NS_PER_S - NS_PER_MS
    twin = desk.state.rates.fills.recent(STRATEGY, desk.now)
    desk.now += NS_PER_MS
    assert (twin, desk.state.rates.fills.recent(STRATEGY, desk.now)) == (2, 0)
    desk.place("BUY", 1, strategy=STRATEGY)
    desk.place("BUY", 1, strategy=STRATEGY)
    assert desk.state.halts == {}


# -- what must hold -----------------------------------------------------------------------------------------------


def a_fill(desk: Desk, **changed: object) -> Execution:
    given = {
        "id": UUID(int=5), "order": UUID(int=6), "account": ACCOUNT, "symbol": "IBM", "side": Side.BUY,
        "quantity": Decimal(10), "price": Decimal(100), "commission": Decimal(0), "execution_time": desk.now,
        "external_execution_id": "x", "basis": {}, "postings": {},
    }  # fmt: skip
    return Execution(**(given | changed))  # type: ignore[arg-type]


def test_a_fill_that_adds_up_breaks_nothing() -> None:
    desk = Desk()
    order = desk.place("BUY", 10)
    position = desk.state.position(ACCOUNT, "IBM")
    before = {"filled_before": Decimal(0), "held_before": Decimal(0)}
    assert check_invariants(order, position, a_fill(desk), **before) is None


@pytest.mark.parametrize(
    ("filled_before", "held_before", "fill"),
    [(1, 0, {}), (0, 1, {}), (0, 0, {"quantity": Decimal(9)}), (0, 0, {"postings": {"cash": Decimal("0.01")}})],
    ids=["order", "position", "quantity", "ledger"],
)
def test_a_fill_that_does_not_add_up_is_a_breach(filled_before: int, held_before: int, fill: dict[str, object]) -> None:
    desk = Desk()
    order = desk.place("BUY", 10)
    position = desk.state.position(ACCOUNT, "IBM")
    before = {"filled_before": Decimal(filled_before), "held_before": Decimal(held_before)}
    breach = check_invariants(order, position, a_fill(desk, **fill), **before)
    assert breach is not None
    assert breach.code == "risk.invariant"


def test_more_filled_than_asked_for_is_a_breach() -> None:
    desk = Desk()
    order = desk.place("BUY", 10)
    order.quantity = Decimal(9)
    position = desk.state.position(ACCOUNT, "IBM")
    before = {"filled_before": Decimal(0), "held_before": Decimal(0)}
    breach = check_invariants(order, position, a_fill(desk), **before)
    assert breach is not None
    assert (breach.limit, breach.value) == (9, 10)


def test_a_breach_stops_everything() -> None:
    desk = Desk()
    desk.place("BUY", 1, "90.00")
    breach = StopEverything(code="risk.invariant", detail="made up", limit=Decimal(1), value=Decimal(2))
    assert len(desk.send(breach).orders) == 1
    assert desk.refusal("BUY", 1) == "risk.halted"
    assert not desk.state.orders
    assert [event.code for event in desk.state.changes.risk_events][:2] == ["risk.invariant", "risk.halted"]
