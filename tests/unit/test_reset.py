"""A paper account begins anew; every figure worked out by hand.

100,000 deposited. 10 IBM bought at 100.00 and 4 sold at 110.00, each share for 0.005: cash is 100,000 - 1,000 - 0.05
+ 440 - 0.02 = 99,439.93, profit 4 x 10 = 40, 6 held at a cost of 600.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.trading.commands import ResetAccount
from qsuite.domain.trading.order import Status
from qsuite.domain.trading.retell import Stretch, retell
from tests.support.trading import ACCOUNT, OTHER, OTHER_USER, STRATEGY, Desk, Pit

OFFICER = UUID(int=90)
RESET = ResetAccount(account=ACCOUNT, user=OFFICER)


def traded(**changed: Any) -> Desk:
    desk = Desk()
    desk.quote("99.99", "100.00")
    desk.place("BUY", 10, **changed)
    desk.quote("110.00", "110.01")
    desk.trade("110.00")
    desk.place("SELL", 4, **changed)
    assert desk.account.cash == Decimal("99439.93")
    return desk


def test_nothing_is_open_or_held_afterwards_and_the_cash_is_what_was_deposited() -> None:
    desk = traded()
    resting = desk.place("BUY", 5, "90.00")
    held = desk.place("BUY", 1, "90.00", hold=True)
    outcome = desk.send(RESET)
    assert {order.id for order in outcome.orders} == {resting.id, held.id}
    assert {order.status for order in outcome.orders} == {Status.CANCELLED}
    account, position = desk.account, desk.state.position_or_flat(ACCOUNT, "IBM")
    assert (account.cash, account.deposited, account.reserved) == (100_000, 100_000, 0)
    assert (account.realized_pnl, account.commission) == (0, 0)
    assert (position.quantity, position.cost, position.realized_pnl, position.commission) == (0, 0, 0, 0)
    assert (position.working_buys, position.working_sells) == (0, 0)
    assert desk.state.exposures.accounts.of(ACCOUNT).gross == 0
    assert not desk.state.orders


def test_its_double_entry_takes_every_ledger_account_back_to_nothing() -> None:
    desk = traded()
    desk.send(RESET)
    entry = desk.state.changes.entries[-1]
    assert (entry.kind, entry.actor, entry.subject) == ("account.reset", str(OFFICER), str(ACCOUNT))
    assert entry.facts == {
        "cash": "100000",
        # 100,000 - 99,439.93; 6 x 100.00 of cost; 40 of profit; 14 x 0.005 of commission
        "postings": {
            "cash": "560.070", "deposited": "0", "position": "-600.00", "realized_pnl": "40.00", "commission": "-0.070",
        },
        "positions": [{"symbol": "IBM", "quantity": "6", "cost": "600.00"}],
        "strategies": [],
    }  # fmt: skip
    assert sum(map(Decimal, entry.facts["postings"].values())) == 0


def test_another_amount_of_cash_counts_as_deposited() -> None:
    desk = traded()
    desk.send(ResetAccount(account=ACCOUNT, user=OFFICER, cash=Decimal("250.50")))
    assert (desk.account.cash, desk.account.deposited) == (Decimal("250.50"), Decimal("250.50"))
    postings = desk.state.changes.entries[-1].facts["postings"]
    # 250.50 - 99,439.93 and 100,000 - 250.50
    assert (postings["cash"], postings["deposited"]) == ("-99189.430", "99749.50")
    assert sum(map(Decimal, postings.values())) == 0


def test_the_days_profit_and_what_may_be_bought_count_from_the_reset_on() -> None:
    desk = traded()
    desk.send(RESET)
    assert desk.state.exposures.day_pnl(desk.account, desk.account.day) == 0
    assert desk.refusal("BUY", 10) is None
    position = desk.state.position_or_flat(ACCOUNT, "IBM")
    assert (position.quantity, position.cost) == (10, Decimal("1100.10"))
    assert desk.account.reset_at == desk.now
    assert desk.account.reset_mark is not None
    executions = desk.state.changes.executions
    assert [one.id < desk.account.reset_mark for one in executions] == [True, True, False]


def test_what_strategies_built_up_on_the_account_goes_too() -> None:
    desk = Desk()
    strategy = desk.add_strategy()
    desk.place("BUY", 10, strategy=strategy)
    desk.send(RESET)
    own = desk.state.strategy_position(strategy, "IBM")
    assert (own.quantity, own.cost, own.commission) == (0, 0, 0)
    assert desk.state.changes.entries[-1].facts["strategies"] == [
        {"strategy": str(STRATEGY), "symbol": "IBM", "quantity": "10", "commission": "0.050"}
    ]
    assert (STRATEGY, "IBM") in desk.state.changes.strategy_positions
    assert desk.state.exposures.strategies.of(strategy).gross == 0


def test_what_was_bought_of_another_account_in_a_book_is_closed_first() -> None:
    pit = Pit()
    resting = pit.mine("BUY", 1, "9.00")
    refused = pit.send(RESET)
    assert (refused.error, pit.account.cash) == ("account.book_positions", 100_000)
    assert pit.now_of(resting).status is Status.PENDING
    assert not [entry for entry in pit.state.changes.entries if entry.kind == "account.reset"]


def test_who_is_flat_in_a_book_may_begin_anew_though_it_traded_there() -> None:
    pit = Pit()
    pit.state.position(ACCOUNT, "NEW").clear(pit.now)
    pit.theirs("SELL", 10, "10.00")
    pit.mine("BUY", 10, "10.00")
    assert pit.send(RESET).error == "account.book_positions"
    pit.theirs("BUY", 10, "9.50")
    pit.mine("SELL", 10, "9.50")
    assert pit.account.cash == Decimal("99994.90")  # 10 x 0.50 lost, 20 x 0.005 paid
    assert pit.send(RESET).error is None
    assert pit.account.cash == 100_000
    assert pit.state.position_or_flat(OTHER, "NEW").quantity == 100
    assert pit.other.user == OTHER_USER


def test_books_that_do_not_add_up_are_left_as_they_are() -> None:
    desk = traded()
    desk.account.cash += 1
    assert desk.send(RESET).error == "account.unbalanced"
    assert desk.state.position_or_flat(ACCOUNT, "IBM").quantity == 6


def test_an_account_nobody_knows_is_not_found() -> None:
    assert Desk().send(ResetAccount(account=UUID(int=77), user=OFFICER)).error == "not_found"


def test_a_process_that_stands_by_tells_of_the_positions_that_went() -> None:
    desk = traded()
    desk.send(RESET)
    entries = [entry for entry in desk.state.changes.entries if entry.kind == "account.reset"]
    position = desk.state.position_or_flat(ACCOUNT, "IBM")
    told = retell(Stretch(entries, positions=[position], accounts=[desk.account]))
    assert [(one.kind, one.account) for one in told] == [("position", ACCOUNT), ("account", ACCOUNT)]
    assert told[0].what.quantity == 0
