"""The order's states: every sequence of up to five events over every kind of order, checked after each event.

A sequence is a placing and four events. What ended stays as it is, which is checked at once; and after an event that
moved nothing, all goes on as if it had not been. So sequences go on only while the order is open and moves; a held
order sees two markets rather than four. The expected states of a limit order come from a model of a few lines below,
written from the words "part fills, rest rests"; the table of states is the specification's, written out again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Context, Decimal
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from qsuite.domain.trading import seen
from qsuite.domain.trading.commands import (
    CancelOrder,
    MarketMoved,
    Outcome,
    ReleaseOrder,
    ReplaceOrder,
    TimePassed,
)
from qsuite.domain.trading.order import TRANSITIONS, Order, OrderType, Status, StopLoss, TakeProfit, TimeInForce
from qsuite.domain.trading.risk import OFF, Limits
from tests.support.trading import ACCOUNT, USER, Desk

STORED = Context(prec=34)
LENGTH = 5
DAY_NS = 86_400 * 10**9
COMMISSION = Decimal("0.005")
# Nothing but size, cash and value refuses here; 10 x 300 is worth too much.
LIMITS = Limits(
    price_collar=OFF,
    price_collar_passive=OFF,
    price_collar_window=OFF,
    reference_suspect=OFF,
    gross_exposure=OFF,
    system_exposure=OFF,
    max_value=Decimal(2_500),
)

# "HELD -> PENDING -> PARTIAL -> FILLED; CANCELLED, EXPIRED from any of the first three; REJECTED from HELD and PENDING.
# Terminal never leaves."
LEADS_TO = {
    None: {"HELD", "PENDING", "REJECTED"},
    "HELD": {"PENDING", "CANCELLED", "EXPIRED", "REJECTED"},
    "PENDING": {"PARTIAL", "FILLED", "CANCELLED", "EXPIRED", "REJECTED"},
    "PARTIAL": {"FILLED", "CANCELLED", "EXPIRED"},
    "FILLED": set(),
    "CANCELLED": set(),
    "REJECTED": set(),
    "EXPIRED": set(),
}
OPEN = {"HELD", "PENDING", "PARTIAL"}
# A stop that was triggered is at the market, which some kinds of step say without leaving the state.
STAYS = {
    "HELD": {"order.replaced"},
    "PENDING": {"order.replaced", "order.triggered", "order.trailed", "order.backed"},
    "PARTIAL": {"order.replaced", "order.filled", "order.backed"},
}


class Kind(NamedTuple):
    """An order to try, and the prices at which trades reach it, miss it, and jump far beyond it."""

    side: str
    price: str | None
    reach: str
    away: str
    jump: str
    more: dict[str, Any] = {}  # noqa: RUF012  never changed


KINDS = {
    "limit buy": Kind("BUY", "99", "99", "100", "98"),
    "limit sell": Kind("SELL", "101", "101", "100", "102"),
    "market buy": Kind("BUY", None, "100", "101", "150"),
    "stop buy": Kind("BUY", None, "102", "101", "300", {"order_type": OrderType.STOP, "stop_price": Decimal(102)}),
    "stop sell": Kind("SELL", None, "98", "99", "0.05", {"order_type": OrderType.STOP, "stop_price": Decimal(98)}),
    "stop limit buy": Kind(
        "BUY", "102.50", "102", "101", "300", {"order_type": OrderType.STOP_LIMIT, "stop_price": Decimal(102)}
    ),
    "trailing sell": Kind(
        "SELL", None, "97", "101", "0.05", {"order_type": OrderType.TRAILING_STOP, "trail_price": Decimal(2)}
    ),
    "bracket buy": Kind(
        "BUY", "99", "99", "106", "94",
        {"take_profit": TakeProfit(Decimal(105)), "stop_loss": StopLoss(Decimal(95))},
    ),
}  # fmt: skip
EVENTS = (
    "part", "rest", "away", "jump", "release", "cancel", "expire", "more", "less", "below", "reprice", "restop",
)  # fmt: skip
Sequence = tuple[str, ...]


class Run:
    """One order on its way, what it was answered, and whether the last event ``moved`` it or the market."""

    def __init__(self, kind: Kind, *, hold: bool) -> None:
        self.kind = kind
        self.desk = Desk(limits=LIMITS)
        self.ticks = count(10)
        self.desk.place("BUY", 20)  # something to sell
        self.desk.trade("100", ts_ns=next(self.ticks), size="4")  # what a market order meets: a part of it
        command = self.desk.command(kind.side, 10, kind.price, hold=hold, **kind.more)
        self.outcome = self.desk.send(command)
        self.id = command.id
        self.moved = True

    @property
    def order(self) -> Order:
        found = self.desk.state.find(self.id)
        assert found is not None
        return found

    def apply(self, event: str) -> Outcome:
        order, desk = self.order, self.desk
        steps = desk.state.chain.seq
        outcome = self._apply(event, order, desk)
        market = ("part", "jump") if order.status is Status.HELD else ("part", "rest", "away", "jump")
        self.moved = event in market or desk.state.chain.seq > steps
        return outcome

    def _apply(self, event: str, order: Order, desk: Desk) -> Outcome:
        whose: dict[str, Any] = {"order": self.id, "user": USER, "accounts": (ACCOUNT,)}
        match event:
            case "part":
                self.outcome = self._trade(self.kind.reach, "4")
            case "rest":
                self.outcome = self._trade(self.kind.reach, "1000")
            case "away":
                self.outcome = self._trade(self.kind.away, "1000")
            case "jump":
                self.outcome = self._trade(self.kind.jump, "1000")
            case "release":
                self.outcome = desk.send(ReleaseOrder(**whose))
            case "cancel":
                self.outcome = desk.send(CancelOrder(**whose))
            case "expire":
                desk.now += 2 * DAY_NS
                self.outcome = desk.send(TimePassed())
            case "more" | "less" | "below":
                quantity = Decimal({"more": 15, "less": 6, "below": 3}[event])
                self.outcome = desk.send(ReplaceOrder(**whose, quantity=quantity))
            case "reprice":
                cents = Decimal("0.10") if order.is_buy else Decimal("-0.10")
                self.outcome = desk.send(ReplaceOrder(**whose, price=(order.price or Decimal(100)) + cents))
            case "restop":
                self.outcome = desk.send(ReplaceOrder(**whose, stop_price=(order.stop_price or Decimal(100)) + 1))
        return self.outcome

    def _trade(self, price: str, size: str) -> Outcome:
        return self.desk.send(MarketMoved(ticks=[self.desk.trade(price, ts_ns=next(self.ticks), size=size)]))


def begun(kind: Kind, hold: bool, events: Sequence) -> Run:
    run = Run(kind, hold=hold)
    for event in events:
        run.apply(event)
    return run


def check(run: Run) -> None:
    """Check all orders there are, and what they add up to."""
    state = run.desk.state
    steps: dict[str, list[Any]] = defaultdict(list)
    for entry in state.changes.entries:
        if entry.kind.startswith("order."):
            steps[entry.subject].append(entry)
    executions: dict[UUID, dict[UUID, Any]] = defaultdict(dict)
    for execution in state.changes.executions:
        assert execution.id not in executions[execution.order]
        executions[execution.order][execution.id] = execution
        assert sum(execution.postings.values()) == 0
    told = [each.what for each in state.changes.announcements if each.kind == "order"]
    said = [(str(each.id), each.version, each.status.value) for each in told]
    audited = [
        (each.subject, each.facts["version"], each.facts["status"])
        for each in state.changes.entries
        if each.kind.startswith("order.")
    ]
    assert said == audited, "one announcement for each audit entry, in the same order"
    orders = {str(order.id): order for order in [*state.orders.values(), *map(state.find, _ids(steps))] if order}
    for subject, order in orders.items():
        check_sums(order, list(executions[order.id].values()))
        check_steps(steps[subject], order)
        assert replayed(steps[subject]) == document(order)
        check_reservation(order)
    open_orders = [order for order in orders.values() if order.status.value in OPEN]
    assert {order.id for order in open_orders} == set(state.orders)
    assert state.accounts[ACCOUNT].reserved == sum(order.reserved for order in open_orders)
    position = state.position(ACCOUNT, "IBM")
    assert (position.working_buys, position.working_sells) == working(open_orders)


def _ids(steps: dict[str, list[Any]]) -> Iterator[UUID]:
    return map(UUID, steps)


def check_sums(order: Order, executions: list[Any]) -> None:
    filled = sum((each.quantity for each in executions), Decimal(0))
    value = sum((each.quantity * each.price for each in executions), Decimal(0))
    assert 0 <= order.filled_quantity == filled <= order.quantity
    assert order.filled_value == value
    assert order.avg_fill_price == (STORED.divide(value, filled) if filled else None)
    assert order.commission == COMMISSION * filled
    assert (order.status is Status.FILLED) == (order.filled_quantity == order.quantity)
    assert order.status is not Status.PARTIAL or order.filled_quantity > 0
    for each in executions:
        if order.limit is not None and len({each.price, order.limit}) == 2 and not order.original:
            assert (each.price < order.limit) == order.is_buy, "never beyond its limit"


def check_steps(entries: list[Any], order: Order) -> None:
    """The version rises by one with each step, and each step is one that the table allows."""
    status: str | None = None
    assert order.version == len(entries)
    for version, entry in enumerate(entries, start=1):
        assert entry.facts["version"] == version
        reached = entry.facts["status"]
        if reached == status:
            assert entry.kind in STAYS[reached], f"{entry.kind} of an order that is {status}"
        elif (status, reached, entry.kind) != ("HELD", "FILLED", "order.replaced"):
            assert reached in LEADS_TO[status], f"{status} -> {reached} by {entry.kind}"
        status = reached
    assert status == order.status.value


def replayed(entries: list[Any]) -> dict[str, Any]:
    """Build the order again from nothing but its audit entries."""
    known: dict[str, Any] = {"filled_quantity": Decimal(0), "filled_value": Decimal(0), "commission": Decimal(0)}
    for entry in entries:
        facts = entry.facts
        if entry.kind == "order.filled":
            quantity, price = Decimal(facts["quantity"]), Decimal(facts["price"])
            known["filled_quantity"] += quantity
            known["filled_value"] += quantity * price
            known["commission"] += Decimal(facts["commission"])
        else:
            for name in ("symbol", "side", "order_type", "time_in_force"):
                known[name] = facts.get(name, known.get(name))
            for name in ("quantity", "price", "stop_price"):
                if facts.get(name) is not None:
                    known[name] = Decimal(facts[name])
        known["status"], known["version"], known["updated_at"] = facts["status"], facts["version"], entry.ts_ns
    return {name: value for name, value in known.items() if value is not None}


def document(order: Order) -> dict[str, Any]:
    names = (
        "filled_quantity", "filled_value", "commission", "symbol", "side", "order_type", "time_in_force", "quantity",
        "price", "stop_price", "status", "version", "updated_at",
    )  # fmt: skip
    return {name: value for name in names if (value := getattr(order, name)) is not None}


def check_reservation(order: Order) -> None:
    assert order.reserved >= 0
    if order.status.value not in ("PENDING", "PARTIAL"):
        assert order.reserved == 0, "held and ended orders have no claim on cash"
    elif order.order_type is OrderType.LIMIT and order.is_buy:
        assert order.price is not None
        assert order.reserved == order.remaining * (order.price + COMMISSION)


def working(open_orders: list[Order]) -> tuple[Decimal, Decimal]:
    """Add up what works, of two orders that cancel each other only one."""
    sums, counted = {"BUY": Decimal(0), "SELL": Decimal(0)}, set()
    for order in open_orders:
        if order.status.value != "HELD" and order.oco not in counted:
            sums[order.side.value] += order.remaining
            counted.add(order.id)
    return sums["BUY"], sums["SELL"]


def sequences(kind: Kind, hold: bool) -> Iterator[tuple[Sequence, Run]]:
    """Yield every sequence with the run right after it, as long as the order is open before the last event."""
    alive: list[Sequence] = [()]
    yield (), begun(kind, hold, ())
    for _ in range(LENGTH - 1):
        longer = []
        for events in alive:
            for event in EVENTS:
                run = begun(kind, hold, (*events, event))
                yield (*events, event), run
                if run.order.status.value in OPEN and run.moved:
                    longer.append((*events, event))
        alive = longer


def test_the_table_of_states_is_the_specification_s() -> None:
    table = {before and before.value: {after.value for after in afters} for before, afters in TRANSITIONS.items()}
    for before, afters in LEADS_TO.items():
        assert table[before] - {before} == afters
        assert (before in table[before]) == (before in STAYS)


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of bits for each of 30,000 runs is most of their time."""
    monkeypatch.setattr(seen, "LEAST_BITS", 1 << 10)


