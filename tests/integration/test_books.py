"""``qsuite check`` on books written by hand, whole and with each kind of fault put into them.

The books: 1,000 deposited; bought 10 A at 20 and 10 A at 30 (one order, two fills), sold 5 A at 40, each for 0.5
commission. By hand: cash 1,000 - 200 - 300 + 200 - 1.5 = 698.5; average cost 25; profit of the sale 5 x (40 - 25) = 75;
15 A left at a cost of 375. A working buy of 2 A at 10 reserves 20.1.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from qsuite.domain.errors import Invalid
from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.services.books import Disagreement, check_books
from qsuite.services.books.ledger import Holding

TS_MS = 1_700_000_000_123
TS = datetime.fromtimestamp(TS_MS / 1000, UTC)
ACCOUNT, OTHER = UUID(int=1), UUID(int=2)
BUY, SELL, WORKING, REFUSED = (UUID(int=number) for number in (11, 12, 13, 14))
STRATEGY = UUID(int=31)
FILLS = [UUID(int=number) for number in (21, 22, 23)]
STORED_ORDER = {"account": ACCOUNT, "symbol": "A", "created_at": TS}


def order(order_id: UUID, side: str, quantity: str, status: str, **changed: Any) -> dict[str, Any]:
    money = {"filled_quantity": "0", "filled_value": "0", "commission": "0", "reserved": "0"}
    amounts = {name: changed.pop(name, given) for name, given in money.items()}
    optional = {"avg_fill_price": changed.pop("avg_fill_price")} if "avg_fill_price" in changed else {}
    exact = {name: Decimal128(text) for name, text in {**amounts, **optional, "quantity": quantity}.items()}
    return {"_id": order_id, **STORED_ORDER, "side": side, "status": status, "version": 1, **exact, **changed}


def execution(number: int, of: UUID, side: str, quantity: str, price: str, **posted: str) -> dict[str, Any]:
    amounts = {"quantity": Decimal128(quantity), "price": Decimal128(price), "commission": Decimal128("0.5")}
    postings = {name: Decimal128(text) for name, text in {**posted, "commission": "0.5"}.items()}
    return {
        "_id": FILLS[number], "order": of, "account": ACCOUNT, "symbol": "A", "side": side, **amounts,
        "postings": postings,
    }  # fmt: skip


class Log:
    """An audit chain by the documented rule."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def add(self, kind: str, subject: UUID, **facts: Any) -> None:
        seq = len(self.entries) + 1
        previous = self.entries[-1]["hash"] if self.entries else "0" * 64
        told = [seq, TS_MS * 1_000_000, kind, "tester", str(subject), str(ACCOUNT), facts]
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        entry = {"kind": kind, "actor": "tester", "subject": str(subject), "account": str(ACCOUNT), "facts": facts}
        chain = {"prev_hash": previous, "hash": hashlib.sha256((previous + text).encode()).hexdigest()}
        self.entries.append({"_id": Int64(seq), "ts": TS, **entry, **chain})

    def fill(self, subject: UUID, number: int, quantity: str, price: str, status: str, version: int) -> None:
        figures = {"execution": str(FILLS[number]), "quantity": quantity, "price": price, "commission": "0.5"}
        self.add("order.filled", subject, status=status, version=version, **figures)


