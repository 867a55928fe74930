"""Limits by scope: which figure counts, how they change, and what cannot be set."""

from decimal import Decimal
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128

from qsuite.domain.trading.commands import Outcome, Scope, SetLimits
from qsuite.domain.trading.risk import OFF, LimitBook, Limits, ScopeLimits, Severity
from qsuite.domain.trading.risk.limits import NAMES, SWITCHES
from qsuite.domain.trading.risk.set_limits import BOUNDS
from qsuite.repos.risk_limits import limits_document, limits_from
from qsuite.settings import RiskSettings, load_settings
from tests.support.trading import ACCOUNT, STRATEGY, USER, Desk

A, S, T = (Scope.ACCOUNT, str(ACCOUNT)), (Scope.STRATEGY, str(STRATEGY)), (Scope.TICKER, "IBM")


def book(*scopes: tuple[tuple[Scope, str | None], dict[str, object]], defaults: Limits | None = None) -> LimitBook:
    made = LimitBook(defaults)
    made.load([ScopeLimits(scope, target, figures) for (scope, target), figures in scopes])  # type: ignore[arg-type]
    return made


def quantity(limits: LimitBook) -> object:
    return limits.effective(ACCOUNT, STRATEGY, "IBM").max_quantity


def test_without_any_scope_the_profiles_figures_hold() -> None:
    assert book().effective(ACCOUNT, STRATEGY, "IBM") == Limits()


def test_a_global_figure_takes_the_place_of_the_profiles() -> None:
    assert quantity(book(((Scope.GLOBAL, None), {"max_quantity": Decimal(7)}))) == 7


def test_a_narrow_figure_takes_the_place_of_the_global_one_even_where_it_is_wider() -> None:
    for figure in (5, 50_000):
        made = book(((Scope.GLOBAL, None), {"max_quantity": Decimal(100)}), (A, {"max_quantity": Decimal(figure)}))
        assert quantity(made) == figure
        assert made.effective(UUID(int=9), STRATEGY, "IBM").max_quantity == 100


def test_of_account_strategy_and_ticker_the_strictest_counts() -> None:
    figures = {"max_quantity": (30, 10, 20), "min_value": (30, 10, 20)}
    scopes = [(key, {name: Decimal(given[at]) for name, given in figures.items()}) for at, key in enumerate((A, S, T))]
    limits = book(*scopes).effective(ACCOUNT, STRATEGY, "IBM")
    assert (limits.max_quantity, limits.min_value) == (10, 30)


@pytest.mark.parametrize(("one", "other", "allowed"), [(True, False, False), (True, True, True), (False, True, False)])
def test_shorts_need_every_scopes_leave_that_says_anything(one: bool, other: bool, allowed: bool) -> None:
    assert (
        book((A, {"short_sale": one}), (T, {"short_sale": other})).effective(ACCOUNT, None, "IBM").short_sale is allowed
    )


def test_a_figure_that_cannot_be_read_is_the_strictest_and_one_that_is_off_the_mildest() -> None:
    assert quantity(book((A, {"max_quantity": None}), (T, {"max_quantity": Decimal(1)}))) is None
    assert quantity(book((A, {"max_quantity": OFF}), (T, {"max_quantity": Decimal(1)}))) == 1
    assert quantity(book((A, {"max_quantity": OFF}))) is OFF


def test_what_is_effective_is_remembered_until_a_version_changes() -> None:
    made = book((A, {"max_quantity": Decimal(5)}))
    first = made.effective(ACCOUNT, STRATEGY, "IBM")
    assert made.effective(ACCOUNT, STRATEGY, "IBM") is first
    made.put(ScopeLimits(*A, {"max_quantity": Decimal(6)}, 2))
    assert quantity(made) == 6


# -- setting them -------------------------------------------------------------------------------------------------


def put(desk: Desk, key: tuple[Scope, str | None], version: int | None = None, **figures: object) -> Outcome:
    scope, target = key
    command = SetLimits(scope=scope, target=target, limits=figures, user=USER, reason="test", version=version)  # type: ignore[arg-type]
    return desk.send(command)


def test_new_limits_hold_with_the_next_order_and_leave_their_trace() -> None:
    desk = Desk()
    assert desk.refusal("BUY", 6) is None
    assert put(desk, A, max_quantity=Decimal(5)).facts == {"version": 1}
    assert desk.refusal("BUY", 6) == "risk.max_quantity"
    changes = desk.state.changes
    (entry,) = [entry for entry in changes.entries if entry.kind == "risk.limits_set"]
    assert (entry.actor, entry.subject) == (str(USER), str(ACCOUNT))
    assert entry.facts["limits"] == {"max_quantity": "5"}
    event = changes.risk_events[0]
    assert (event.code, event.severity, event.detail, event.actor) == (
        "risk.limits_set", Severity.INFO, "max_quantity 5", USER
    )  # fmt: skip
    assert changes.limits[A].figures == {"max_quantity": 5}


def test_what_is_not_named_stays_and_null_takes_a_figure_away() -> None:
    desk = Desk()
    put(desk, A, max_quantity=Decimal(5), max_value=Decimal(700))
    put(desk, A, max_value=Decimal(800))
    assert desk.state.limits.scopes[A].figures == {"max_quantity": 5, "max_value": 800}
    assert put(desk, A, max_quantity=None).facts == {"version": 3}
    assert desk.state.limits.scopes[A].figures == {"max_value": 800}
    assert desk.state.limits.effective(ACCOUNT).max_quantity == 10_000