@pytest.mark.parametrize(
    ("name", "hold"), [*((name, False) for name in KINDS), *((name, True) for name in ("limit buy", "bracket buy"))]
)
def test_every_sequence_of_events_keeps_an_order_consistent(name: str, hold: bool) -> None:
    met: Counter[Status] = Counter()
    for events, run in sequences(KINDS[name], hold):
        try:
            check(run)
            if run.order.status.value not in OPEN:
                check_ended(run)
        except AssertionError as error:
            raise AssertionError(f"after {events}: {error}") from error
        met[run.order.status] += 1
    assert {Status.CANCELLED, Status.EXPIRED, Status.FILLED} <= met.keys()


def check_ended(run: Run) -> None:
    """Nothing changes what ended, and everybody who tries is told so."""
    ended = run.order.copy()
    for event in EVENTS:
        outcome = run.apply(event)
        assert run.order == ended, f"{event} changed an order that was {ended.status.value}"
        if event == "cancel" and ended.status is Status.CANCELLED:
            assert (outcome.error, outcome.order) == (None, ended)
        elif event in ("cancel", "release", "more", "less", "below", "reprice", "restop"):
            assert (outcome.error, outcome.order) == ("order.already_processed", ended)


class Expected(NamedTuple):
    """Where a limit order stands by the model."""

    status: str
    quantity: int = 10
    filled: int = 0


