"""A real month, traded: every statement and report, held against the ledger in arithmetic of this file's own.

What is expected is summed up in plain decimals from the executions as pymongo reads them, and from the prices of the
files; nothing of QSuite's reading or arithmetic is used for it. All equalities are to the last digit.
"""

import asyncio
import csv
import io
import json
import os
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from tornado.ioloop import IOLoop

from qsuite.domain.market import Quote
from qsuite.domain.times import NS_PER_S, parse_rfc3339
from qsuite.repos.database import connect
from tests.support import client
from tests.support.client import Answer, ApiClient
from tests.support.server import COMMAND, environment
from tests.support.traded_month import Instant, TradedMonth, daily_of, month, traded_month

THINNED = 1 if int(os.environ.get("TEST_SCALE", "1")) > 1 else 12
"""One hour in so many is traded; all of them at a larger scale."""
ORDERS = 4
LONGEST_S = 600.0
"""A whole month's report takes seconds, and many of them on a busy machine."""
DAY_NS = 86_400 * NS_PER_S
ZERO, CENT = Decimal(0), Decimal("0.01")
LEDGER = ("cash", "position", "realized_pnl", "commission")
FORMS = {
    "json": "application/json",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass
class Fill:
    """An execution as it is stored, read with nothing of QSuite's."""

    id: str
    order: UUID
    account: UUID
    symbol: str
    day: int
    at: datetime
    signed: Decimal
    price: Decimal
    commission: Decimal
    realized: Decimal
    postings: dict[str, Decimal]


@dataclass
class Traded:
    """The month as it was traded, what is stored of it, and clients."""

    world: TradedMonth
    instants: list[Instant]
    fills: list[Fill]
    auditor: ApiClient
    trader: ApiClient

    @property
    def db(self) -> Any:
        return self.world.database.sync

    def price(self, symbol: str, quantity: Decimal, before_ns: int) -> Decimal:
        """Return the file's last price before an instant: bid for what is held, ask for what is owed."""
        last = None
        for instant in self.instants:
            if instant.ts_ns >= before_ns:
                break
            last = next((tick for tick in instant.ticks if tick.symbol == symbol), last)
        assert last is not None
        if not isinstance(last, Quote):
            return last.price
        found = last.bid if quantity >= 0 else last.ask
        assert found is not None
        return found


def number(value: Any) -> Decimal:
    found: Decimal = value.to_decimal()
    return found


def read_fills(db: Any) -> list[Fill]:
    fills = []
    for each in db.executions.find().sort([("execution_time", 1), ("_id", 1)]):
        quantity, at = number(each["quantity"]), each["execution_time"]
        postings = {name: number(value) for name, value in each["postings"].items()}
        fills.append(
            Fill(
                id=str(each["_id"]), order=each["order"], account=each["account"], symbol=each["symbol"],
                day=int(at.timestamp()) // 86_400, at=at, signed=quantity if each["side"] == "BUY" else -quantity,
                price=number(each["price"]), commission=number(each["commission"]),
                realized=-postings["realized_pnl"], postings=postings,
            )
        )  # fmt: skip
    return fills


@pytest.fixture(scope="module")
def traded(
    mongod: str, io_loop: IOLoop, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traded]:
    database = connect(mongod, f"test_month_{uuid.uuid4().hex[:12]}", pool_size=16)
    context = traded_month(database, tmp_path_factory.mktemp("month"))

    async def trade() -> Traded:
        world = await context.__aenter__()
        instants = month(shared_data)[::THINNED]
        await world.play(instants, ORDERS)
        await world.end()
        clients = [await world.client(name) for name in ("audra", "anna")]
        return Traded(world, instants, read_fills(database.sync), *clients)

    try:
        with patch.object(client, "TIMEOUT_S", LONGEST_S):
            yield io_loop.run_sync(trade, timeout=LONGEST_S)
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()


async def report(caller: ApiClient, name: str, form: str = "json", **query: Any) -> list[dict[str, Any]]:
    answer = await caller.get(f"/api/v1/reports/{name}/", query={"format": form, **query})
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"].partition(";")[0] == FORMS[form]
    return rows_of(answer, form)


def rows_of(answer: Answer, form: str) -> list[dict[str, Any]]:
    """Read the three forms into text and None, so that they can be compared."""
    if form == "json":
        document = json.loads(answer.body)
        assert document["count"] == len(document["results"])
        rows = document["results"]
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    else:
        rows = pq.read_table(io.BytesIO(answer.body)).to_pylist()
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def plain(value: Any) -> Any:
    if isinstance(value, Decimal) or hasattr(value, "nanosecond"):
        return str(value) if isinstance(value, Decimal) else value.value
    return None if value in (None, "") else value if isinstance(value, (list, dict)) else str(value)


def total(rows: list[dict[str, Any]], name: str) -> Decimal:
    return sum((Decimal(row[name]) for row in rows), ZERO)


# -- statements -------------------------------------------------------------------------------------------------------


def test_there_is_one_statement_for_each_account_and_day(traded: Traded) -> None:
    accounts = [account["_id"] for account in traded.db.accounts.find()]
    wanted = {(account, day) for account in accounts for day in range(april_30(), april_30() + 32)}
    stored = [(each["account"], each["day"]) for each in traded.db.statements.find()]
    assert len(stored) == len(wanted)
    assert set(stored) == wanted


def april_30() -> int:
    return parse_rfc3339("2014-04-30T00:00:00Z") // DAY_NS


def test_every_statement_is_what_its_days_fills_add_up_to(traded: Traded) -> None:
    assert len(traded.fills) > 200
    of_day: dict[tuple[UUID, int], list[Fill]] = defaultdict(list)
    for fill in traded.fills:
        of_day[fill.account, fill.day].append(fill)
    for account in traded.db.accounts.find():
        cash = unrealized = ZERO
        equity = ZERO
        held: dict[str, Decimal] = defaultdict(Decimal)
        cost: dict[str, Decimal] = defaultdict(Decimal)
        for made in traded.db.statements.find({"account": account["_id"]}).sort("day", 1):
            fills = of_day.pop((account["_id"], made["day"]), [])
            deposit = number(account["deposited"]) if made["day"] == april_30() else ZERO
            moved = sum((-fill.signed * fill.price - fill.commission for fill in fills), ZERO)
            for fill in fills:
                held[fill.symbol] += fill.signed
                cost[fill.symbol] += fill.postings["position"]
            end_ns = (made["day"] + 1) * DAY_NS
            worth = {s: q * traded.price(s, q, end_ns) for s, q in held.items() if q}
            was, unrealized = unrealized, sum((value - cost[s] for s, value in worth.items()), ZERO)
            opened, equity = equity, cash + deposit + moved + sum(worth.values(), ZERO)
            expected = {
                "opening_cash": cash,
                "opening_equity": opened,
                "closing_cash": cash + deposit + moved,
                "closing_equity": equity,
                "realized_pnl": sum((fill.realized for fill in fills), ZERO),
                "commission": sum((fill.commission for fill in fills), ZERO),
                "bought": sum((fill.signed * fill.price for fill in fills if fill.signed > 0), ZERO),
                "sold": -sum((fill.signed * fill.price for fill in fills if fill.signed < 0), ZERO),
                "closing_unrealized": unrealized,
                "unrealized_change": unrealized - was,
            }
            assert {name: number(made[name]) for name in expected} == expected, made["_id"]
            assert made["executions"] == len(fills)
            assert number(made["movements"]["deposit"]) == deposit
            assert sum(map(number, made["postings"].values())) == 0
            by_symbol = {each["symbol"]: number(each["quantity"]) for each in made["positions"]}
            assert {s: q for s, q in by_symbol.items() if q} == {s: q for s, q in held.items() if q}
            cash = expected["closing_cash"]
        assert cash == number(account["cash"])
    assert not of_day


def test_the_last_statements_are_the_accounts_and_positions_as_the_engine_keeps_them(
    traded: Traded, capsys: pytest.CaptureFixture[str]
) -> None:
    days, off = traded.db.statements.count_documents({}), ZERO
    for account in traded.db.accounts.find():
        last = traded.db.statements.find_one({"account": account["_id"]}, sort=[("day", -1)])
        assert number(last["closing_cash"]) == number(account["cash"])
        assert number(last["total_realized_pnl"]) == number(account["realized_pnl"])
        assert number(last["total_commission"]) == number(account["commission"])
        every = list(traded.db.statements.find({"account": account["_id"]}))
        assert sum((number(each["realized_pnl"]) for each in every), ZERO) == number(account["realized_pnl"])
        assert sum((number(each["commission"]) for each in every), ZERO) == number(account["commission"])
        positions = {each["symbol"]: each for each in traded.db.positions.find({"account": account["_id"]})}
        for each in last["positions"]:
            assert number(each["quantity"]) == number(positions[each["symbol"]]["quantity"])
            assert number(each["cost"]) == number(positions[each["symbol"]]["cost"])
        off += abs(number(last["closing_cash"]) - number(account["cash"]))
    with capsys.disabled():
        print(f"\n{len(traded.instants)} instants, {len(traded.fills)} fills, {days} statements, {off} off")  # noqa: T201


async def test_a_second_process_changes_nothing(traded: Traded) -> None:
    before = list(traded.db.statements.find().sort("_id", 1))
    other = daily_of(traded.world)
    await other.run_once(traded.world.now)
    assert other.stored == 0
    assert list(traded.db.statements.find().sort("_id", 1)) == before


# -- reports ----------------------------------------------------------------------------------------------------------


async def test_trades_are_the_executions_in_every_form(traded: Traded) -> None:
    forms = [await report(traded.auditor, "trades", form) for form in FORMS]
    exact = ("quantity", "price", "commission", "realized_pnl")
    for rows in forms:
        assert [row["id"] for row in rows] == [
            fill.id for fill in sorted(traded.fills, key=lambda fill: (fill.account, fill.at, UUID(fill.id)))
        ]
        assert total(rows, "commission") == sum((fill.commission for fill in traded.fills), ZERO)
        assert total(rows, "realized_pnl") == sum((fill.realized for fill in traded.fills), ZERO)
        assert total(rows, "value") == sum((abs(fill.signed) * fill.price for fill in traded.fills), ZERO)
    stored = {fill.id: fill for fill in traded.fills}
    for row in forms[0]:
        fill = stored[row["id"]]
        found = [Decimal(row[name]) for name in exact]
        assert found == [abs(fill.signed), fill.price, fill.commission, fill.realized]
    for rows in forms[1:]:
        for ours, row in zip(forms[0], rows, strict=True):
            for name, value in row.items():
                same = Decimal(value) == Decimal(ours[name]) if name in exact else value == ours[name]
                assert same or name.endswith("_time") or Decimal(value) == Decimal(ours[name]), (name, value)


async def test_every_statement_comes_in_every_form(traded: Traded) -> None:
    stored = list(traded.db.statements.find())
    for form in FORMS:
        rows = await report(traded.auditor, "daily", form)
        assert len(rows) == len(stored)
        for name in ("closing_cash", "closing_equity", "realized_pnl", "commission", "unrealized_change"):
            assert total(rows, name) == sum((number(each[name]) for each in stored), ZERO)


async def test_positions_at_an_instant_are_those_of_that_days_statement(traded: Traded) -> None:
    for date in ("2014-05-13", "2014-05-31"):
        day = parse_rfc3339(f"{date}T00:00:00Z") // DAY_NS
        end = datetime.fromtimestamp((day + 1) * 86_400, UTC).strftime("%Y-%m-%dT00:00:00Z")
        rows = await report(traded.auditor, "positions", to=end)
        told = {(row["account"], row["symbol"]): row for row in rows}
        held = {
            (str(made["account"]), each["symbol"]): each
            for made in traded.db.statements.find({"day": day})
            for each in made["positions"]
            if number(each["quantity"])
        }
        assert told.keys() == held.keys()
        for key, row in told.items():
            for name in ("quantity", "cost", "market_value", "unrealized_pnl"):
                assert Decimal(row[name]) == number(held[key][name])


@pytest.mark.parametrize("group", ["symbol", "strategy", "day", "account"])
async def test_profit_adds_up_to_the_statements_however_it_is_grouped(traded: Traded, group: str) -> None:
    for start, end in (("2014-05-01", "2014-06-01"), ("2014-05-08", "2014-05-21")):
        first, last = (parse_rfc3339(f"{date}T00:00:00Z") // DAY_NS for date in (start, end))
        wanted = list(traded.db.statements.find({"day": {"$gte": first, "$lt": last}}))
        rows = await report(
            traded.auditor, "pnl", group_by=group, **{"from": f"{start}T00:00:00Z", "to": f"{end}T00:00:00Z"}
        )
        for name in ("realized_pnl", "commission", "unrealized_change", "bought", "sold"):
            assert total(rows, name) == sum((number(each[name]) for each in wanted), ZERO), name
        assert sum(int(row["executions"]) for row in rows) == sum(each["executions"] for each in wanted)
        if group == "day":
            whole = {"group_by": group, "from": "1700-01-01T00:00:00Z", "to": "2200-01-01T00:00:00Z"}
            assert len(await report(traded.auditor, "pnl", **whole)) >= len(rows)
            by_key = {(str(each["account"]), each["date"]): each for each in wanted}
            for row in rows:
                made = by_key[row["account"], row["day"]]
                assert Decimal(row["net_pnl"]) == sum(
                    (sign * number(made[name]) for name, sign in
                     (("realized_pnl", 1), ("unrealized_change", 1), ("commission", -1))), ZERO,
                )  # fmt: skip


async def test_slippage_is_against_what_the_market_showed_on_arrival(traded: Traded) -> None:
    """The market stands still between two instants: on arrival it showed the file's last price before the order."""
    orders = {order["_id"]: order for order in traded.db.orders.find({"filled_quantity": {"$gt": 0}})}
    shown: dict[str, Decimal] = {}
    arrived: dict[int, dict[str, Decimal]] = {}
    for instant in traded.instants:
        for tick in instant.ticks:
            if isinstance(tick, Quote):
                assert tick.bid is not None
                assert tick.ask is not None
                shown[tick.symbol] = (tick.bid + tick.ask) / 2
            else:
                shown[tick.symbol] = tick.price
        arrived[instant.ts_ns // 1_000_000] = dict(shown)
    weighted, quantity = defaultdict(Decimal), defaultdict(Decimal)
    for order in orders.values():
        reference = arrived[round(order["created_at"].timestamp() * 1000)][order["symbol"]]
        assert number(order["arrival_price"]) == reference
        filled = number(order["filled_quantity"])
        worse = number(order["filled_value"]) / filled - reference
        slip = (worse if order["side"] == "BUY" else -worse) / reference * 10_000
        weighted[str(order["account"]), order["symbol"]] += slip * filled
        quantity[str(order["account"]), order["symbol"]] += filled
    rows = await report(traded.auditor, "execution")
    assert {(row["account"], row["symbol"]) for row in rows} == quantity.keys()
    for row in rows:
        key = (row["account"], row["symbol"])
        assert Decimal(row["quantity"]) == quantity[key]
        assert abs(Decimal(row["arrival_slippage_bps"]) - weighted[key] / quantity[key]) <= Decimal("0.0001")


async def test_refusals_are_counted_by_their_code(traded: Traded) -> None:
    wanted: dict[tuple[str, str, str | None], int] = defaultdict(int)
    for order in traded.db.orders.find():
        wanted[str(order["account"]), order["status"], (order.get("reject") or {}).get("code")] += 1
    rows = await report(traded.auditor, "orders", group_by="code")
    assert {(row["account"], row["status"], row["reject_code"]): int(row["orders"]) for row in rows} == wanted
    assert any(row["reject_code"] for row in rows)
    every = await report(traded.auditor, "orders", "csv")
    assert len(every) == sum(wanted.values())


async def test_a_trader_sees_their_own_alone(traded: Traded) -> None:
    (mine,) = traded.world.traders[0].caller.accounts
    others = traded.world.traders[1].caller.accounts[0]
    for name in ("trades", "positions", "pnl", "orders", "execution", "daily"):
        assert {row["account"] for row in await report(traded.trader, name)} == {str(mine)}
        answer = await traded.trader.get(f"/api/v1/reports/{name}/", query={"account": str(others)})
        assert answer.status == 404
    for account, status in ((mine, 200), (others, 404)):
        answer = await traded.trader.get(f"/api/v1/reports/daily/{account}/2014-05-13/")
        assert answer.status == status


async def test_a_statement_is_a_page_to_print(traded: Traded) -> None:
    (mine,) = traded.world.traders[0].caller.accounts
    path = f"/api/v1/reports/daily/{mine}/2014-05-30/"
    made = traded.db.statements.find_one({"account": mine, "date": "2014-05-30"})
    asked: tuple[dict[str, Any], ...] = ({"query": {"format": "html"}}, {"headers": {"Accept": "text/html"}})
    for how in asked:
        answer = await traded.trader.get(path, **how)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        page = answer.body.decode()
        assert f"{number(made['closing_equity']).quantize(CENT):,.2f}" in page
        assert "<script" not in page
        assert "@media print" in page
    taken = list(traded.db.audit_access.find({"kind": "export.taken", "subject": f"statement:{mine}:2014-05-30"}))
    assert [each["facts"]["media"] for each in taken] == ["text/html", "text/html"]


async def test_the_command_line_writes_the_same_report(traded: Traded, mongod: str, tmp_path: Path) -> None:
    output = tmp_path / "pnl.csv"
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "report", "pnl", "--group-by", "day", "--from", "2014-05-05", "--to", "2014-05-12",
        "--output", str(output),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(tmp_path, DATABASE=traded.world.database.name, MONGODB_URI=mongod),
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == 0, err
    span = {"from": "2014-05-05T00:00:00Z", "to": "2014-05-12T00:00:00Z"}
    query = {"group_by": "day", "format": "csv", **span}
    answer = await traded.auditor.get("/api/v1/reports/pnl/", query=query)
    assert output.read_bytes() == answer.body
    assert len(answer.body.splitlines()) > 5
    taken = traded.db.audit_access.find_one({"kind": "export.taken", "actor_name": {"$regex": "command line"}})
    assert taken["subject"] == "report:pnl"


async def test_format_and_accept_must_agree(traded: Traded) -> None:
    path = "/api/v1/reports/trades/"
    for named, accept, status in (
        ("csv", "text/csv", 200),
        ("csv", "text/html, */*;q=0.1", 200),
        ("csv", "application/json", 406),
        (None, "application/vnd.apache.parquet", 200),
        (None, "image/png", 406),
    ):
        query = {} if named is None else {"format": named}
        answer = await traded.trader.get(path, query=query, headers={"Accept": accept})
        assert answer.status == status, (named, accept)
    taken = traded.db.audit_access.find_one({"kind": "export.taken", "facts.media": "application/vnd.apache.parquet"})
    assert taken["subject"] == "report:trades"
