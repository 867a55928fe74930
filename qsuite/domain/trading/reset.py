"""Let a paper account begin anew, in one step: nothing open, nothing held, cash as wanted.

What was held is not sold, since nobody bought it: it is written off, by one double entry that takes every ledger
account of the account back to nothing. The entry is in the audit log, with what was written off of which symbol, so
that the books still add up from the first execution on (``services.books``, docs/adr/0036):

    cash          what is there from now on, less what was there
    deposited     what counted as brought in, less what does from now on
    position      the cost of what was held, away
    realized_pnl  the profit taken so far, away
    commission    what trading cost so far, away

Invariant: the entry sums to exactly zero; an account whose books do not allow that is left as it is. So is one that
holds what it bought of another account in a book: its counterpart would hold the other half of nothing.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.money import ZERO, show
from qsuite.domain.trading.account import Account, Position
from qsuite.domain.trading.cancel import cancel_all
from qsuite.domain.trading.commands import CancelAll, Outcome, ResetAccount
from qsuite.domain.trading.risk import day_of
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.venues import BOOK

RESET = "account.reset"


def reset_account(state: TradingState, command: ResetAccount, now: int) -> Outcome:
    """Cancel what is open, write off what is held, set the cash. The orders it cancelled are in the outcome."""
    account = state.accounts.get(command.account)
    if account is None:
        return Outcome(error="not_found", detail="no such account")
    held = [position for position in state.positions.get(account.id, {}).values() if _has_story(position)]
    in_book = sorted(position.symbol for position in held if position.quantity and _is_in_book(state, position.symbol))
    if in_book:
        detail = f"other accounts hold the other side of {', '.join(in_book)}: close it first"
        return Outcome(error="account.book_positions", detail=detail)
    cash = account.deposited if command.cash is None else command.cash
    postings = _postings(account, held, cash)
    if sum(postings.values(), ZERO) != ZERO:
        return Outcome(error="account.unbalanced", detail="the books of the account do not add up: see `qsuite check`")
    cancelled = cancel_all(state, CancelAll(account=account.id, user=command.user), now)
    state.settle_down()
    assert account.reserved == ZERO, "what backed the orders is free"
    own = list(_strategies_hold(state, account.id, command.strategies))
    facts = _facts(cash, postings, held, own)
    state.write_off(held, own, now)
    _begin_anew(account, cash, now)
    account.reset_mark = state.new_id()
    state.touch(account, terms=True)
    state.note(RESET, str(account.id), now, command.user, str(account.id), **facts)
    return cancelled


def _postings(account: Account, held: Iterable[Position], cash: Decimal) -> dict[str, Decimal]:
    return {
        "cash": cash - account.cash,
        "deposited": account.deposited - cash,
        "position": -sum((position.cost for position in held), ZERO),
        "realized_pnl": account.realized_pnl,
        "commission": -account.commission,
    }


def _begin_anew(account: Account, cash: Decimal, now: int) -> None:
    account.cash = account.deposited = account.day_open_equity = cash
    account.realized_pnl = account.commission = ZERO
    account.day = day_of(now)
    account.reset_at = account.updated_at = now
    account.version += 1


def _facts(
    cash: Decimal, postings: dict[str, Decimal], held: Iterable[Position], own: Iterable[Position]
) -> dict[str, Any]:
    return {
        "cash": show(cash),
        "postings": {name: show(amount) for name, amount in postings.items()},
        "positions": [
            {"symbol": each.symbol, "quantity": show(each.quantity), "cost": show(each.cost)} for each in held
        ],
        "strategies": [
            {
                "strategy": str(each.account),
                "symbol": each.symbol,
                "quantity": show(each.quantity),
                "commission": show(each.commission),
            }
            for each in own
        ],
    }


def _strategies_hold(state: TradingState, account: UUID, named: Iterable[UUID]) -> Iterable[Position]:
    """Yield what strategies built up on the account: of those named, and of those known here to trade on it."""
    known = (one for one in state.strategy_positions if (found := state.strategy(one)) and found.account == account)
    for strategy in dict.fromkeys((*named, *known)):
        yield from (each for each in state.strategy_positions.get(strategy, {}).values() if _has_story(each))


def _has_story(position: Position) -> bool:
    return bool(position.quantity or position.cost or position.realized_pnl or position.commission)


def _is_in_book(state: TradingState, symbol: str) -> bool:
    """Say whether others hold the other side; of a ticker that is gone nobody knows, so it counts as such."""
    ticker = state.ticker(symbol)
    return ticker is None or ticker.execution_mode == BOOK
