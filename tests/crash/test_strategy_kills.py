"""SIGKILL on a signal's way to its order: each sure signal becomes one order, no signal two, and none is forgotten.

Every victim goes on with what the one before it left, so each start is also a recovery.
"""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.services.books import check_books
from tests.crash.strategy_victim import SYMBOLS_EACH_LIFE
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
POINTS = [
    "signals.add:before",
    "signals.add:after",
    "trading.place:before",
    "store.commit:before",
    "store.commit:after",
    "trading.place:after",
    "signals.settle:before",
    "signals.settle:after",
]
KILLS = len(POINTS) * int(os.environ.get("TEST_SCALE", "1"))


class Victim:
    """A server process with a running strategy."""

    def __init__(self, uri: str, database: str, point: str, hits: int) -> None:
        environment = {
            "QSUITE_PROFILE": "test",
            "QSUITE_MONGODB_URI": uri,
            "QSUITE_DATABASE": database,
            "QSUITE_SECRET_KEY": "only-for-crash-tests-0123456789-abcdef",
            "QSUITE_LOG__LEVEL": "error",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.strategy_victim", point, str(hits)],
            env={key: value for key, value in os.environ.items() if not key.startswith("QSUITE_")} | environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.ready = bool(self.process.stdout.readline())

    def died(self) -> int:
        """Wait for its end and return how it ended."""
        return self.process.wait(60)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process.wait(30)


def fates(database: Database) -> Counter[tuple[str, str, str | None]]:
    """Count the signals by advice and by what became of them."""
    return Counter((each["signal"], each["status"], each["reason"]) for each in database.sync.signals.find({}))


def pending(database: Database) -> bool:
    return database.sync.signals.find_one({"status": "pending"}) is not None


def check_no_double(database: Database) -> None:
    """After each death: no signal has two orders, no order is without its signal, and the books add up."""
    signals = {document["_id"]: document for document in database.sync.signals.find({})}
    orders = Counter(document["client_order_id"] for document in database.sync.orders.find({}))
    assert [name for name, count in orders.items() if count > 1] == []
    named = {f"signal-{identity}" for identity in signals}
    assert orders.keys() <= named
    for identity, found in signals.items():
        if found["status"] == "ordered":
            assert f"signal-{identity}" in orders, found
    told: list[Any] = []
    with open_books(database) as books:
        check_books(books, told.append)
    assert told == []


@pytest.mark.timeout(600)
def test_a_signal_becomes_one_order_wherever_the_process_is_killed(
    mongod: str, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20261121)
    for number in range(KILLS):
        point = POINTS[number % len(POINTS)]
        victim = Victim(mongod, database.name, point, chance.randint(1, SYMBOLS_EACH_LIFE))
        try:
            assert victim.died() == -signal.SIGKILL, f"{point} was not reached"
        finally:
            victim.kill()
        check_no_double(database)
    last = Victim(mongod, database.name, "never", 0)
    try:
        assert last.ready
        # A life that ended between a ticker and its bars left nothing to signal.
        symbols = len(database.sync.market_data.distinct("symbol"))
        wait_until(lambda: sum(fates(database).values()) == symbols and not pending(database), timeout_s=30)
        assert last.stop() == 0
    finally:
        last.kill()
    check_no_double(database)
    assert symbols > KILLS
    assert fates(database) == {("BUY", "ordered", None): symbols}
    orders = list(database.sync.orders.find({}))
    assert len(orders) == symbols
    assert {(order["status"], str(order["filled_quantity"])) for order in orders} == {("FILLED", "2")}
    with capsys.disabled():
        print(f"\n{KILLS} kills between signal and order, {symbols} signals: lost 0, doubled 0")  # noqa: T201  the figure
