"""The daily job where something is wrong, is missing, comes twice, or begins anew."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from tornado.ioloop import IOLoop

from qsuite.domain.market import Trade
from qsuite.domain.times import NS_PER_S, parse_rfc3339
from qsuite.domain.trading.commands import ResetAccount
from qsuite.domain.trading.order import OrderType, Side
from qsuite.repos.database import Database
from qsuite.services.reports.statements import NotReconciled
from tests.support.traded_month import TradedMonth, daily_of, traded_month

DAY_NS = 86_400 * NS_PER_S


@pytest.fixture
def world(database: Database, io_loop: IOLoop, tmp_path: Path) -> Iterator[TradedMonth]:
    context = traded_month(database, tmp_path)
    yield io_loop.run_sync(context.__aenter__)
    io_loop.run_sync(lambda: context.__aexit__(None, None, None))


async def trade(world: TradedMonth, at: str, price: str, side: Side, quantity: int) -> None:
    """Let the market show a price of IBM, and anna trade at it."""
    world.now = parse_rfc3339(at)
    await world.app.services.market.publish([Trade("IBM", world.now, Decimal(price), Decimal(1_000_000))])
    asked = {"symbol": "IBM", "side": side, "order_type": OrderType.MARKET, "quantity": Decimal(quantity)}
    await world.app.services.trading.place(world.traders[0].caller, asked)


async def close(world: TradedMonth, day: str) -> None:
    """Let a day end, and the job run."""
    world.now = parse_rfc3339(f"{day}T00:00:00Z") + DAY_NS + 61 * NS_PER_S
    await world.app.services.market.stored()
    await world.daily.run_once(world.now)


def anna(world: TradedMonth) -> UUID:
    return world.traders[0].caller.accounts[0]


def dates(world: TradedMonth, account: UUID) -> list[str]:
    return [each["date"] for each in world.database.sync.statements.find({"account": account}).sort("day", 1)]


def number(value: Any) -> Decimal:
    found: Decimal = value.to_decimal()
    return found


async def test_an_account_that_does_not_reconcile_gets_no_statement_and_an_alarm(world: TradedMonth) -> None:
    await trade(world, "2014-05-01T12:00:00Z", "190", Side.BUY, 10)
    world.now = parse_rfc3339("2014-05-02T00:00:59Z")
    await world.daily.run_once(world.now)  # the day is over, but not for long enough
    assert dates(world, anna(world)) == ["2014-04-30"]
    accounts = world.database.sync.accounts
    cash = accounts.find_one({"_id": anna(world)})["cash"]
    accounts.update_one({"_id": anna(world)}, {"$set": {"cash": Decimal128(number(cash) + Decimal("0.01"))}})
    for _ in range(2):
        with pytest.raises(NotReconciled):
            await close(world, "2014-05-01")
    assert dates(world, anna(world)) == ["2014-04-30"]
    assert dates(world, world.traders[1].caller.accounts[0]) == ["2014-04-30", "2014-05-01"]
    (event,) = world.database.sync.risk_events.find({"code": "report.unreconciled"})
    assert (event["severity"], event["account"]) == ("critical", anna(world))
    assert f"cash is {number(cash) + Decimal('0.01')}" in event["detail"]
    assert world.daily.faults == 1

    accounts.update_one({"_id": anna(world)}, {"$set": {"cash": cash}})  # a person has looked
    await close(world, "2014-05-01")
    assert dates(world, anna(world)) == ["2014-04-30", "2014-05-01"]
    assert world.daily.faults == 0


async def test_a_fill_whose_double_entry_was_touched_is_found(world: TradedMonth) -> None:
    await trade(world, "2014-05-01T12:00:00Z", "190", Side.BUY, 10)
    executions = world.database.sync.executions
    whole = executions.find_one({"account": anna(world)})
    for change in ({"postings.position": Decimal128("1")}, {"price": Decimal128("190.02")}, {"postings": {}}):
        executions.update_one({"_id": whole["_id"]}, {"$set": change})
        with pytest.raises(NotReconciled):
            await close(world, "2014-05-01")
        executions.replace_one({"_id": whole["_id"]}, whole)
    assert dates(world, anna(world)) == []


async def test_many_jobs_at_once_after_days_of_downtime_store_each_statement_once(world: TradedMonth) -> None:
    for day in range(1, 8):
        await trade(world, f"2014-05-{day:02}T12:00:00Z", str(190 + day), Side.BUY, 10)
    world.now = parse_rfc3339("2014-05-08T00:02:00Z")
    await world.app.services.market.stored()
    jobs = [daily_of(world) for _ in range(4)]
    await asyncio.gather(*(job.run_once(world.now) for job in jobs))
    wanted = ["2014-04-30", *(f"2014-05-{day:02}" for day in range(1, 8))]
    for trader in world.traders:
        for account in trader.caller.accounts:
            assert dates(world, account) == wanted
    assert sum(job.stored for job in jobs) == 4 * len(wanted)
    # Bought ten a day, at the day's only price: every statement values at its own day's.
    for made in world.database.sync.statements.find({"account": anna(world), "executions": 1}):
        day = int(made["date"][-2:])
        assert number(made["positions"][0]["quantity"]) == 10 * day
        assert number(made["long_value"]) == 10 * day * (190 + day)


async def test_a_reset_is_a_line_of_its_own_and_the_books_go_on(world: TradedMonth) -> None:
    await trade(world, "2014-05-01T12:00:00Z", "190", Side.BUY, 10)
    await close(world, "2014-05-01")
    await trade(world, "2014-05-02T12:00:00Z", "200", Side.SELL, 4)
    world.now += NS_PER_S
    before = world.database.sync.accounts.find_one({"_id": anna(world)})
    cost = number(world.database.sync.positions.find_one({"account": anna(world)})["cost"])
    await reset(world, Decimal(500_000))
    await trade(world, "2014-05-02T15:00:00Z", "210", Side.BUY, 3)
    await close(world, "2014-05-02")
    await close(world, "2014-05-03")
    made = world.database.sync.statements.find_one({"account": anna(world), "date": "2014-05-02"})
    moved = {name: number(amount) for name, amount in made["movements"].items()}
    assert moved == {
        "deposit": 0,
        "withdrawal": 0,
        "reset": Decimal(500_000) - number(before["cash"]),
        "written_off": -cost,
    }
    account = world.database.sync.accounts.find_one({"_id": anna(world)})
    assert number(made["closing_cash"]) == number(account["cash"])
    assert number(made["deposited"]) == Decimal(500_000)
    assert [number(each["quantity"]) for each in made["positions"]] == [3]
    assert dates(world, anna(world))[-1] == "2014-05-03"
    client = await world.client("anna")
    for group in ("symbol", "strategy", "day", "account"):
        query = {"group_by": group, "from": "2014-05-02T00:00:00Z", "to": "2014-05-03T00:00:00Z"}
        rows = (await client.get("/api/v1/reports/pnl/", query=query)).json["results"]
        for name in ("realized_pnl", "commission", "unrealized_change"):
            assert sum(Decimal(row[name]) for row in rows) == number(made[name]), (group, name)
    held = (await client.get("/api/v1/reports/positions/")).json["results"]
    assert [(row["symbol"], row["quantity"]) for row in held] == [("IBM", "3")]


async def reset(world: TradedMonth, cash: Decimal) -> None:
    outcome = await world.app.engine.submit(ResetAccount(account=anna(world), user=UUID(int=9), cash=cash))
    assert outcome.error is None
