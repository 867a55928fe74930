"""What MongoDB adds up is what the domain's own code adds up, whatever was traded."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from typing import cast
from uuid import UUID

import pytest
from pymongo.errors import ExecutionTimeout

from qsuite.domain.errors import Invalid
from qsuite.domain.performance import Period, fill_figures, order_figures, round_trips, trip_figures
from qsuite.domain.times import NS_PER_MS
from qsuite.domain.trading.order import Execution, Order, OrderType, Side, Status, TimeInForce
from qsuite.repos import executions, orders
from qsuite.repos.bson_pieces import decoded
from qsuite.repos.database import Database
from qsuite.repos.executions import execution_document
from qsuite.repos.orders import order_document
from qsuite.repos.performance import PerformanceRepo

ACCOUNTS = [UUID(int=number) for number in (1, 2, 3)]
STRATEGY = UUID(int=77)
SYMBOLS = ["IBM", "AAPL"]
START_NS = 1_700_000_000_000 * NS_PER_MS


def traded(seed: int, count: int) -> tuple[list[Order], list[Execution]]:
    """Make orders and their fills: small quantities, so that positions often come to flat and turn over."""
    draw = random.Random(seed)
    placed: list[Order] = []
    filled: list[Execution] = []
    held: Counter[tuple[UUID, str]] = Counter()
    for number in range(1, count + 1):
        at = START_NS + number // 3 * NS_PER_MS  # some at the same instant
        status = draw.choice([Status.FILLED, Status.FILLED, Status.CANCELLED, Status.REJECTED, Status.HELD])
        quantity = Decimal(draw.randint(1, 3))
        account, symbol = draw.choice(ACCOUNTS), draw.choice(SYMBOLS)
        homewards = Side.SELL if held[account, symbol] > 0 else Side.BUY
        one = Order(
            id=UUID(int=number), account=account, symbol=symbol,
            side=homewards if draw.random() < 0.5 else draw.choice(list(Side)),
            order_type=OrderType.MARKET, quantity=quantity,
            time_in_force=TimeInForce.DAY, created_by=ACCOUNTS[0], created_at=at,
            updated_at=at + draw.randint(0, 9) * NS_PER_MS, status=status, version=2,
            strategy=STRATEGY if draw.random() < 0.4 else None,
        )  # fmt: skip
        placed.append(one)
        if status is Status.FILLED:
            filled.append(_fill_of(one, draw))
            held[account, symbol] += int(quantity if one.is_buy else -quantity)
            one.filled_quantity, one.filled_value = quantity, quantity * filled[-1].price
    return placed, filled


def _fill_of(order: Order, draw: random.Random) -> Execution:
    price = Decimal(draw.randint(9_900, 10_100)) / 100
    basis = {"model": "paper-2", "price": price}
    if draw.random() < 0.5:
        basis |= {"bid": price - Decimal("0.01"), "ask": price + Decimal("0.02")}
    return Execution(
        id=UUID(int=1_000_000 + order.id.int), order=order.id, account=order.account, symbol=order.symbol,
        side=order.side, quantity=order.quantity, price=price + Decimal(draw.randint(-2, 2)) / 100,
        commission=Decimal(draw.randint(0, 3)) / 1000, execution_time=order.updated_at,
        external_execution_id=f"paper-{order.id}-2", basis=basis,
        postings={"realized_pnl": Decimal(draw.randint(-5, 5)) / 8},
    )  # fmt: skip


PERIODS = [
    Period(),
    Period(accounts=(ACCOUNTS[0],)),
    Period(accounts=()),
    Period(symbol="IBM"),
    Period(strategy=STRATEGY),
    Period(strategy=STRATEGY, accounts=(ACCOUNTS[1], ACCOUNTS[2]), symbol="AAPL"),
    Period(from_ns=START_NS + 40 * NS_PER_MS, to_ns=START_NS + 120 * NS_PER_MS + 1),
    Period(from_ns=START_NS + 40 * NS_PER_MS + 1, strategy=STRATEGY),
    Period(from_ns=START_NS * 2),
]


@pytest.mark.parametrize("kind", ["database", "memory_database"])
async def test_any_period_adds_up_as_counted_by_hand(kind: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(kind)
    placed, filled = traded(seed=5, count=600)
    await database.collection(orders.SPEC.name).insert_many([decoded(order_document(order)) for order in placed])
    await database.collection(executions.SPEC.name).insert_many([decoded(execution_document(fill)) for fill in filled])
    repo = PerformanceRepo(database)
    for period in PERIODS:
        mine = [order for order in placed if _is_in(period, order)]
        ids = {order.id for order in mine}
        fills = sorted((each for each in filled if each.order in ids), key=lambda each: (each.execution_time, each.id))
        found = await asyncio.gather(repo.orders(period), repo.fills(period), repo.trips(period))
        expected = (
            order_figures(order for order in mine if period.holds(order.created_at)),
            fill_figures(fill for fill in fills if period.holds(fill.execution_time)),
            trip_figures(trip for trip in round_trips(fills) if period.holds(trip.closed_at)),
        )
        assert found[0].by_status == expected[0].by_status, period
        assert found[0].fill_rate == expected[0].fill_rate
        assert found[0].avg_execution_ms == pytest.approx(expected[0].avg_execution_ms)
        assert found[1] == expected[1], period
        assert found[2] == expected[2], period
    whole = trip_figures(round_trips(sorted(filled, key=lambda each: (each.execution_time, each.id))))
    assert whole.closed > 50
    assert min(whole.winning, whole.losing) > 10


def _is_in(period: Period, order: Order) -> bool:
    return (
        (period.accounts is None or order.account in period.accounts)
        and (period.symbol is None or order.symbol == period.symbol)
        and (period.strategy is None or order.strategy == period.strategy)
    )


async def test_what_the_database_stops_for_its_time_is_refused_as_too_much(database: Database) -> None:
    repo = PerformanceRepo(database)
    repo._database = cast(Database, OutOfTime())
    with pytest.raises(Invalid) as caught:
        await repo.trips(Period())
    assert caught.value.code == "performance.too_much"


class OutOfTime:
    """A database whose every aggregation takes too long, as the driver tells it."""

    transactions = True

    def collection(self, name: str) -> "OutOfTime":
        return self

    def aggregate(self, pipeline: object, **options: object) -> "OutOfTime":
        return self

    async def to_list(self, length: int | None) -> None:
        raise ExecutionTimeout("operation exceeded time limit", 50)