def predicted(now: Expected, event: str) -> Expected:
    """Say where a resting limit order of 10 stands after an event."""
    status, quantity, filled = now
    if event == "release":
        return now._replace(status="PENDING") if status == "HELD" else now
    if event in ("cancel", "expire"):
        return now._replace(status={"cancel": "CANCELLED", "expire": "EXPIRED"}[event])
    if event in ("part", "rest", "jump"):
        if status == "HELD":
            return now
        filled = min(quantity, filled + (4 if event == "part" else 1000))
        return now._replace(status="FILLED" if filled == quantity else "PARTIAL", filled=filled)
    wanted = {"more": 15, "less": 6, "below": 3}.get(event)
    if wanted is None:
        return now
    if wanted <= filled:
        return Expected("FILLED", filled, filled)
    return now._replace(quantity=wanted)


@pytest.mark.parametrize("hold", [False, True], ids=["sent", "held"])
def test_a_limit_order_stands_where_the_model_says(hold: bool) -> None:
    # Without repricing, which can make it trade against the last print at once.
    for events, run in sequences(KINDS["limit buy"], hold):
        if "reprice" in events or ("release" in events and {"part", "rest", "jump"} & set(events)):
            continue
        expected = Expected("HELD" if hold else "PENDING")
        for event in events:
            expected = predicted(expected, event)
        order = run.order
        assert (order.status.value, order.quantity, order.filled_quantity) == expected, events


