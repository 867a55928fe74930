"""SIGKILL on a signal's way to its order: each sure signal becomes one order, no signal two, and none is forgotten.

Every victim goes on with what the one before it left, so each start is also a recovery.
"""

import random
import signal
from collections import Counter

import pytest

from qsuite.repos.database import Database
from tests.crash.clients import SCALE, Victim, check_the_books
from tests.crash.strategy_victim import SYMBOLS_EACH_LIFE
from tests.support.waiting import wait_until

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
KILLS = len(POINTS)
ROUNDS = range(SCALE)
"""Each on a database of its own: after every kill all that is stored is read."""


class StrategyVictim(Victim):
    """One with a running strategy."""

    module = "tests.crash.strategy_victim"


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
    check_the_books(database)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("round_number", ROUNDS)
def test_a_signal_becomes_one_order_wherever_the_process_is_killed(
    mongod: str, database: Database, capsys: pytest.CaptureFixture[str], round_number: int
) -> None:
    chance = random.Random(20261121 + round_number)
    for number in range(KILLS):
        point = POINTS[number % len(POINTS)]
        victim = StrategyVictim(mongod, database.name, point, chance.randint(1, SYMBOLS_EACH_LIFE))
        try:
            assert victim.process.wait(60) == -signal.SIGKILL, f"{point} was not reached"
        finally:
            victim.kill()
        check_no_double(database)
    last = StrategyVictim(mongod, database.name)
    try:
        assert last.port is not None
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
