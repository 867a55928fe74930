"""What an account is worth, against the accounting of another platform, and by hand."""

import csv
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from qsuite.domain.account_history import due_at, sample_of
from qsuite.domain.times import DAY_NS, NS_PER_S, parse_rfc3339
from qsuite.domain.trading.account import Account, Position, settle
from qsuite.domain.trading.valuation import value_account


def new_account(cash: str, **changed: int | Decimal) -> Account:
    given = {"cash": Decimal(cash), "deposited": Decimal(cash), "created_at": 0, "updated_at": 0}
    return Account(id=UUID(int=1), user=UUID(int=2), name="one", currency="USD", **(given | changed))  # type: ignore[arg-type]


def holding(quantity: str, cost: str, symbol: str = "IBM") -> Position:
    return Position(account=UUID(int=1), symbol=symbol, quantity=Decimal(quantity), cost=Decimal(cost))


def read(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_thirteen_fills_long_and_short_leave_the_published_equity_after_each(shared_data: Path) -> None:
    account, position = new_account("100000"), holding("0", "0", "CASH")
    worth = [value_account(account, []).equity]
    for fill in read(shared_data / "reference/portfolio/cash_fills.csv"):
        price = Decimal(fill["fill_price"])
        entry = settle(account, position, Decimal(fill["fill_quantity"]), price, Decimal(0), 1)
        assert sum(entry.postings.values()) == 0
        worth.append(value_account(account, [(position, price)]).equity)
    expected = [Decimal(row["equity"]) for row in read(shared_data / "reference/portfolio/cash_equity.csv")]
    assert len(worth) == 14
    assert worth == expected


def test_a_short_position_is_owed() -> None:
    # 100 sold at 50 brought 5,000; at 52 they cost 5,200 to buy back.
    valued = value_account(new_account("105000"), [(holding("-100", "-5000"), Decimal(52))])
    assert (valued.long_value, valued.short_value, valued.equity) == (0, 5200, 99_800)
    assert valued.unrealized_pnl == -200


def test_what_has_no_price_counts_at_its_cost() -> None:
    valued = value_account(new_account("1000"), [(holding("10", "500"), None), (holding("-1", "-20", "B"), None)])
    assert (valued.equity, valued.unrealized_pnl) == (1480, 0)


@pytest.mark.parametrize(
    ("now", "sampled"),
    [
        ("2026-11-21T14:30:00Z", "2026-11-21T14:30:00Z"),
        ("2026-11-21T14:30:59.999Z", "2026-11-21T14:30:00Z"),
        ("2026-11-21T23:59:57.999Z", "2026-11-21T23:59:00Z"),
        ("2026-11-21T23:59:58Z", "2026-11-21T23:59:59.999Z"),
        ("2026-11-22T00:00:00Z", "2026-11-22T00:00:00Z"),
    ],
)
def test_a_sample_is_for_its_minute_and_the_last_two_seconds_for_the_days_end(now: str, sampled: str) -> None:
    assert due_at(parse_rfc3339(now)) == parse_rfc3339(sampled)


def test_the_days_profit_is_what_was_made_since_the_day_began_and_unknown_before_it_did() -> None:
    account = new_account("900", day=5, day_open_equity=Decimal(1000))
    valued = value_account(account, [(holding("10", "100"), Decimal(15))])
    assert sample_of(account, valued, 5 * DAY_NS + NS_PER_S).day_pnl == 50
    assert sample_of(account, valued, 6 * DAY_NS).day_pnl is None