@pytest.fixture
def books(database: Database) -> Database:
    log = Log()
    log.add("order.placed", BUY, status="PENDING", version=1, note="für Ärger")
    log.fill(BUY, 0, "10", "20", "PARTIAL", 2)
    log.add("order.placed", SELL, status="PENDING", version=1)
    log.fill(BUY, 1, "10", "30", "FILLED", 3)
    log.fill(SELL, 2, "5", "40", "FILLED", 2)
    log.add("order.placed", WORKING, status="PENDING", version=1)
    log.add("order.rejected", REFUSED, status="REJECTED", version=1, code="risk.max_value")
    db = database.sync
    filled = {"filled_quantity": "20", "filled_value": "500", "avg_fill_price": "25", "commission": "1.0"}
    sold = {"filled_quantity": "5", "filled_value": "200", "avg_fill_price": "40", "commission": "0.5"}
    db.orders.insert_many(
        [
            order(BUY, "BUY", "20", "FILLED", version=3, client_order_id="one", **filled),
            order(SELL, "SELL", "5", "FILLED", version=2, client_order_id="two", strategy=STRATEGY, **sold),
            order(WORKING, "BUY", "2", "PENDING", reserved="20.1"),
            order(REFUSED, "BUY", "99", "REJECTED", reject={"code": "risk.max_value"}),
        ]
    )
    db.executions.insert_many(
        [
            execution(0, BUY, "BUY", "10", "20", cash="-200.5", position="200", realized_pnl="0"),
            execution(1, BUY, "BUY", "10", "30", cash="-300.5", position="300", realized_pnl="0"),
            execution(2, SELL, "SELL", "5", "40", cash="199.5", position="-125", realized_pnl="-75"),
        ]
    )
    names = ("deposited", "cash", "reserved", "realized_pnl", "commission")
    amounts = zip(names, ("1000", "698.5", "20.1", "75", "1.5"), strict=True)
    db.accounts.insert_one({"_id": ACCOUNT, **{name: Decimal128(text) for name, text in amounts}})
    names = ("quantity", "cost", "avg_cost", "realized_pnl")
    amounts = zip(names, ("15", "375", "25", "75"), strict=True)
    held = {name: Decimal128(text) for name, text in amounts}
    db.positions.insert_one({"_id": f"{ACCOUNT}:A", "account": ACCOUNT, "symbol": "A", **held})
    own = {"quantity": "-5", "cost": "-200", "realized_pnl": "0", "commission": "0.5"}
    db.strategy_positions.insert_one(
        {"strategy": STRATEGY, "symbol": "A", **{name: Decimal128(text) for name, text in own.items()}}
    )
    db.audit_log.insert_many(log.entries)
    db.engine_state.insert_one(
        {"_id": "engine", "batch": 5, "audit_seq": 7, "audit_hash": log.entries[-1]["hash"]},
    )
    return database


def verdict(database: Database) -> tuple[dict[str, int], list[Disagreement]]:
    found: list[Disagreement] = []
    with open_books(database) as reader:
        return check_books(reader, found.append), found


def test_whole_books_agree(books: Database) -> None:
    counts, found = verdict(books)
    assert found == []
    assert counts == {"executions": 3, "orders": 4, "audit entries": 7, "accounts": 1, "positions": 1}


def test_empty_books_agree(database: Database) -> None:
    counts, found = verdict(database)
    assert found == []
    assert set(counts.values()) == {0}


def set_order(order_id: UUID, **fields: Any) -> Callable[[Any], Any]:
    return lambda db: db.orders.update_one({"_id": order_id}, {"$set": fields})


def set_position(**fields: Any) -> Callable[[Any], Any]:
    return lambda db: db.positions.update_one({}, {"$set": fields})


def set_execution(number: int, **fields: Any) -> Callable[[Any], Any]:
    return lambda db: db.executions.update_one({"_id": FILLS[number]}, {"$set": fields})


def set_strategy_position(**fields: Any) -> Callable[[Any], Any]:
    return lambda db: db.strategy_positions.update_one({}, {"$set": fields})


def set_account(**fields: Any) -> Callable[[Any], Any]:
    return lambda db: db.accounts.update_one({}, {"$set": fields})


def set_entry(seq: int, **fields: Any) -> Callable[[Any], Any]:
    return lambda db: db.audit_log.update_one({"_id": seq}, {"$set": fields})


def add_execution(db: Any) -> None:
    extra = execution(2, WORKING, "BUY", "1", "10")
    db.executions.insert_one({**extra, "_id": UUID(int=99)})


def move_execution(db: Any) -> None:
    db.executions.update_one({"_id": FILLS[2]}, {"$set": {"order": UUID(int=77)}})


FAULTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a fill counted twice": (set_order(BUY, filled_quantity=Decimal128("30")), "executions sum to 20"),
    "a value off by a tenth of a cent": (set_order(BUY, filled_value=Decimal128("500.001")), "filled_value"),
    "an average that is not theirs": (set_order(BUY, avg_fill_price=Decimal128("26")), "avg_fill_price is 26"),
    "an order's commission": (set_order(SELL, commission=Decimal128("0.4")), "commission is 0.4"),
    "a status too far": (set_order(WORKING, status="FILLED"), "status is FILLED with 0 of 2 filled"),
    "a status nobody audited": (set_order(WORKING, status="CANCELLED"), "the audit log ends with PENDING"),
    "a refusal without a reason": (set_order(REFUSED, reject=None), "the reason it was refused for is None"),
    "a version nobody audited": (set_order(WORKING, version=2), "version is 2, the audit log has 1 steps"),
    "a reservation of a filled order": (set_order(BUY, reserved=Decimal128("1")), "reserves 1 as a FILLED BUY"),
    "a working buy that reserves nothing": (set_order(WORKING, reserved=Decimal128("0")), "reserves nothing"),
    "one client id twice": (set_order(SELL, client_order_id="one"), "two orders with the client_order_id one"),
    "an execution from nowhere": (add_execution, "is not in the audit log"),
    "an execution without its order": (move_execution, "belongs to order 00000000-0000-0000-0000-00000000004d"),
    "an execution that vanished": (lambda db: db.executions.delete_one({"_id": FILLS[1]}), "which is not stored"),
    "an order that vanished": (lambda db: db.orders.delete_one({"_id": BUY}), f"tells of order {BUY}"),
    "an execution of another symbol": (
        lambda db: db.executions.update_one({"_id": FILLS[0]}, {"$set": {"symbol": "B"}}),
        "the order is not",
    ),
    "a price that was changed": (
        lambda db: db.executions.update_one({"_id": FILLS[0]}, {"$set": {"price": Decimal128("19")}}),
        "give different figures",
    ),
    "a double entry that is single": (set_execution(0, **{"postings.position": Decimal128("199")}), "sums to -1"),
    "a double entry of other cash": (
        set_execution(0, **{"postings.cash": Decimal128("-200"), "postings.position": Decimal128("199.5")}),
        "moves -200 of cash, the fill -200.5",
    ),
    "a ledger with another profit": (
        set_execution(2, **{"postings.position": Decimal128("-126"), "postings.realized_pnl": Decimal128("-74")}),
        "its ledger has 74",
    ),
    "a strategy's position": (set_strategy_position(quantity=Decimal128("-4")), "executions sum to -5"),
    "a strategy's commission": (set_strategy_position(commission=Decimal128("0")), "executions sum to 0.5"),
    "money from nowhere": (set_account(cash=Decimal128("698.51")), "executions and commissions give 698.5"),
    "a claim nobody has": (set_account(reserved=Decimal128("0")), "its orders reserve 20.1"),
    "a profit that was not made": (set_account(realized_pnl=Decimal128("76")), "its fills give 75"),
    "commission not charged": (set_account(commission=Decimal128("1")), "its executions sum to 1.5"),
    "an account that vanished": (lambda db: db.accounts.delete_one({}), "has orders and is not stored"),
    "a position off by one": (set_position(quantity=Decimal128("14")), "its executions sum to 15"),
    "a cost that was not paid": (set_position(cost=Decimal128("374")), "its fills give 375"),
    "a position's profit": (set_position(realized_pnl=Decimal128("74")), "its fills give 75"),
    "an average cost": (set_position(avg_cost=Decimal128("24")), "its cost and quantity give 25"),
    "a position that vanished": (lambda db: db.positions.delete_one({}), "has executions and is not stored"),
    "a rewritten audit entry": (set_entry(3, actor="nobody"), "was changed: its hash does not fit"),
    "a missing audit entry": (lambda db: db.audit_log.delete_one({"_id": 6}), "follows entry 5: 1 missing"),
    "a cut end of the audit log": (lambda db: db.audit_log.delete_one({"_id": 7}), "the log ends with entry 6"),
    "a step twice": (set_entry(2, **{"facts.version": 3}), "says version 3"),
    "a step orders cannot make": (set_entry(1, **{"facts.status": "FILLED"}), "takes it from None to FILLED"),
    "an engine that forgot": (lambda db: db.engine_state.delete_one({}), "there are entries and no engine state"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(books: Database, name: str) -> None:
    put_in, expected = FAULTS[name]
    put_in(books.sync)
    _, found = verdict(books)
    assert any(expected in one.text for one in found), found


def test_money_as_a_float_is_not_money(books: Database) -> None:
    set_account(cash=698.5)(books.sync)
    with pytest.raises(Invalid, match="where a Decimal128 belongs"):
        verdict(books)


def test_profit_of_longs_and_shorts_follows_average_cost() -> None:
    # Long 10 at 20 and 10 at 30 is 25 on average. Selling 30 at 40: 20 x 15 = 300 made, short 10 at 40.
    # Buying 4 back at 35 makes 4 x 5 = 20 and leaves 6 short at a cost of -240.
    held = Holding()
    for quantity, price in ((10, 20), (10, 30), (-30, 40), (4, 35)):
        held.fill(Decimal(quantity), Decimal(price))
    assert (held.quantity, held.cost, held.realized) == (-6, -240, 320)


def write_off(db: Any, **changed: Any) -> None:
    """Let the account of the books begin anew with 2,000: 15 A at 375 written off, 75 of profit, 1.5 of commission."""
    entries = list(db.audit_log.find({}, sort=[("_id", 1)]))
    log = Log()
    log.entries = entries
    postings = {"cash": "1301.5", "deposited": "-1000", "position": "-375", "realized_pnl": "75", "commission": "-1.5"}
    facts: dict[str, Any] = {
        "cash": "2000",
        "postings": postings,
        "positions": [{"symbol": "A", "quantity": "15", "cost": "375"}],
        "strategies": [{"strategy": str(STRATEGY), "symbol": "A", "quantity": "-5", "commission": "0.5"}],
    }
    log.add("account.reset", ACCOUNT, **(facts | changed))
    db.audit_log.insert_one(log.entries[-1])
    db.engine_state.update_one({}, {"$set": {"audit_seq": 8, "audit_hash": log.entries[-1]["hash"]}})
    nothing = Decimal128("0")
    anew = {"cash": Decimal128("2000"), "deposited": Decimal128("2000"), "realized_pnl": nothing, "commission": nothing}
    db.accounts.update_one({}, {"$set": anew})
    flat = dict.fromkeys(("quantity", "cost", "realized_pnl", "commission"), nothing)
    db.positions.update_one({}, {"$set": flat, "$unset": {"avg_cost": ""}})
    db.strategy_positions.update_one({}, {"$set": flat})


def test_books_of_an_account_that_began_anew_agree(books: Database) -> None:
    write_off(books.sync)
    assert verdict(books)[1] == []


RESET_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "more written off than was held": (
        {"positions": [{"symbol": "A", "quantity": "16", "cost": "375"}]},
        "writes off 16 of A at 375, its fills give 15",
    ),
    "a position forgotten": ({"positions": []}, "writes off 0 of A at 0, its fills give 15"),
    "a strategy's position forgotten": ({"strategies": []}, "the strategy's executions sum to -5"),
    "a double entry that is single": (
        {"postings": {"cash": "1301.5", "deposited": "-1000", "position": "0", "realized_pnl": "75",
                      "commission": "-1.5"}},
        "its double entry sums to 375.0",
    ),
    "cash from nowhere": (
        {"postings": {"cash": "1302.5", "deposited": "-1000", "position": "-375", "realized_pnl": "74",
                      "commission": "-1.5"}},
        "deposits, executions and commissions give",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESET_FAULTS)
def test_each_fault_of_a_reset_is_found(books: Database, name: str) -> None:
    changed, expected = RESET_FAULTS[name]
    write_off(books.sync, **changed)
    assert any(expected in each.text for each in verdict(books)[1]), verdict(books)[1]
