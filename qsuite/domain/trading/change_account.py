"""Change an account: whether it is on, what it may do, who may use it besides its owner.

Each change is an audit entry of its own, and counts from the next order on.
"""

from qsuite.domain.trading.account import Account
from qsuite.domain.trading.cancel import cancel_all
from qsuite.domain.trading.commands import CancelAll, ChangeAccount, Outcome
from qsuite.domain.trading.state import TradingState


def change_account(state: TradingState, command: ChangeAccount, now: int) -> Outcome:
    """Change what is given and differs. Switching an account off cancels its open orders."""
    account = state.accounts.get(command.account)
    if account is None:
        return Outcome(error="not_found", detail="no such account")
    if command.permissions is not None and command.permissions != account.permissions:
        account.permissions = command.permissions
        _note(state, command, account, now, "account.permissions_set", permissions=sorted(account.permissions))
    if command.members is not None and command.members != account.members:
        account.members = dict(command.members)
        members = {str(user): access.value for user, access in sorted(account.members.items())}
        _note(state, command, account, now, "account.members_set", members=members)
    if command.is_active is None or command.is_active == account.is_active:
        return Outcome()
    account.is_active = command.is_active
    _note(state, command, account, now, "account.enabled" if account.is_active else "account.disabled")
    if account.is_active:
        return Outcome()
    return cancel_all(state, CancelAll(account=account.id, user=command.user), now)


def _note(state: TradingState, command: ChangeAccount, account: Account, now: int, kind: str, **facts: object) -> None:
    account.updated_at = now
    account.version += 1
    state.touch(account, terms=True)
    state.note(kind, str(account.id), now, command.user, str(account.id), **facts)
