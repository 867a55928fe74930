"""Fill an order: one execution, its cash, its positions and the order's own state, all in one step."""

from decimal import Decimal

from qsuite.domain.money import ZERO, share_of, show
from qsuite.domain.trading.account import settle, take
from qsuite.domain.trading.commission import Commission, Model, commission_basis, commission_of
from qsuite.domain.trading.order import Execution, Order, Status
from qsuite.domain.trading.paper import Fill
from qsuite.domain.trading.risk import Refusal, check_invariants
from qsuite.domain.trading.state import Consequence, TradingState, as_text
from qsuite.domain.trading.steps import ENGINE
from qsuite.domain.trading.watch import begin_day


class InvariantBroken(Exception):
    """What must always hold does not: memory is wrong, and nothing of this may be stored."""

    def __init__(self, breach: Refusal) -> None:
        super().__init__(breach.detail)
        self.breach = breach


def fill_order(state: TradingState, order: Order, fill: Fill, now: int) -> Order:
    """Book a fill of a working order. Return the order as it is then."""
    account, position = state.accounts[order.account], state.position(order.account, order.symbol)
    quantity, price = fill.quantity, fill.price
    ticker = state.ticker(order.symbol)
    model = (state.rules if ticker is None else state.rules.for_ticker(ticker)).commission
    basis = fill.basis if "commission" in fill.basis else fill.basis | commission_basis(order, model)
    commission = commission_of(order, quantity, price, model)
    signed = quantity if order.is_buy else -quantity
    filled_before, held_before = order.filled_quantity, position.quantity
    begin_day(state, account, now)
    settled = settle(account, position, signed, price, commission, now)
    own = None
    if order.strategy is not None:
        own = state.strategy_position(order.strategy, order.symbol)
        take(own, signed, price, commission, now)
    order.filled_quantity += quantity
    order.filled_value += quantity * price
    order.commission += commission
    order.taken = basis.get("source")
    state.reserve(order, _still_reserved(order, model, filled_before))
    execution = Execution(
        id=state.new_id(),
        order=order.id,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=price,
        commission=commission,
        execution_time=now,
        external_execution_id=f"{'book' if basis['rule'] == 'book' else 'paper'}-{as_text(order.id)}-{order.version}",
        basis=basis,
        postings=settled.postings,
    )
    breach = check_invariants(order, position, execution, filled_before=filled_before, held_before=held_before)
    if breach is not None:
        raise InvariantBroken(breach)
    order.move(Status.PARTIAL if order.remaining else Status.FILLED, now)
    state.record_fill(execution, account, position, own)
    state.consequences.append(Consequence(order, quantity, closes=held_before * signed < ZERO))
    facts = {"execution": str(execution.id), "quantity": show(quantity), "price": show(price)}
    return state.record("order.filled", order, now, ENGINE, commission=show(commission), **facts)


def _still_reserved(order: Order, model: Commission, filled_before: Decimal) -> Decimal:
    """Return what keeps backing an order after a fill: the share of what is left, and more where that pays more."""
    left_before = order.quantity - filled_before
    kept = share_of(order.reserved, order.remaining, left_before)
    if not kept or model.model is not Model.TIERED:
        return kept
    before, now = (
        model.total(order.quantity, ZERO) - model.total(filled, ZERO)
        for filled in (filled_before, order.filled_quantity)
    )
    dearer = now - share_of(before, order.remaining, left_before)
    return kept + max(ZERO, dearer)