def test_an_order_nobody_knows_or_of_another_account_is_not_found() -> None:
    run = Run(KINDS["limit buy"], hold=True)
    for order, accounts in ((UUID(int=77), (ACCOUNT,)), (run.id, (UUID(int=77),)), (run.id, ())):
        whose: dict[str, Any] = {"order": order, "user": USER, "accounts": accounts}
        for command in (CancelOrder(**whose), ReleaseOrder(**whose), ReplaceOrder(**whose, quantity=Decimal(3))):
            assert run.desk.send(command) == Outcome(error="not_found", detail="no such order")


def test_a_fill_that_comes_before_a_cancel_wins() -> None:
    run = begun(KINDS["limit buy"], False, ("rest", "cancel"))
    assert run.outcome.error == "order.already_processed"
    assert run.outcome.order is not None
    assert run.outcome.order.status is Status.FILLED


def test_a_replace_to_less_than_is_filled_ends_the_order_at_what_is_filled() -> None:
    run = begun(KINDS["limit buy"], False, ("part", "below"))
    assert (run.order.status, run.order.quantity, run.order.filled_quantity) == (Status.FILLED, 4, 4)


def test_a_stop_that_is_too_large_when_it_is_reached_is_rejected_then() -> None:
    run = begun(KINDS["stop buy"], False, ("jump",))
    assert run.order.status is Status.REJECTED
    assert run.order.reject is not None
    assert run.order.reject["code"] == "risk.max_value"


def test_what_is_to_trade_at_once_keeps_nothing_open_and_all_or_none_takes_nothing_of_too_little() -> None:
    for force, filled in ((TimeInForce.IOC, 4), (TimeInForce.FOK, 0)):
        run = Run(KINDS["market buy"]._replace(more={"time_in_force": force}), hold=False)
        assert (run.order.status, run.order.filled_quantity) == (Status.CANCELLED, filled)
