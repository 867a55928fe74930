"""What an outcome of the engine amounts to for whoever asked: an order, or the error that tells why not."""

from collections.abc import Mapping
from typing import Any

from qsuite.domain.errors import (
    Conflict,
    Forbidden,
    NotFound,
    OrderRefused,
    OrderTooFast,
    PreconditionFailed,
    QSuiteError,
)
from qsuite.domain.trading.commands import Outcome
from qsuite.domain.trading.order import Order, Status
from qsuite.services.views import show_order

RATES = frozenset({"risk.order_rate", "risk.cancel_rate"})


def order_of(outcome: Outcome) -> Order:
    """Return the order of an outcome that has one, or raise what it amounts to."""
    order = outcome.order
    if outcome.error is not None:
        raise error_of(outcome)
    if order is not None and order.status is Status.REJECTED:
        assert order.reject is not None
        raise refused(order.reject, order)
    if outcome.refusal is not None:
        raise refused(outcome.refusal, order)
    assert order is not None, "a command about one order answers with it"
    return order


def order_or_error(outcome: Outcome | BaseException) -> Order | QSuiteError:
    """Return the order or the error; raise what is none of ours."""
    if isinstance(outcome, QSuiteError):
        return outcome
    if isinstance(outcome, BaseException):
        raise outcome
    try:
        return order_of(outcome)
    except QSuiteError as error:
        return error


def error_of(outcome: Outcome) -> QSuiteError:
    """Return the error that an outcome without success amounts to."""
    if outcome.error == "not_found":
        return NotFound(outcome.detail)
    if outcome.error == "forbidden":
        return Forbidden(outcome.detail)
    if outcome.error == "precondition_failed":
        return PreconditionFailed("it was changed since it was read: read it again")
    facts = {} if outcome.order is None else {"order": show_order(outcome.order)}
    return Conflict(outcome.detail, code=outcome.error, **facts)


def refused(refusal: Mapping[str, Any], order: Order | None) -> OrderRefused:
    """Return the error that tells of a control's no, with its figures and the order as it is stored."""
    facts: dict[str, Any] = {name: refusal[name] for name in ("limit", "value") if name in refusal}
    if order is not None:
        facts["order"] = show_order(order)
    kind = OrderTooFast if refusal["code"] in RATES else OrderRefused
    return kind(refusal["detail"], code=refusal["code"], **facts)
