"""The controls in their order, and the walk through them: whether an order may go to the market.

The first no wins and is kept with its figures. Each is O(1). One that cannot be evaluated refuses. Nothing bypasses
them but cancels. Check and reservation are one step of the single writer, so orders that only together breach a limit
are counted one after the other.

After SEC rule 15c3-5 (c)(1) and MiFID II RTS 6 article 15.
"""

from qsuite.domain.trading.risk import fields, money, pace, price, size, standing
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.limited import Limited
from qsuite.domain.trading.risk.limits import Limits
from qsuite.domain.trading.risk.review import Control, Origin, Review

CONTROLS: tuple[Control | Limited, ...] = (
    standing.account_enabled,
    standing.permitted,
    standing.not_halted,
    standing.reducing_only,
    standing.tradable,
    standing.session_open,
    fields.tick_size,
    fields.lot_size,
    fields.time_in_force,
    fields.prices_given,
    fields.reduces_only,
    size.max_quantity,
    size.max_value,
    size.min_value,
    price.collar_aggressive,
    price.collar_passive,
    price.collar_window,
    price.priced,
    price.reference_fresh,
    price.reference_sane,
    money.cash_covers,
    money.position_limit,
    money.gross_exposure,
    money.system_exposure,
    money.short_sale,
    money.strategy_limit,
    pace.open_orders,
    pace.open_orders_in_ticker,
    pace.order_rate,
    pace.lookalike,
    pace.execution_throttle,
    pace.daily_loss_halt,
    pace.daily_loss,
    pace.self_trade,
)


SETS_KEPT = 1_000
"""Sets of limits whose controls are kept ready."""

_ready: dict[int, tuple[Limits, tuple[Control, ...]]] = {}


def controls_for(limits: Limits) -> tuple[Control, ...]:
    """Return the controls that are on under these limits, each set to its figure, in their order."""
    known = _ready.get(id(limits))
    if known is not None and known[0] is limits:
        return known[1]
    every = (control.set_to(limits) if isinstance(control, Limited) else control for control in CONTROLS)
    made = tuple(control for control in every if control is not None)
    if len(_ready) >= SETS_KEPT:
        _ready.clear()
    _ready[id(limits)] = (limits, made)  # held, so that its id stays its own
    return made


def review(subject: Review) -> Refusal | None:
    """Return the first control's refusal, or None if the order may go. A message is counted, whatever comes of it."""
    pace.count_message(subject)
    for control in controls_for(subject.limits):
        refusal = control(subject)
        if refusal is not None:
            return refusal
    if subject.origin is not Origin.CHECK:
        assert subject.mark is not None, "an order without any price is refused"
        subject.exposures.know(subject.order.symbol, subject.mark)
    return None
