"""What storage and the audit log say of an order, told again step by step; every figure worked out by hand."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.domain.trading.audit import Entry
from qsuite.domain.trading.order import Execution, Order, OrderType, Side, Status, TimeInForce
from qsuite.domain.trading.retell import Stretch, retell

ORDER, ACCOUNT, USER = UUID(int=1), UUID(int=2), UUID(int=3)


def entry(seq: int, version: int, status: str, **facts: Any) -> Entry:
    return Entry(
        seq, seq * 1_000_000, "order.step", "engine", str(ORDER), str(ACCOUNT),
        {"version": version, "status": status, **facts}, "", "",
    )  # fmt: skip


def execution(number: int, quantity: str, price: str, commission: str) -> Execution:
    return Execution(
        id=UUID(int=number), order=ORDER, account=ACCOUNT, symbol="IBM", side=Side.BUY, quantity=Decimal(quantity),
        price=Decimal(price), commission=Decimal(commission), execution_time=0, external_execution_id="", basis={},
    )  # fmt: skip


def order(**changed: Any) -> Order:
    given: dict[str, Any] = {
        "id": ORDER, "account": ACCOUNT, "symbol": "IBM", "side": Side.BUY, "order_type": OrderType.LIMIT,
        "quantity": Decimal(10), "price": Decimal(100), "time_in_force": TimeInForce.GTC, "created_by": USER,
        "created_at": 0, "updated_at": 0,
    }  # fmt: skip
    return Order(**(given | changed))


def versions(stretch: Stretch) -> list[Order]:
    return [told.what for told in retell(stretch) if told.kind == "order"]


def test_fills_are_undone_from_the_last_version_to_the_first() -> None:
    fills = [execution(11, "4", "99.50", "0.020"), execution(12, "6", "99.00", "0.030")]
    stored = order(
        status=Status.FILLED, version=3, filled_quantity=Decimal(10), filled_value=Decimal("992.00"),
        commission=Decimal("0.050"), updated_at=3_000_000,
    )  # fmt: skip
    entries = [
        entry(1, 1, "PENDING", quantity="10", price="100"),
        entry(2, 2, "PARTIAL", execution=str(fills[0].id), quantity="4", price="99.50"),
        entry(3, 3, "FILLED", execution=str(fills[1].id), quantity="6", price="99.00"),
    ]
    stretch = Stretch(entries, orders={ORDER: stored}, executions={one.id: one for one in fills})
    assert [told.kind for told in retell(stretch)] == ["order", "execution", "order", "execution", "order"]
    told = versions(stretch)
    assert [one.version for one in told] == [1, 2, 3]
    assert [one.status for one in told] == [Status.PENDING, Status.PARTIAL, Status.FILLED]
    assert [str(one.filled_quantity) for one in told] == ["0", "4", "10"]
    assert [one.avg_fill_price for one in told] == [None, Decimal("99.5"), Decimal("99.2")]
    assert [str(one.commission) for one in told] == ["0", "0.020", "0.050"]
    assert [one.updated_at for one in told] == [1_000_000, 2_000_000, 3_000_000]
    assert told[2] == stored


def test_a_version_before_a_replacement_asks_for_what_it_asked_for_then() -> None:
    stored = order(quantity=Decimal(7), price=Decimal(98), version=2)
    entries = [
        entry(1, 1, "PENDING", quantity="10", price="100"),
        entry(2, 2, "PENDING", quantity="7", price="98"),
    ]
    told = versions(Stretch(entries, orders={ORDER: stored}))
    assert [(one.quantity, one.price) for one in told] == [(10, 100), (7, 98)]


def test_only_the_version_that_was_refused_has_the_reason() -> None:
    stored = order(status=Status.REJECTED, version=2, reject={"code": "risk.halted", "detail": "halted"})
    told = versions(Stretch([entry(1, 1, "HELD"), entry(2, 2, "REJECTED", code="risk.halted")], orders={ORDER: stored}))
    assert [one.reject for one in told] == [None, {"code": "risk.halted", "detail": "halted"}]


def test_only_what_the_stretch_holds_is_told() -> None:
    stored = order(status=Status.CANCELLED, version=5)
    told = versions(Stretch([entry(9, 5, "CANCELLED")], orders={ORDER: stored}))
    assert [one.version for one in told] == [5]
    assert retell(Stretch([entry(9, 5, "CANCELLED")])) == []  # an order nobody here asked for
