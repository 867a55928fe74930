"""Apply any command to the state: the engine's one door into the domain."""

from qsuite.domain.trading.cancel import cancel, cancel_all, expire
from qsuite.domain.trading.commands import (
    CancelAll,
    CancelOrder,
    Command,
    TimePassed,
    Halt,
    MarketMoved,
    Outcome,
    PlaceOrder,
    ReleaseOrder,
    Resume,
)
from qsuite.domain.trading.halt import halt, resume
from qsuite.domain.trading.meet import market_moved
from qsuite.domain.trading.place import place, release
from qsuite.domain.trading.state import TradingState


def decide(state: TradingState, command: Command, now: int) -> Outcome:
    """Apply one command at the instant ``now`` (nanoseconds, whole milliseconds)."""
    match command:
        case PlaceOrder():
            return place(state, command, now)
        case ReleaseOrder():
            return release(state, command, now)
        case CancelOrder():
            return cancel(state, command, now)
        case CancelAll():
            return cancel_all(state, command, now)
        case MarketMoved():
            return market_moved(state, command, now)
        case TimePassed():
            return expire(state, now)
        case Halt():
            return halt(state, command, now)
        case Resume():
            return resume(state, command, now)
