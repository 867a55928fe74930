"""What an account may trade: in its own currency, as far as it is permitted, by whom it is let."""

from decimal import Decimal
from uuid import UUID

import pytest

from qsuite.domain.trading.account import EVERY_PERMISSION, Access, Permission
from qsuite.domain.trading.commands import ChangeAccount
from qsuite.domain.trading.order import OrderType, Status
from tests.support.trading import ACCOUNT, USER, Desk

OFFICER, FRIEND = UUID(int=90), UUID(int=91)


def without(desk: Desk, *missing: Permission) -> Desk:
    permitted = EVERY_PERMISSION - set(missing)
    assert desk.send(ChangeAccount(account=ACCOUNT, user=OFFICER, permissions=permitted)).error is None
    return desk


def test_a_ticker_in_another_currency_is_refused_and_says_so() -> None:
    desk = Desk()
    desk.add_ticker("SAP", last="100.00", currency="EUR")
    assert desk.refusal("BUY", 1, symbol="SAP") == "account.currency"
    assert desk.refusal("BUY", 1) is None


def test_what_is_held_may_be_closed_whatever_its_currency_turns_out_to_be() -> None:
    desk = Desk()
    desk.place("BUY", 5)
    desk.add_ticker("IBM", currency="EUR")
    assert desk.refusal("BUY", 1) == "account.currency"
    assert desk.refusal("SELL", 6) == "account.currency"
    assert desk.refusal("SELL", 5) is None


@pytest.mark.parametrize(
    ("missing", "order", "code"),
    [
        (Permission.OPEN, ("BUY", 1, "99.00"), "not_permitted"),
        (Permission.OPEN, ("SELL", 6, "101.00"), "not_permitted"),
        (Permission.OPEN, ("SELL", 5, None), None),
        (Permission.MARKET_ORDERS, ("BUY", 1, None), "not_permitted"),
        (Permission.MARKET_ORDERS, ("BUY", 1, "99.00"), None),
        (Permission.MARKET_ORDERS, ("SELL", 5, None), None),
        (Permission.SHORT, ("SELL", 6, "101.00"), "not_permitted"),
        (Permission.SHORT, ("SELL", 5, "101.00"), None),
        (Permission.SHORT, ("BUY", 1, "99.00"), None),
        (Permission.STRATEGIES, ("BUY", 1, "99.00"), None),
    ],
)
def test_what_a_permission_is_needed_for(
    missing: Permission, order: tuple[str, int, str | None], code: str | None
) -> None:
    desk = Desk()
    desk.place("BUY", 5)
    desk.limit(short_sale=True)
    assert desk.refusal(*order) is None or code is None
    desk = Desk()
    desk.place("BUY", 5)
    desk.limit(short_sale=True)
    assert without(desk, missing).refusal(*order) == code


def test_strategies_need_their_permission_to_open_and_none_to_close() -> None:
    desk = Desk()
    strategy = desk.add_strategy()
    assert desk.refusal("BUY", 5, strategy=strategy) is None
    without(desk, Permission.STRATEGIES)
    assert desk.refusal("BUY", 1, strategy=strategy) == "not_permitted"
    assert desk.refusal("SELL", 5, strategy=strategy) is None


def test_a_stop_that_opens_is_refused_when_it_is_reached_without_its_permission() -> None:
    desk = Desk()
    stop = desk.place("BUY", 1, order_type=OrderType.STOP, stop_price=Decimal(101))
    without(desk, Permission.OPEN)
    desk.move("102.00")
    found = desk.state.find(stop.id)
    assert found is not None
    assert found.reject is not None
    assert (found.status, found.reject["code"]) == (Status.REJECTED, "not_permitted")


@pytest.mark.parametrize(
    ("members", "code"),
    [({}, "not_permitted"), ({FRIEND: Access.VIEW}, "not_permitted"), ({FRIEND: Access.TRADE}, None)],
)
def test_of_other_users_only_those_trade_who_are_let(members: dict[UUID, Access], code: str | None) -> None:
    desk = Desk()
    desk.send(ChangeAccount(account=ACCOUNT, user=OFFICER, members=members))
    assert desk.refusal("BUY", 1, user=FRIEND) == code
    assert desk.refusal("BUY", 1) is None


def test_each_change_is_one_audit_entry_and_none_where_nothing_changed() -> None:
    desk = Desk()
    change = ChangeAccount(
        account=ACCOUNT, user=OFFICER, permissions=frozenset({Permission.OPEN}), members={FRIEND: Access.VIEW}
    )
    version = desk.account.version
    for _ in range(2):
        desk.send(change)
    entries = desk.state.changes.entries
    assert [(entry.kind, entry.actor, entry.facts) for entry in entries] == [
        ("account.permissions_set", str(OFFICER), {"permissions": ["open"]}),
        ("account.members_set", str(OFFICER), {"members": {str(FRIEND): "view"}}),
    ]
    assert desk.account.version == version + 2
    assert desk.state.changes.terms == {ACCOUNT}
    assert desk.account.traded_by(USER)