def test_the_versions_before_are_kept_newest_first() -> None:
    desk = Desk()
    for figure in range(1, 60):
        put(desk, A, max_quantity=Decimal(figure))
    kept = desk.state.limits.scopes[A]
    assert (kept.version, kept.figures) == (59, {"max_quantity": 59})
    assert [before.version for before in kept.history] == list(range(58, 8, -1))
    assert all(before.history == () for before in kept.history)


def test_a_change_made_of_an_older_version_is_not_taken() -> None:
    desk = Desk()
    put(desk, A, max_quantity=Decimal(5), version=0)
    assert put(desk, A, max_quantity=Decimal(6), version=0).error == "precondition_failed"
    assert put(desk, A, max_quantity=Decimal(6), version=1).error is None


@pytest.mark.parametrize(
    ("key", "figures"),
    [
        (A, {"max_quantiti": Decimal(1)}),
        (A, {"max_quantity": Decimal(-1)}),
        (A, {"max_quantity": Decimal("NaN")}),
        (A, {"max_quantity": Decimal("Infinity")}),
        (A, {"max_quantity": True}),
        (A, {"max_quantity": OFF}),
        (A, {"short_sale": Decimal(1)}),
        (A, {"price_collar": Decimal("1.01")}),
        (A, {"max_open_orders": Decimal("1.5")}),
        (T, {"daily_loss": Decimal("0.1")}),
        (A, {"system_exposure": Decimal(1)}),
        (A, {"execution_throttle": Decimal(1)}),
        ((Scope.GLOBAL, "x"), {"max_quantity": Decimal(1)}),
        ((Scope.ACCOUNT, None), {"max_quantity": Decimal(1)}),
        ((Scope.ACCOUNT, "x"), {"max_quantity": Decimal(1)}),
    ],
)
def test_what_makes_no_sense_is_not_set(key: tuple[Scope, str | None], figures: dict[str, object]) -> None:
    desk = Desk()
    outcome = put(desk, key, **figures)
    assert outcome.error == "validation"
    assert (outcome.facts or {})["errors"]
    assert desk.state.limits.scopes == {}
    assert not desk.state.changes


def test_every_figure_has_its_bounds() -> None:
    assert set(BOUNDS) | SWITCHES == NAMES


def test_a_zero_stops_everything_it_bounds() -> None:
    desk = Desk()
    for name, code in (("max_quantity", "max_quantity"), ("order_rate", "order_rate"), ("lookalike", "lookalike")):
        put(desk, A, **{name: Decimal(0)})
        assert desk.refusal("BUY", 1) == f"risk.{code}"
        put(desk, A, **{name: None})
    assert desk.refusal("BUY", 1) is None


# -- what is stored, and the profiles -----------------------------------------------------------------------------


def test_limits_come_back_from_storage_as_they_went() -> None:
    desk = Desk()
    put(desk, A, max_quantity=Decimal("5.50"), short_sale=True)
    put(desk, A, max_quantity=Decimal(6))
    kept = desk.state.limits.scopes[A]
    assert limits_from(limits_document(kept)) == kept


@pytest.mark.parametrize("raw", [Decimal128("NaN"), Decimal128("Infinity"), "5", 5, None, True])
def test_a_stored_figure_that_cannot_be_read_refuses(raw: object) -> None:
    document = limits_document(ScopeLimits(*A, {"max_quantity": Decimal(5)}, 1, USER, 1, "x"))
    document["limits"]["max_quantity"] = raw
    desk = Desk()
    desk.state.limits.load([limits_from(document)])
    assert desk.refusal("BUY", 1) == "risk.max_quantity"


def test_a_stored_figure_of_a_newer_version_is_left_alone() -> None:
    document = limits_document(ScopeLimits(*A, {"max_quantity": Decimal(5)}, 1, USER, 1, "x"))
    document["limits"]["of_tomorrow"] = Decimal128("1")
    assert limits_from(document).figures == {"max_quantity": 5}


ALWAYS_OFF_HERE = {"order_rate", "cancel_rate", "lookalike", "reference_stale", "execution_throttle"}


def test_the_local_profile_leaves_five_controls_off_and_production_none() -> None:
    secret = {"QSUITE_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz", "QSUITE_MONGODB_URI": "mongodb://localhost"}
    for profile, expected in (("local", ALWAYS_OFF_HERE), ("production", set[str]())):
        risk = load_settings({"QSUITE_PROFILE": profile} | secret, dotenv=None).risk
        assert {name for name in NAMES if getattr(risk, name) is OFF} == expected


def test_the_shipped_figures_are_those_of_the_table() -> None:
    # RELIABILITY.md section 2
    risk = RiskSettings()
    assert (risk.max_quantity, risk.max_value, risk.min_value) == (10_000, 250_000, 1)
    assert (risk.price_collar, risk.price_collar_passive, risk.price_collar_window) == (
        Decimal("0.05"), Decimal("0.20"), Decimal("0.03")
    )  # fmt: skip
    assert (risk.reference_stale, risk.reference_suspect) == (10, Decimal("0.10"))
    assert (risk.position_limit, risk.gross_exposure, risk.system_exposure, risk.short_sale) == (
        1_000_000,
        2,
        10,
        False,
    )
    assert (risk.max_open_orders, risk.max_open_orders_ticker) == (200, 50)
    assert (risk.order_rate, risk.order_burst, risk.cancel_rate, risk.lookalike) == (10, 20, 50, 3)
    assert (risk.execution_throttle, risk.daily_loss, risk.daily_loss_halt) == (100, Decimal("0.02"), Decimal("0.05"))
    assert set(RiskSettings.__dataclass_fields__) == NAMES
