"""What must be true, whatever happened: during the run of every answer and announcement, and at its end of the books.

Knows what was asked and what was answered, and looks at the stored documents; shares no code with the engine but the
reading of documents.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from qsuite.domain.trading.changes import Announcement, Missing
from qsuite.domain.trading.commands import Command, Outcome, PlaceOrder
from qsuite.domain.trading.order import TERMINAL, Order, Status
from qsuite.repos.books import BooksReader
from qsuite.repos.orders import order_from
from qsuite.services.books import check_books
from qsuite.services.views import show_order
from tests.simulation.client import Client
from tests.simulation.state import FAR_OFF

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.traders import Intent
    from tests.simulation.world import World

ASKED = ("account", "symbol", "side", "order_type", "time_in_force", "take_profit", "stop_loss", "trail_price")
REPLACEABLE = ("quantity", "price")


class Judge:
    """Collect what was said, and compare it with what is stored."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._intents: list[Intent] = []
        self._of_id: dict[UUID, Intent] = {}
        self._seen: dict[tuple[UUID, int], Status] = {}
        self._declined: set[UUID] = set()
        self._replaced: set[UUID] = set()
        self._releases: dict[UUID, list[bool | None]] = defaultdict(list)
        self._told: dict[tuple[int, UUID], int] = {}

    # -- as it happens ------------------------------------------------------------------------------------------

    def wanted(self, intent: "Intent") -> None:
        self._intents.append(intent)

    def asked(self, order: UUID, intent: "Intent") -> None:
        self._of_id[order] = intent

    def placed(self, intent: "Intent", outcome: Outcome) -> None:
        """The same request gets the same answer, always."""
        assert outcome.error is None, f"placing was answered with {outcome.error}"
        assert outcome.order is not None
        assert outcome.order.id in intent.ids, "answered with an order that was not asked for"
        if intent.answers:
            first = intent.answers[0].order
            assert first is not None
            before, now = show_order(first), show_order(outcome.order)
            assert before == now, f"asked again, answered differently: {_differences(before, now)}"
        intent.answers.append(outcome)

    def cancelled(self, order: UUID, outcome: Outcome) -> None:
        """Cancelling ends an order, or finds it ended."""
        assert outcome.error in (None, "order.already_processed")
        assert outcome.order is not None
        assert outcome.order.id == order
        assert outcome.order.status in TERMINAL

    def replaced(self, order: UUID) -> None:
        """Somebody changed an order, or may have."""
        self._replaced.add(order)

    def declined(self, command: Command) -> None:
        """Somebody was told that nothing was done."""
        if isinstance(command, PlaceOrder):
            self._declined.add(command.id)

    def released(self, order: UUID, outcome: Outcome | None, done: bool) -> None:
        """Note whether a release succeeded: None if nobody knows."""
        if outcome is not None or done:
            self._releases[order].append(None if outcome is None else outcome.error is None)

    def answered(self, process: "Process", outcome: Outcome) -> None:
        """Nothing is answered that is not stored."""
        for order in (outcome.order, *outcome.orders):
            if order is not None:
                self._is_stored(order, f"{process} answered")

    def heard(self, process: "Process", announcements: Sequence[Announcement]) -> None:
        """Nothing is announced that is not stored, nothing twice, and each order's steps in their order."""
        assert process.alive, f"{process} is dead and talks"
        for kind, _, what in announcements:
            if kind == "order":
                self._is_stored(what, f"{process} announced")
                before = self._told.get((process.number, what.id), 0)
                assert what.version > before, f"{process} announced version {what.version} after {before}"
                self._told[process.number, what.id] = what.version
            elif kind == "execution":
                assert what.id in self._documents("executions"), "announced an execution that is not stored"
            self._world.note(f"{process} tells {kind} {getattr(what, 'version', '')}")

    def _is_stored(self, order: Order, who: str) -> None:
        stored = self._documents("orders").get(order.id)
        assert stored is not None, f"{who} order {order.id}, which is not stored"
        version = stored.view["version"]
        assert version >= order.version, f"{who} version {order.version} of {order.id}, stored is {version}"
        self._seen[order.id, order.version] = order.status

    # -- at the end ---------------------------------------------------------------------------------------------

    def conclude(self) -> None:
        """Judge the stored books as a whole."""
        database: Any = Client(self._world.server, self._world.new_id)
        faults: list[str] = []
        check_books(BooksReader(database, None), lambda fault: faults.append(f"{fault.subject}: {fault.text}"))
        assert not faults, f"the books disagree: {faults}"
        stored = {key: order_from(each.view) for key, each in self._documents("orders").items()}
        by_intent: dict[int, list[Order]] = defaultdict(list)
        for order in stored.values():
            if order.parent is not None:
                assert order.parent in stored, f"{order.id} is a leg of {order.parent}, which is not stored"
                continue
            intent = self._of_id.get(order.id)
            assert intent is not None, f"nobody asked for order {order.id}"
            assert order.id not in self._declined, f"order {order.id} was said not to have been placed, and is stored"
            by_intent[id(intent)].append(order)
            for name in ASKED if order.id in self._replaced else (*ASKED, *REPLACEABLE):
                assert getattr(order, name) == intent.asked.get(name), f"{name} of {order.id} is not what was asked"
        for intent in self._intents:
            orders = by_intent[id(intent)]
            if intent.client_order_id is not None:
                assert len(orders) == 1, f"{len(orders)} orders are stored for {intent.client_order_id}"
            for answer in intent.answers:
                assert answer.order is not None
                assert answer.order.id in stored, f"order {answer.order.id} was acknowledged and is lost"
        self._check_steps()
        self._check_releases()

    def _check_releases(self) -> None:
        """Who released an order was told so; everybody else that it was released already."""
        entries = [
            each.view for each in self._documents("audit_log").values() if each.view["kind"].startswith("order.")
        ]
        for order, successes in self._releases.items():
            steps = [each for each in entries if each["subject"] == str(order)]
            left = [each for before, each in pairwise(steps) if before["facts"]["status"] == "HELD"]
            by_release = sum(each["kind"] in ("order.released", "order.rejected") for each in left)
            if None not in successes:
                assert successes.count(True) == by_release, f"{order} left HELD {by_release} times: {successes}"

    def _check_steps(self) -> None:
        """Every version that anybody saw is in the audit log with the status they saw."""
        steps = {
            (each.view["subject"], each.view["facts"]["version"]): each.view["facts"]["status"]
            for each in self._documents("audit_log").values()
            if each.view["kind"].startswith("order.")
        }
        for (order, version), status in self._seen.items():
            audited = steps.get((str(order), version))
            assert audited == status, f"{order} was {status} at version {version}, the audit log says {audited}"

    def compare_memory(self, process: "Process") -> None:
        """What the engine that serves remembers is what a new one would load."""
        memory = process.engine.memory
        fresh = self._world.new_state()
        fresh.load(*process.store.load_open())
        halts, _ = process.store.load_controls()
        missing = Missing(accounts=set(memory.accounts) - set(fresh.accounts))
        fresh.load(*process.store.load(missing))
        stored = {(halt.scope, halt.target): halt for halt in halts}
        _same("halts", memory.halts, stored)
        _same("open orders", *({key: _kept(order) for key, order in each.orders.items()} for each in (memory, fresh)))
        _same("accounts", memory.accounts, {key: fresh.accounts[key] for key in memory.accounts})
        for account in memory.positions:
            _same("positions", *(_traded(state.positions.get(account, {})) for state in (memory, fresh)))
        _same("resting orders", _resting(memory), _resting(fresh))
        head = self._documents("engine_state")["engine"].view
        assert (memory.chain.seq, memory.chain.head) == (head["audit_seq"], head["audit_hash"])

    def _documents(self, name: str) -> dict[Any, Any]:
        return self._world.server.data.get(name, {})


