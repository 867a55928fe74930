"""The engine broken on purpose, in the ways that lose money: each must be noticed within a few seeds.

A simulation that finds nothing in these proves nothing by finding nothing in the real one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from bson.raw_bson import RawBSONDocument

from qsuite.domain.errors import Unavailable
from qsuite.domain.trading.order import Order
from qsuite.domain.trading.state import TradingState
from qsuite.repos import engine_loading, orders
from qsuite.repos.engine_batch import Batch
from qsuite.repos.engine_store import ENGINE, EngineStore
from qsuite.services.engine import TradingEngine
from qsuite.services.engine_jobs import EngineStats, Job, answer

Breaking = Callable[[], Any]


def answer_before_commit() -> Any:
    """Answer as soon as it is decided."""
    real = TradingEngine._begin_commit

    def hasty(self: TradingEngine) -> None:
        jobs = list(self._open)
        real(self)
        answer(jobs, self.stats)

    return patch.object(TradingEngine, "_begin_commit", hasty)


def commit_without_transaction() -> Any:
    """Write a batch statement by statement."""

    def loose(self: EngineStore, batch: Batch) -> None:
        self.write(batch, None)

    return patch.object(EngineStore, "commit", loose)


def skip_the_fence() -> Any:
    """Write whoever holds the engine."""

    def careless(self: EngineStore, batch: Batch, session: Any) -> None:
        figures = {"batch": batch.number, "audit_seq": batch.audit_seq, "audit_hash": batch.audit_hash}
        self._db.engine_state.update_one(ENGINE, {"$set": figures}, session=session)

    return patch.object(EngineStore, "_advance", careless)


def forget_client_ids() -> Any:
    """Take every request for a new one."""
    return patch.object(TradingState, "find_by_client_id", lambda self, account, client_order_id: None)


def take_doubt_for_failure() -> Any:
    """Do again what was in doubt, without asking what became of it."""
    return _resolving(lambda self: self._queue.extendleft(reversed(self._in_flight.jobs)))


def take_doubt_for_success() -> Any:
    """Answer what was in doubt, without asking what became of it."""
    return _resolving(lambda self: self._conclude(self._in_flight))


def _resolving(guess: Callable[[Any], None]) -> Any:
    real = TradingEngine._resolve

    def guessing(self: Any, *args: Any) -> None:
        if self._in_flight is not None:
            guess(self)
            self._in_flight = None
        real(self, *args)

    return patch.object(TradingEngine, "_resolve", guessing)


def call_doubt_nothing_done() -> Any:
    """Tell those who waited too long that nothing was done."""

    def certain(job: Job, error: Exception, stats: EngineStats) -> None:
        if job.future is not None and not job.future.done():
            job.future.set_exception(Unavailable("certainly not"))

    return patch.object(Job, "give_up", certain)


def forget_the_first_answer() -> Any:
    """Store an order without what it was first answered."""
    real = orders.order_document

    def forgetful(order: Order) -> RawBSONDocument:
        return real(replace(order, original=None))

    return patch.object(orders, "order_document", forgetful)


def leave_positions_out() -> Any:
    """Load accounts without what they hold."""
    real = engine_loading.load_accounts

    def poor(db: Any, ids: Any) -> Any:
        return real(db, ids)[0], []

    return patch.object(engine_loading, "load_accounts", poor)


BROKEN: tuple[Breaking, ...] = (
    answer_before_commit,
    commit_without_transaction,
    skip_the_fence,
    forget_client_ids,
    take_doubt_for_failure,
    take_doubt_for_success,
    call_doubt_nothing_done,
    forget_the_first_answer,
    leave_positions_out,
)
