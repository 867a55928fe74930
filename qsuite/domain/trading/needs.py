"""What a batch of commands needs that is not in memory: the engine loads it before it decides."""

from collections.abc import Iterable
from uuid import UUID

from qsuite.domain.trading.changes import Missing
from qsuite.domain.trading.commands import (
    CancelOrder,
    ChangeAccount,
    CheckOrder,
    Command,
    PlaceOrder,
    ReleaseOrder,
    ReplaceOrder,
    ResetAccount,
)
from qsuite.domain.trading.state import TradingState


def missing(state: TradingState, commands: Iterable[Command]) -> Missing:
    """Say what these commands need that is not in memory."""
    needs = Missing()
    for command in commands:
        placed = command.place if isinstance(command, CheckOrder) else command
        if isinstance(placed, PlaceOrder):
            if placed.account not in state.accounts:
                needs.accounts.add(placed.account)
            if placed.client_order_id is not None and _perhaps_stored(state, placed.account, placed.client_order_id):
                needs.client_ids.add((placed.account, placed.client_order_id))
            if placed.strategy is not None and placed.strategy not in state.strategy_positions:
                needs.strategies.add(placed.strategy)
        elif isinstance(command, (ChangeAccount, ResetAccount)):
            if command.account not in state.accounts:
                needs.accounts.add(command.account)
            if isinstance(command, ResetAccount):
                needs.strategies.update(one for one in command.strategies if one not in state.strategy_positions)
        elif isinstance(command, (ReleaseOrder, CancelOrder, ReplaceOrder)) and state.find(command.order) is None:
            needs.orders.add(command.order)
    return needs


def _perhaps_stored(state: TradingState, account: UUID, client_order_id: str) -> bool:
    known = state.find_by_client_id(account, client_order_id)
    return known is None and state.seen.may_hold(account, client_order_id)