def _resting(state: Any) -> dict[str, list[list[UUID]]]:
    """Return who waits, by symbol and side, in the order they will be served."""
    return {
        symbol: [
            [entry[2].id for entry in side.entries]
            for side in (resting.buys, resting.sells, resting.stop_buys, resting.stop_sells)
        ]
        + [list(resting.remainders), list(resting.trailing)]
        for symbol, resting in state.venues.resting.items()
        if resting and symbol != FAR_OFF
    }


def _kept(order: Order) -> Order:
    """Leave out what is not kept for a restart.

    Of two legs the position counts the one that came first. An order that was on its way to a market some way off, and
    rests there since, took no step then: a restart lets it arrive again.
    """
    bare = order.copy()
    bare.counted = bare.remaining if order.oco is not None else order.counted
    if order.symbol == FAR_OFF:
        bare.arrival = 0
        bare.original = None if order.version == 1 else order.original
    return bare


def _traded(held: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is only remembered because somebody once looked, or an order waits there, and had no fill."""
    return {symbol: each for symbol, each in held.items() if each.stored or each.working_buys or each.working_sells}


def _same(what: str, memory: dict[Any, Any], stored: dict[Any, Any]) -> None:
    if memory == stored:
        return
    only = {"memory": memory.keys() - stored.keys(), "storage": stored.keys() - memory.keys()}
    different = {
        key: _differences(memory[key], stored[key])
        for key in memory.keys() & stored.keys()
        if memory[key] != stored[key]
    }
    raise AssertionError(f"{what} differ between memory and storage: only in {only}, different {different}")


def _differences(left: Any, right: Any) -> Any:
    if isinstance(left, dict):
        return {key: (left[key], right.get(key)) for key in left if left[key] != right.get(key)}
    if hasattr(left, "__dataclass_fields__"):
        names = [each.name for each in fields(left)]
        return {name: pair for name in names if (pair := (getattr(left, name), getattr(right, name)))[0] != pair[1]}
    return left, right
