"""Every script of ``ops/mongosh``, run by the real shell beside a QSuite that trades, as a user who may only read.

What they print is held against the documents as pymongo reads them here, and against what was traded.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from tornado.ioloop import IOLoop

from qsuite.composition.parts import Parts
from qsuite.repos import grants
from qsuite.repos.database import connect
from qsuite.settings import load_settings
from tests.support.guarded_mongod import ROOT, guarded_mongod, uri
from tests.support.mongosh import SCRIPTS, Printed, Row, find_mongosh, run_all, start
from tests.support.ops_world import World
from tests.support.running_app import running_api

D = Decimal
OPS = "ops-password"
NOT_AUTHORISED = 13
PARAMETERS = {
    "book_trades": {"SYMBOL": "PIT"},
    "last_ticks": {"SYMBOL": "IBM", "KIND": "trade"},
    "order_story": {"ORDER": "story-1"},
}
NONSENSE = {
    "no number": "LIMIT is a whole number from 1 to 10000, not many",
    "no word": "SEVERITY is one of info, warning, critical, not bad",
    "nobody": "There is no user nobody",
    "no id": "ACCOUNT is an account's id, not mine: TRADER takes a name",
    "too far": "HOURS is a number above 0, at most 87840, not 1e9",
}
SETTINGS = {"QSUITE_PROFILE": "test", "QSUITE_RISK__SHORT_SALE": "true", "QSUITE_WORKERS__JOBS_AT_ONCE": "1"}


class Shown:
    """The world, what each script printed of it, and the database to hold it against."""

    def __init__(self, world: World, port: int, printed: dict[str, Printed], db: Any) -> None:
        self.world = world
        self.port = port
        self.printed = printed
        self.db = db

    def tables(self, script: str) -> list[list[Row]]:
        return self.printed[script].tables

    def names(self, script: str, table: int, column: str) -> list[str]:
        return [row[column] for row in self.tables(script)[table]]


@pytest.fixture(scope="module")
def shown(io_loop: IOLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    find_mongosh()
    folder = tmp_path_factory.mktemp("data")
    with guarded_mongod() as port:
        root = connect(uri(port, "root", ROOT), "qsuite", pool_size=4)
        io_loop.run_sync(lambda: grants.grant(root, "qsuite", "qsuite", "own-password"))
        root.sync_client.admin.command("createUser", "ops", pwd=OPS, roles=[grants.OPS_ROLE])
        # Every operation is slow, so that the log has some.
        root.sync_client.admin.command("profile", 0, slowms=0)
        own = connect(uri(port, "qsuite", "own-password"), "qsuite", pool_size=16)
        parts = Parts(watched=False, catalogue="tests.support.job_tasks")
        context = running_api(load_settings(SETTINGS, dotenv=None), own, folder, parts)
        try:
            world = World(io_loop.run_sync(context.__aenter__))
            io_loop.run_sync(lambda: world.fill(folder / "note"))
            with left_open(root.sync_client):
                printed = io_loop.run_sync(lambda: asyncio.to_thread(run_all, uri(port, "ops", OPS), runs()))
            yield Shown(world, port, printed, root.sync)
        finally:
            (folder / "note").unlink(missing_ok=True)
            io_loop.run_sync(lambda: context.__aexit__(None, None, None))
            own.close()
            root.close()


@contextmanager
def left_open(client: MongoClient[dict[str, Any]]) -> Iterator[None]:
    """Keep a transaction open that has written."""
    with client.start_session() as session:
        session.start_transaction()
        client.qsuite.engine_state.insert_one({"_id": "left open"}, session=session)
        yield
        session.abort_transaction()


def runs() -> list[tuple[str, str, Row]]:
    every = sorted(path.stem for path in SCRIPTS.glob("*.js") if path.stem != "shared")
    more: list[tuple[str, str, Row]] = [
        ("access", "audit_tail", {"CHAIN": "access", "KIND": "login.failed"}),
        ("pauses", "tick_gaps", {"SYMBOL": "IBM"}),
        ("newest rejected", "rejected_orders", {"READ": "1"}),
        ("newest entry", "audit_tail", {"READ": "1"}),
        ("long", "long_operations", {"SECONDS": "0.001"}),
        ("no number", "open_orders", {"LIMIT": "many"}),
        ("no word", "risk_events", {"SEVERITY": "bad"}),
        ("nobody", "positions", {"TRADER": "nobody"}),
        ("no id", "positions", {"ACCOUNT": "mine"}),
        ("too far", "rejected_orders", {"HOURS": "1e9"}),
    ]
    return [*((name, name, PARAMETERS.get(name, {})) for name in every), *more]


def amounts(rows: list[Row], *columns: str) -> list[tuple[str | Decimal, ...]]:
    """Read rows with the first column as text and the others as decimals."""
    first, *others = columns
    return [(row[first], *(D(row[name]) for name in others)) for row in rows]


def total(documents: Any, field: str) -> Decimal:
    return sum((document[field].to_decimal() for document in documents), D(0))


async def test_open_orders_stand_oldest_first_and_by_age(shown: Shown) -> None:
    stored = list(shown.db.orders.find({"status": {"$in": ["HELD", "PARTIAL", "PENDING"]}}).sort("_id"))
    assert shown.names("open_orders", 0, "_id") == [str(one["_id"]) for one in stored]
    by_status = Counter(one["status"] for one in stored)
    assert by_status == {"PENDING": 4, "HELD": 2, "PARTIAL": 1}
    ages = shown.tables("open_orders")[1]
    assert sum(int(row["orders"]) for row in ages) == 7
    assert sum(D(row["reserved"]) for row in ages) == total(stored, "reserved")
    assert {row["age"] for row in ages} <= {"under a minute", "under an hour"}


async def test_stops_and_brackets_show_what_protects_them(shown: Shown) -> None:
    stops, brackets = shown.tables("open_stops")
    assert [(row["stop_price"], row["status"], row["parent"]) for row in stops] == [
        ("90.00", "PENDING", ""),
        ("80.00", "HELD", shown.world.bracket),
    ]
    assert [(row["_id"], row["legs"]) for row in brackets] == [
        (shown.world.bracket, "LIMIT 7 at 120.00 HELD, STOP 7 at 80.00 HELD")
    ]


async def test_one_order_is_told_from_its_placing_to_its_fill(shown: Shown) -> None:
    order = shown.db.orders.find_one({"client_order_id": "story-1"})
    executions, entries = shown.tables("order_story")
    assert f"status           {order['status']}" in shown.printed["order_story"].lines
    assert amounts(executions, "_id", "quantity", "price") == [
        (str(shown.db.executions.find_one({"order": order["_id"]})["_id"]), 300, D("100.02"))
    ]
    assert [row["kind"] for row in entries] == ["order.placed", "order.filled"]


async def test_refused_orders_are_counted_by_reason(shown: Shown) -> None:
    by_code, newest = shown.tables("rejected_orders")
    stored = list(shown.db.orders.find({"status": "REJECTED"}))
    counts = Counter(one["reject"]["code"] for one in stored)
    assert {row["code"]: int(row["orders"]) for row in by_code} == counts
    assert sum(counts.values()) == len(newest) == 4
    accounts = {code: {one["account"] for one in stored if one["reject"]["code"] == code} for code in counts}
    assert {row["code"]: int(row["accounts"]) for row in by_code} == {
        code: len(each) for code, each in accounts.items()
    }
    assert "Of the newest 1 only" in shown.printed["newest rejected"].text
    assert len(shown.tables("newest rejected")[1]) <= 1


async def test_the_largest_exposure_comes_first_and_is_worth_what_the_market_says(shown: Shown) -> None:
    accounts, positions, symbols = shown.tables("exposures")
    samples = {str(one["account"]): one for one in shown.db.account_history.find().sort("ts")}
    gross = {key: (one["long_value"].to_decimal() + one["short_value"].to_decimal()) for key, one in samples.items()}
    assert {row["account"]: D(row["gross"]) for row in accounts} == gross
    assert [row["account"] for row in accounts] == sorted(gross, key=lambda key: -gross[key])
    # 300 - 50 of IBM at (99.98 + 100.02) / 2, MSFT at 50: what was traded, at the middle of the quotes.
    values = {(row["account"], row["symbol"]): D(row["value"]) for row in positions}
    anna, ben = shown.world.accounts
    assert (values[anna, "IBM"], values[anna, "MSFT"], values[ben, "MSFT"]) == (25_000, 5_000, 2_000)
    assert [abs(value) for value in values.values()] == sorted(map(abs, values.values()), reverse=True)
    assert {row["symbol"]: D(row["gross"]) for row in symbols}["MSFT"] == 7_000
    pit = {row["symbol"]: (D(row["net"]), D(row["gross"])) for row in symbols}["PIT"]
    assert pit == (0, 480)


async def test_positions_and_money_are_as_stored(shown: Shown) -> None:
    money, held = shown.tables("positions")
    assert {row["_id"]: D(row["cash"]) for row in money} == {
        str(one["_id"]): one["cash"].to_decimal() for one in shown.db.accounts.find()
    }
    assert {(row["account"], row["symbol"]): D(row["quantity"]) for row in held} == {
        (str(one["account"]), one["symbol"]): one["quantity"].to_decimal() for one in shown.db.positions.find()
    }
    assert (shown.world.accounts[0], "IBM") in {(row["account"], row["symbol"]) for row in held}


async def test_todays_fills_are_listed_and_add_up(shown: Shown) -> None:
    fills, sums = shown.tables("executions_today")
    since = datetime.fromisoformat(shown.printed["executions_today"].lines[0].removeprefix("Since "))
    assert (since.hour, since.minute) == (0, 0)
    stored = list(shown.db.executions.find({"execution_time": {"$gte": since.replace(tzinfo=None)}}))
    assert len(fills) == len(stored) > 0
    expected: dict[tuple[str, str], Decimal] = {}
    for one in stored:
        key = (one["symbol"], one["side"])
        expected[key] = expected.get(key, D(0)) + one["quantity"].to_decimal() * one["price"].to_decimal()
    assert {(row["symbol"], row["side"]): D(row["value"]) for row in sums} == expected


async def test_a_match_in_a_book_names_both_sides(shown: Shown) -> None:
    (match,) = shown.tables("book_trades")[0]
    anna, ben = (shown.db.accounts.find_one({"_id": each})["name"] for each in accounts_of(shown))
    assert (match["quantity"], match["price"], match["side"]) == ("12", "20.00", "BUY")
    assert (match["taker"], match["maker"]) == (anna, ben)


def accounts_of(shown: Shown) -> list[Any]:
    known = {str(one["_id"]): one["_id"] for one in shown.db.accounts.find()}
    return [known[account] for account in shown.world.accounts]


async def test_the_ledger_balances_account_by_account(shown: Shown) -> None:
    (balances,) = shown.tables("trial_balance")
    assert "All of them balance" in shown.printed["trial_balance"].lines
    for row in balances:
        (account,) = (one for one in shown.db.accounts.find() if str(one["_id"]) == row["account"])
        executions = list(shown.db.executions.find({"account": account["_id"]}))
        cash = sum((one["postings"]["cash"].to_decimal() for one in executions), D(0))
        assert (int(row["executions"]), D(row["cash"])) == (len(executions), cash)
        assert account["deposited"].to_decimal() + cash == account["cash"].to_decimal()
    assert {row["account"] for row in balances} == {str(one) for one in shown.db.executions.distinct("account")}


async def test_each_day_shows_what_it_brought(shown: Shown) -> None:
    (day,), samples = shown.tables("pnl_by_day")
    statements = list(shown.db.statements.find({"date": day["day"]}))
    moved = sum((sum(one["movements"][name].to_decimal() for name in one["movements"]) for one in statements), D(0))
    pnl = total(statements, "closing_equity") - total(statements, "opening_equity") - moved
    assert (int(day["accounts"]), D(day["pnl"]), D(day["moved"])) == (len(statements), pnl, moved)
    assert D(day["commission"]) == total(shown.db.executions.find(), "commission")
    assert pnl == total(statements, "realized_pnl") + total(statements, "unrealized_change") - D(day["commission"])
    newest = {str(one["account"]): one["day_pnl"].to_decimal() for one in shown.db.account_history.find().sort("ts")}
    assert {row["account"]: D(row["day_pnl"]) for row in samples} == newest


async def test_equity_is_listed_with_its_change(shown: Shown) -> None:
    stored = {D(str(one["equity"])) for one in shown.db.account_history.find()}
    assert {D(row["equity"]) for table in shown.tables("equity_history") for row in table} == stored


async def test_pauses_of_a_symbol_are_found_and_who_never_had_a_tick(shown: Shown) -> None:
    start_ms, end_ms = (ns // 1_000_000 for ns in shown.world.pause)
    pauses = [
        (milliseconds(row["from"]), milliseconds(row["to"])) for row in shown.tables("pauses")[0] if row["to"] != "now"
    ]
    assert (start_ms, end_ms) in pauses
    assert shown.tables("pauses")[0][0]["pause"].startswith(("9 m", "10 m"))
    silences = {row["symbol"]: row["silent"] for row in shown.tables("tick_gaps")[0]}
    assert silences["MUTE"] == "never had one"
    assert set(silences) == {one["symbol"] for one in shown.db.tickers.find()}
    assert [row["price"] for row in shown.tables("last_ticks")[0]] == ["100.00"] * 4


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def test_limits_switches_and_risk_events_name_who_and_why(shown: Shown) -> None:
    (limits,) = shown.tables("risk_limits")
    desk = shown.world.api.risk_manager.user["username"]
    assert [(row["scope"], row["target"], row["by"], row["figures"]) for row in limits] == [
        ("account", shown.world.accounts[0], desk, "max_quantity 5000")
    ]
    thrown, changes = shown.tables("kill_switches")
    assert [(row["target"], row["by"], row["reason"]) for row in thrown] == [("HALTME", desk, "bad prints")]
    admin = shown.world.api.admin.user["username"]
    assert [(row["code"], row["target"], row["by"]) for row in changes] == [
        ("risk.resumed", "MSFT", admin),
        ("risk.halted", "MSFT", desk),
        ("risk.halted", "HALTME", desk),
    ]
    events, by_code = shown.tables("risk_events")
    counts = Counter(one["code"] for one in shown.db.risk_events.find())
    assert {row["code"]: int(row["times"]) for row in by_code} == counts
    assert len(events) == sum(counts.values())


async def test_a_strategy_shows_its_positions_and_signals(shown: Shown) -> None:
    strategies, positions, signals = shown.tables("strategy_positions")
    assert [row["_id"] for row in strategies] == [shown.world.strategy]
    stored = list(shown.db.strategy_positions.find())
    assert amounts(positions, "symbol", "quantity", "cost") == [
        (one["symbol"], one["quantity"].to_decimal(), one["cost"].to_decimal()) for one in stored
    ]
    assert len(stored) == 1
    assert [row["signal"] for row in signals] == [one["signal"] for one in shown.db.signals.find()] == ["BUY"]


async def test_jobs_stand_in_the_order_they_go_with_what_failed(shown: Shown) -> None:
    waiting, by_kind, ended, failed = shown.tables("jobs")
    assert [(row["kind"], row["state"], row["priority"]) for row in waiting] == [
        ("wait", "running", "0"),
        ("add", "queued", "5"),
        ("add", "queued", "0"),
    ]
    assert {(row["kind"], row["state"]): row["jobs"] for row in by_kind} == {
        ("add", "queued"): "2",
        ("wait", "running"): "1",
    }
    assert {(row["kind"], row["state"]): row["jobs"] for row in ended} == {
        ("add", "done"): "1",
        ("refuse", "failed"): "1",
    }
    assert [(row["error.code"], row["error.detail"]) for row in failed] == [("test.refused", "no such thing")]


async def test_refused_logins_and_open_sessions_are_counted(shown: Shown) -> None:
    refusals, newest, sessions = shown.tables("logins")
    assert {(row["kind"], row["times"]) for row in refusals} == {("login.failed", "1"), ("request.refused", "1")}
    assert len(newest) == 2
    assert {row["user"]: int(row["sessions"]) for row in sessions} == Counter(
        one["username"] for one in shown.db.refresh_tokens.find({"ended_at": None})
    )


async def test_the_record_ends_where_the_engine_says(shown: Shown) -> None:
    (entries,) = shown.tables("audit_tail")
    last = shown.db.audit_log.find_one(sort=[("_id", -1)])
    assert [int(row["_id"]) for row in entries] == list(range(last["_id"], max(0, last["_id"] - 50), -1))
    assert shown.printed["audit_tail"].lines[-1] == f"The last entry is {last['_id']}, {last['hash']}"
    assert [row["_id"] for row in shown.tables("newest entry")[0]] == [str(last["_id"])]
    (failed,) = shown.tables("access")[0]
    assert failed["subject"] == shown.world.traders[0].user["id"]
    state = {line.split()[0]: line for line in shown.printed["engine_state"].lines}
    engine = shown.db.engine_state.find_one({"_id": "engine"})
    assert state["owner"].endswith(f"process {engine['owner']['pid']} on {engine['owner']['host']}")
    assert state["audit"].endswith("as written")
    assert "left" in state["lease"]


async def test_indexes_and_sizes_are_the_servers_own_figures(shown: Shown) -> None:
    (indexes,) = shown.tables("index_use")
    assert {(row["collection"], row["index"]) for row in indexes} == {
        (name, index["name"])
        for name in shown.db.list_collection_names()
        if not name.startswith("system.")
        for index in shown.db[name].list_indexes()
    }
    uses = {(row["collection"], row["index"]): int(row["uses"]) for row in indexes}
    assert uses["orders", "open_orders"] > 0
    assert [int(row["uses"]) for row in indexes] == sorted(uses.values())
    counts = {row["collection"]: row["documents"] for row in shown.tables("sizes")[0]}
    for name in ("orders", "executions", "audit_log"):
        assert counts[name] == str(shown.db[name].count_documents({}))


async def test_commits_and_the_set_are_as_the_server_says(shown: Shown) -> None:
    kinds, slow = shown.tables("slow_commits")
    figures = shown.db.client.admin.command("serverStatus")["opLatencies"]["transactions"]
    (row,) = (row for row in kinds if row["kind"] == "transactions")
    assert 10 < int(row["operations"]) <= figures["ops"]
    assert 0 < float(row["mean_ms"])
    assert [int(one["ms"]) for one in slow] == sorted((int(one["ms"]) for one in slow), reverse=True)
    assert len(slow) == 20
    (member,) = shown.tables("replica_set")[0]
    assert (member["stateStr"], member["lag"]) == ("PRIMARY", "0 s")
    assert member["name"].endswith(f":{shown.port}")
    assert "up       1 of 1, 1 are needed to write" in shown.printed["replica_set"].lines


async def test_a_transaction_left_open_is_shown_with_its_age(shown: Shown) -> None:
    (found,) = (row for row in shown.tables("long")[0] if row["what"].startswith("transaction"))
    assert found["took"].endswith(" s")


async def test_who_runs_them_may_change_nothing_and_reads_no_keys(shown: Shown) -> None:
    with MongoClient[dict[str, Any]](uri(shown.port, "ops", OPS)) as client:
        db = client["qsuite"]
        tries = [
            lambda: db.orders.insert_one({}),
            lambda: db.orders.update_one({}, {"$set": {"status": "FILLED"}}),
            lambda: db.accounts.delete_many({}),
            lambda: db.audit_log.drop(),
            lambda: db.orders.aggregate([{"$out": "copied"}]),
            lambda: db.orders.create_index("symbol"),
            lambda: db.command("profile", 2),
            lambda: client.admin.command("killOp", op=1),
            lambda: client.other.things.insert_one({}),
            *(lambda name=name: db[name].find_one() for name in grants.SECRET),
        ]
        for each in tries:
            with pytest.raises(OperationFailure) as refused:
                await asyncio.to_thread(each)
            assert refused.value.code == NOT_AUTHORISED


async def test_nonsense_is_answered_with_one_line_and_an_error(shown: Shown) -> None:
    for name, said in NONSENSE.items():
        assert shown.printed[name].lines == [said, "ended with 1"]


async def test_an_operator_gets_an_exit_code_from_the_shell_itself(shown: Shown) -> None:
    process = start(uri(shown.port, "ops", OPS), "order_story")
    output, errors = await asyncio.to_thread(process.communicate)
    assert (process.returncode, errors) == (1, "")
    assert output == 'Give ORDER, for example:  ORDER=0199d1a0-0000-7000-8000-000000000000 mongosh "$URI" ...\n'
