"""One order against its executions and its audit entries."""

from collections.abc import Iterator, Sequence
from decimal import Context, Decimal

from qsuite.repos.books import EntryRow, ExecutionRow, OrderRow

FIRST = frozenset({"HELD", "PENDING", "REJECTED"})
NEXT = {
    "HELD": {"HELD", "PENDING", "CANCELLED", "EXPIRED", "REJECTED"},
    "PENDING": {"PENDING", "PARTIAL", "FILLED", "CANCELLED", "EXPIRED", "REJECTED"},
    "PARTIAL": {"PARTIAL", "FILLED", "CANCELLED", "EXPIRED"},
}
WORKING = frozenset({"PENDING", "PARTIAL"})
STORED = Context(prec=34)  # what a Decimal128 keeps of a quotient


def order_faults(order: OrderRow, executions: Sequence[ExecutionRow], steps: Sequence[EntryRow]) -> Iterator[str]:
    """Yield what does not agree, one sentence each."""
    yield from _sum_faults(order, executions)
    yield from _status_faults(order)
    yield from _step_faults(order, steps)
    yield from _audited_fill_faults(executions, steps)


def _sum_faults(order: OrderRow, executions: Sequence[ExecutionRow]) -> Iterator[str]:
    quantity = sum((one.quantity for one in executions), Decimal(0))
    value = sum((one.quantity * one.price for one in executions), Decimal(0))
    commission = sum((one.commission for one in executions), Decimal(0))
    if quantity != order.filled_quantity:
        yield f"filled_quantity is {order.filled_quantity}, its executions sum to {quantity}"
    if value != order.filled_value:
        yield f"filled_value is {order.filled_value}, its executions sum to {value}"
    if commission != order.commission:
        yield f"commission is {order.commission}, its executions sum to {commission}"
    average = STORED.divide(value, quantity) if quantity else None
    if average != order.avg_fill_price:
        yield f"avg_fill_price is {order.avg_fill_price}, its executions give {average}"
    for one in executions:
        if (one.account, one.symbol, one.side) != (order.account, order.symbol, order.side):
            yield f"execution {one.id} is {one.side} {one.symbol} of account {one.account}, the order is not"
        if one.postings:
            yield from _posting_faults(one)
        if one.quantity <= 0 or one.price <= 0 or one.commission < 0:
            yield f"execution {one.id} is {one.quantity} at {one.price}, commission {one.commission}"


def _posting_faults(one: ExecutionRow) -> Iterator[str]:
    """A fill's double entry sums to zero, and its cash is what the fill moved."""
    total = sum(one.postings.values(), Decimal(0))
    if total != 0:
        yield f"the double entry of execution {one.id} sums to {total}"
    sign = -1 if one.side == "BUY" else 1
    cash = sign * one.quantity * one.price - one.commission
    if one.postings.get("cash") != cash or one.postings.get("commission") != one.commission:
        yield f"the double entry of execution {one.id} moves {one.postings.get('cash')} of cash, the fill {cash}"


def _status_faults(order: OrderRow) -> Iterator[str]:
    filled, quantity, status = order.filled_quantity, order.quantity, order.status
    possible = {
        "HELD": filled == 0,
        "PENDING": filled == 0,
        "PARTIAL": 0 < filled < quantity,
        "FILLED": filled == quantity,
        "CANCELLED": 0 <= filled < quantity,
        "EXPIRED": 0 <= filled < quantity,
        "REJECTED": filled == 0,
    }
    if not possible.get(status, False):
        yield f"status is {status} with {filled} of {quantity} filled"
    if (status == "REJECTED") is not (order.reject is not None):
        yield f"status is {status}, and the reason it was refused for is {order.reject}"
    if order.reserved < 0 or (order.reserved > 0 and status not in WORKING):
        yield f"reserves {order.reserved} as a {status} {order.side}"


def _step_faults(order: OrderRow, steps: Sequence[EntryRow]) -> Iterator[str]:
    """One audit entry per version, each a move that orders make, the last one to where the order stands."""
    if len(steps) != order.version:
        yield f"version is {order.version}, the audit log has {len(steps)} steps of it"
    status: str | None = None
    for number, step in enumerate(steps, start=1):
        reached = step.facts.get("status")
        if step.facts.get("version") != number:
            yield f"audit entry {step.seq} is its step {number} and says version {step.facts.get('version')}"
        if reached not in (FIRST if status is None else NEXT.get(status, set())):
            yield f"audit entry {step.seq} takes it from {status} to {reached}"
        status = reached
    if steps and status != order.status:
        yield f"status is {order.status}, the audit log ends with {status}"


def _audited_fill_faults(executions: Sequence[ExecutionRow], steps: Sequence[EntryRow]) -> Iterator[str]:
    """Each execution has its audit entry with the same figures, and the other way round."""
    audited = {step.facts["execution"]: step for step in steps if step.facts.get("execution") is not None}
    for one in executions:
        step = audited.pop(str(one.id), None)
        if step is None:
            yield f"execution {one.id} is not in the audit log"
            continue
        told = tuple(Decimal(step.facts[name]) for name in ("quantity", "price", "commission"))
        if told != (one.quantity, one.price, one.commission):
            yield f"execution {one.id} and audit entry {step.seq} give different figures"
    for execution, step in audited.items():
        yield f"audit entry {step.seq} tells of execution {execution}, which is not stored"
