"""An account that began anew, as the audit log tells it: what was written off, by which double entry."""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from qsuite.repos.books import EntryRow

RESET = "account.reset"


class WrittenOff(NamedTuple):
    """A position that was made nothing: of an account at its ``cost``, of a strategy with its ``commission``."""

    holder: UUID
    symbol: str
    quantity: Decimal
    amount: Decimal


class Reset(NamedTuple):
    """One reset of an account."""

    account: UUID
    postings: Mapping[str, Decimal]
    positions: tuple[WrittenOff, ...]
    strategies: tuple[WrittenOff, ...]


def reset_of(entry: EntryRow) -> Reset:
    """Read the reset that an audit entry tells of."""
    account, facts = UUID(entry.account), entry.facts
    return Reset(
        account=account,
        postings={name: Decimal(amount) for name, amount in facts["postings"].items()},
        positions=tuple(
            WrittenOff(account, each["symbol"], Decimal(each["quantity"]), Decimal(each["cost"]))
            for each in facts["positions"]
        ),
        strategies=tuple(
            WrittenOff(UUID(each["strategy"]), each["symbol"], Decimal(each["quantity"]), Decimal(each["commission"]))
            for each in facts["strategies"]
        ),
    )
