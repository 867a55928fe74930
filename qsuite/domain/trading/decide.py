"""Apply any command to the state, and draw its consequences: the engine's one door into the domain."""

from qsuite.domain.trading.cancel import cancel, cancel_all, time_passed
from qsuite.domain.trading.change_account import change_account
from qsuite.domain.trading.commands import (
    CancelAll,
    CancelOrder,
    ChangeAccount,
    CheckOrder,
    Command,
    Halt,
    MarkAccounts,
    MarketMoved,
    Outcome,
    PlaceOrder,
    RaiseAlarm,
    ReleaseOrder,
    ReplaceOrder,
    ResetAccount,
    Resume,
    SetLimits,
    StopEverything,
    TimePassed,
)
from qsuite.domain.trading.follow import follow
from qsuite.domain.trading.halt import halt, resume
from qsuite.domain.trading.meet import market_moved
from qsuite.domain.trading.place import check, place, release
from qsuite.domain.trading.replace import replace
from qsuite.domain.trading.reset import reset_account
from qsuite.domain.trading.risk import set_limits
from qsuite.domain.trading.state import TradingState
from qsuite.domain.trading.watch import mark_accounts, raise_alarm, stop_everything


def decide(state: TradingState, command: Command, now: int) -> Outcome:
    """Apply one command at the instant ``now`` (nanoseconds, whole milliseconds)."""
    outcome = _apply(state, command, now)
    follow(state, now)
    state.settle_down()
    return outcome


def _apply(state: TradingState, command: Command, now: int) -> Outcome:
    match command:
        case PlaceOrder():
            return place(state, command, now)
        case MarketMoved():
            return market_moved(state, command, now)
        case CancelOrder():
            return cancel(state, command, now)
        case ReplaceOrder():
            return replace(state, command, now)
        case ReleaseOrder():
            return release(state, command, now)
        case CancelAll():
            return cancel_all(state, command, now)
        case CheckOrder():
            return check(state, command, now)
        case TimePassed():
            return time_passed(state, now)
        case MarkAccounts():
            return mark_accounts(state, now)
        case Halt():
            return halt(state, command, now)
        case Resume():
            return resume(state, command, now)
        case SetLimits():
            return set_limits(state, command, now)
        case StopEverything():
            return stop_everything(state, command, now)
        case RaiseAlarm():
            return raise_alarm(state, command, now)
        case ChangeAccount():
            return change_account(state, command, now)
        case ResetAccount():
            return reset_account(state, command, now)
