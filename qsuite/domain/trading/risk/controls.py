"""The controls in their order, and the walk through them: whether an order may go to the market.

The first no wins and is kept with its figures. Each is O(1). One that cannot be evaluated refuses. Nothing bypasses
them but cancels. Check and reservation are one step of the single writer, so orders that only together breach a limit
are counted one after the other.

After SEC rule 15c3-5 (c)(1) and MiFID II RTS 6 article 15.
"""

from qsuite.domain.trading.risk import fields, money, pace, price, size, standing
from qsuite.domain.trading.risk.events import Refusal
from qsuite.domain.trading.risk.review import Control, Origin, Review

CONTROLS: tuple[Control, ...] = (
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


def review(subject: Review) -> Refusal | None:
    """Return the first control's refusal, or None if the order may go. A message is counted, whatever comes of it."""
    pace.count_message(subject)
    for control in CONTROLS:
        refusal = control(subject)
        if refusal is not None:
            return refusal
    if subject.origin is not Origin.CHECK:
        assert subject.mark is not None, "an order without any price is refused"
        subject.exposures.know(subject.order.symbol, subject.mark)
    return None
