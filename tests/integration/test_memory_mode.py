"""Where no mongod can be had: everything still works, in memory, with a loud warning."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from qsuite.app import build
from qsuite.cli import connection
from qsuite.composition.parts import Parts
from qsuite.domain.errors import SetupError, Unavailable
from qsuite.domain.market import Tick
from qsuite.domain.roles import Caller, Role
from qsuite.domain.tick_columns.columns import to_ticks
from qsuite.repos.books import open_books
from qsuite.repos.database import Database
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services import embedded_mongod
from qsuite.services.books import check_books
from qsuite.services.data_dir import read_runtime
from qsuite.settings import Settings
from tests.support.market import quote, trade
from tests.support.running_app import running_api

ORDER = {"symbol": "IBM", "side": "BUY", "order_type": "MARKET", "quantity": "10"}


async def test_orders_trade_in_memory_and_the_books_agree(
    memory_database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with running_api(settings, memory_database, tmp_path) as api:
        await api.app.start_demo(lambda done, total: None)
        bought = await api.trader.post("/api/v1/orders/", {**ORDER, "client_order_id": "one"})
        assert (bought.status, bought.json["status"]) == (201, "FILLED"), bought
        again = await api.trader.post("/api/v1/orders/", {**ORDER, "client_order_id": "one"})
        assert again.json == bought.json
        sold = await api.trader.post("/api/v1/orders/", {**ORDER, "side": "SELL"})
        assert sold.json["status"] == "FILLED", sold
        resting = {**ORDER, "order_type": "LIMIT", "price": "1.00", "time_in_force": "GTC"}
        placed = await api.trader.post("/api/v1/orders/", resting)
        assert placed.json["status"] == "PENDING", placed
        cancelled = await api.trader.delete(f"/api/v1/orders/{placed.json['id']}/")
        assert cancelled.json["status"] == "CANCELLED", cancelled
        account = (await api.trader.get("/api/v1/account/")).json
        spread = (float(sold.json["avg_fill_price"]) - float(bought.json["avg_fill_price"])) * 10
        assert float(account["cash"]) == pytest.approx(1_000_000 + spread - 0.10)
        with pytest.raises(Unavailable, match="keeps all in memory"):  # no worker could read it
            await api.services.jobs.submit(Caller(uuid4(), "trader", Role.TRADER), "sum", {})
        assert (await api.trader.get("/api/v1/jobs/")).json["results"] == []
        found: list[object] = []
        with open_books(memory_database) as books:
            counts = check_books(books, found.append)
        assert found == []
        assert (counts["orders"], counts["executions"]) == (3, 2)


def test_without_a_mongod_a_command_warns_loudly_and_works_in_memory(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedded_mongod, "find_mongod", lambda configured: None)
    data_dir = tmp_path / "data"
    with connection.own_database(replace(settings, data_dir=data_dir)) as mongod:
        assert mongod is None
        runtime = read_runtime(data_dir)
        assert runtime is not None
        assert runtime.mongodb_uri == ""
    assert "NOTHING IS KEPT" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [False, True])
def test_a_mongod_that_cannot_run_here_gives_way_to_memory_unless_data_would_seem_lost(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kept: bool
) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("this is no program")
    broken.chmod(0o700)
    monkeypatch.setattr(embedded_mongod, "find_mongod", lambda configured: broken)
    data_dir = tmp_path / "data"
    if kept:
        (data_dir / "mongodb").mkdir(parents=True)
        (data_dir / "mongodb" / "WiredTiger").write_text("")
        with pytest.raises(SetupError), connection.own_database(replace(settings, data_dir=data_dir)):
            pass
        return
    with connection.own_database(replace(settings, data_dir=data_dir)) as mongod:
        assert mongod is None
    assert "NOTHING IS KEPT" in capsys.readouterr().err


async def test_a_command_beside_a_server_in_memory_says_why_it_cannot_help(settings: Settings, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    here = replace(settings, data_dir=data_dir)
    with connection.DataDirLock(data_dir):
        connection.write_runtime(data_dir, connection.Runtime(1, "", "http://127.0.0.1:8000"))
        with pytest.raises(SetupError, match="keeps all in memory"):
            async with connection.open_database(here):
                pass


async def test_a_start_that_fails_half_way_leaves_nothing_running(
    memory_database: Database, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await build(replace(settings, data_dir=tmp_path), memory_database, Parts(watched=False))

    async def broken(life: int | None) -> None:
        raise SetupError("no luck today")

    monkeypatch.setattr(app.services.stream, "start", broken)
    with pytest.raises(SetupError, match="no luck"):
        await app.start()
    assert not app.services.health.ready
    await app.stop()


async def test_ticks_in_memory_are_read_as_columns_too(memory_database: Database) -> None:
    given: list[Tick] = [quote(7, "1.50", None), trade(7, "1.5", seq=1), trade(9)]
    repo = TicksRepo(memory_database)
    await repo.add(given[::-1])
    runs = list(repo.columns(TickQuery("IBM")))
    assert repr([tick for run in runs for tick in to_ticks(run)]) == repr(given)
    assert list(repo.columns(TickQuery("IBM", 8, 9))) == []
