"""Sweeps over HTTP: many parameter sets as one job, their table, and the best set's backtest with its page.

Shared by several workers, a sweep comes to what one alone makes of it, whoever did which part, or died over one.
"""

import asyncio
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.backtests.swept_record import FIGURES
from qsuite.repos import sweep_parts
from qsuite.repos.database import Database
from qsuite.repos.jobs import JobsRepo
from qsuite.repos.schema import migrate
from qsuite.repos.sweep_parts import SweepPartsRepo
from qsuite.services.backtest_report import POLICY
from qsuite.services.sweep_runs import asked_from, read_past
from qsuite.services.sweep_sharing import PARTS_A_WORKER, finish, lay_out, take_one
from qsuite.services.tasks import sweep as task
from qsuite.services.tasks.sweep import sweep, sweep_part
from tests.support.bars import symbol_with
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually

SWEEPS = "/api/v1/backtests/sweep/"


def a_walk(seed: int, count: int = 150) -> BarSeries:
    chance = np.random.default_rng(seed)
    closes = np.round(50 * np.exp(np.cumsum(chance.normal(0, 0.02, count))), 2)
    return BarSeries(closes, np.full(count, 1_000.0))


def asked(symbol: str, **changed: Any) -> dict[str, Any]:
    return {
        "strategy": "sma_cross",
        "symbols": [symbol],
        "interval": "1d",
        "initial_cash": "20000",
        "parameters": {"fast": [3, 5, 8], "slow": {"from": 5, "to": 20, "step": 5}, "quantity": 100},
        "commission": {"model": "percent", "percent": "0.1"},
        "slippage_bps": "2",
    } | changed


async def done(client: ApiClient, body: dict[str, Any]) -> Any:
    """Ask for a sweep and return its job once it ended."""
    answer = await client.post(SWEEPS, body)
    assert answer.status == 202, answer
    address = answer.headers["Location"]

    async def ended() -> Any:
        job = (await client.get(address)).json
        return job if job["state"] in ("done", "failed") else None

    return await eventually(ended, timeout_s=60)


class Work:
    """A job under way, without a runner."""

    def __init__(self, database: Database, owner: UUID) -> None:
        self.job, self.owner, self.database = uuid.uuid4(), owner, database
        self.parts: list[float] = []

    def progress(self, part: float) -> None:
        self.parts.append(part)


async def swept(api: Api, body: dict[str, Any]) -> tuple[dict[str, Any], Work]:
    """Run a sweep of the trader's here; return it as it is shown, and its work."""
    work = Work(api.database, UUID(api.trader.user["id"]))
    plain = {**body, "initial_cash": Decimal(body["initial_cash"]), "slippage_bps": Decimal(body["slippage_bps"])}
    await sweep(work, api.services.sweeps.plan(plain).plain())
    answer = await api.trader.get(f"{SWEEPS}{work.job}/")
    assert answer.status == 200, answer
    return answer.json, work


async def test_a_sweep_runs_as_a_job_and_its_best_set_has_a_backtest(api: Api) -> None:
    symbol = await symbol_with(api, a_walk(3))
    job = await done(api.trader, asked(symbol))
    assert (job["state"], job["kind"], job["error"]) == ("done", "sweep", None)
    shown = (await api.trader.get(f"{SWEEPS}{job['result']['sweep']}/")).json
    # 3 x 4 combinations, of which 5/5 and 8/5 have fast not below slow.
    assert (shown["count"], shown["left_out"], shown["trials"]) == (10, 2, 10)
    assert shown["sets"]["slow"] == [5, 10, 15, 20, 10, 15, 20, 10, 15, 20]
    assert set(shown["figures"]) == set(FIGURES)
    assert all(len(column) == 10 for column in (*shown["sets"].values(), *shown["figures"].values()))
    ratios = shown["figures"]["sharpe_ratio"]
    assert [ratios[place] for place in shown["ranking"]] == sorted(ratios, reverse=True)
    assert 0.0 <= shown["deflated_sharpe_ratio"] <= 1.0
    assert shown["deflated_sharpe_ratio"] == job["result"]["deflated_sharpe_ratio"]

    # The engine makes of the best set what the sweep said, and shows how.
    best = shown["ranking"][0]
    backtest = (await api.trader.get(f"/api/v1/backtests/{job['result']['backtest']}/")).json
    assert backtest["parameters"] == shown["best_parameters"]
    assert {name: backtest["parameters"][name] for name in ("fast", "slow")} == {
        name: shown["sets"][name][best] for name in ("fast", "slow")
    }
    for name in FIGURES:
        assert shown["figures"][name][best] == pytest.approx(
            None if backtest[name] is None else float(backtest[name]), rel=1e-9, abs=1e-9
        ), name
    assert len(backtest["trades"]) == backtest["total_trades"] > 0


async def test_what_to_rank_by_is_the_askers_choice(api: Api) -> None:
    shown, work = await swept(api, asked(await symbol_with(api, a_walk(4)), rank_by="total_return"))
    returns = shown["figures"]["total_return"]
    assert returns[shown["ranking"][0]] == max(returns)
    assert work.parts == sorted(work.parts)
    assert work.parts[-1] <= 1.0


async def test_sweeps_belong_to_whom_asked_for_them(api: Api) -> None:
    shown, work = await swept(api, asked(await symbol_with(api, a_walk(5))))
    listed = (await api.trader.get(SWEEPS, query={"symbol": shown["symbols"][0]})).json["results"]
    assert [each["id"] for each in listed] == [shown["id"]]
    assert not listed[0].keys() & {"sets", "figures", "ranking"}
    assert (await api.auditor.get(f"{SWEEPS}{work.job}/")).status == 200
    others = Work(api.database, uuid.uuid4())
    await sweep(
        others,
        api.services.sweeps.plan({"strategy": "sma_cross", "symbols": shown["symbols"], "interval": "1d"}).plain(),
    )
    assert (await api.trader.get(f"{SWEEPS}{others.job}/")).status == 404
    assert (await api.viewer.get(SWEEPS)).status == 403
    assert (await api.auditor.post(SWEEPS, asked("X"))).status == 403


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"parameters": {"fast": {"from": 2, "to": 301, "step": 1}, "slow": list(range(2, 102))}}, "parameters"),
        ({"parameters": {"fast": [5, 5000]}}, "parameters.fast"),
        ({"parameters": {"fast": {"from": 2}}}, "parameters.fast"),
        ({"parameters": {"every_s": [60]}}, "parameters.every_s"),
        ({"participation": "0.1"}, "participation"),
        ({"source": "ticks"}, "source"),
        ({"strategy": "market_model", "parameters": {}}, "strategy"),
        ({"rank_by": "luck"}, "rank_by"),
        ({"symbols": ["NOSUCH"]}, "symbols"),
    ],
)
async def test_what_cannot_be_swept_is_refused_by_its_field(api: Api, changed: dict[str, Any], field: str) -> None:
    symbol = "SWEPT"
    await api.services.reference.ensure_ticker(symbol, {"name": symbol})
    answer = await api.trader.post(SWEEPS, asked(symbol) | changed)
    assert answer.status == 422, answer
    assert field in answer.json["errors"]


async def test_a_size_that_no_document_holds_as_a_number_is_kept_as_text(api: Api) -> None:
    body = asked(await symbol_with(api, a_walk(7)))
    shown, _ = await swept(api, body | {"parameters": {"fast": [3, 5], "slow": 8, "quantity": [2**63, 1]}})
    assert shown["parameters"] == {"fast": [3, 5], "slow": 8, "quantity": [str(2**63), 1]}
    assert shown["sets"]["quantity"] == [str(2**63), "1"] * 2
    assert shown["figures"]["total_trades"][0] == 0  # nobody has so much


async def test_a_backtest_has_a_page_that_a_browser_may_show_and_nothing_more(api: Api) -> None:
    shown, work = await swept(api, asked(await symbol_with(api, a_walk(6))))
    answer = await api.trader.get(f"/api/v1/backtests/{work.job}/report/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == POLICY
    page = answer.body.decode()
    assert page.count("<svg") == 3  # its prices are still there
    assert "Buy and hold" in page
    assert (await api.viewer.get(f"/api/v1/backtests/{work.job}/report/")).status == 403
    assert (await api.trader.get(f"/api/v1/backtests/{uuid.uuid4()}/report/")).status == 404
    assert shown["id"] == str(work.job)


# -- shared by workers ------------------------------------------------------------------------------------------------


def unheard(part: float) -> None:
    """Hear how far it is."""


async def plan_of(api: Api, workers: int = 2) -> dict[str, Any]:
    body = asked(await symbol_with(api, a_walk(9)))
    body |= {"initial_cash": Decimal(20_000), "slippage_bps": Decimal(2)}
    return api.services.sweeps.plan(body).plain() | {"workers": workers}


async def rows_of(api: Api, job: uuid.UUID) -> dict[str, Any]:
    found = await api.database.collection("sweeps").find_one({"_id": job})
    assert found is not None
    return {name: found[name] for name in ("figures", "ranking", "sets", "deflated")}


async def test_a_large_sweep_asks_for_helpers_and_is_what_one_worker_makes_of_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = await plan_of(api, workers=3)
    alone, shared = Work(api.database, uuid.uuid4()), Work(api.database, uuid.uuid4())
    await sweep(alone, plan)
    monkeypatch.setattr(task, "SHARED_FROM", 1)
    added = []

    async def keep(repo: JobsRepo, job: Any) -> None:
        added.append(job)

    monkeypatch.setattr(JobsRepo, "add", keep)
    await sweep(shared, plan)
    assert [(job.kind, job.owner, job.parameters["sweep"]) for job in added] == [
        ("sweep_part", shared.owner, str(shared.job))
    ] * 2
    assert await rows_of(api, shared.job) == await rows_of(api, alone.job)
    assert await api.database.collection(sweep_parts.NAME).count_documents({"sweep": shared.job}) == 0
    # A helper that comes too late finds nothing to do, and reads nothing.
    late = await sweep_part(Work(api.database, shared.owner), {"sweep": str(shared.job), "asked": {}})
    assert late == {"sweep": str(shared.job), "parts": 0}


async def test_helpers_do_each_part_once_and_the_rows_keep_their_order(api: Api) -> None:
    plan, identity = await plan_of(api), uuid.uuid4()
    parts = SweepPartsRepo(api.database)
    past = await read_past(api.database, asked_from(plan), unheard)
    sets = past.grid.sets
    await lay_out(parts, identity, len(sets), 2)
    assert await parts.left(identity) == -(-len(sets) // -(-len(sets) // (2 * PARTS_A_WORKER)))
    helper = sweep_part(Work(api.database, uuid.uuid4()), {"sweep": str(identity), "asked": plan})
    told, rows = await asyncio.gather(helper, finish(parts, identity, past.run, sets, unheard))
    alone = await finish(await laid_out(api.database, other := uuid.uuid4(), len(sets)), other, past.run, sets, unheard)
    assert rows == alone
    assert 0 <= told["parts"] <= len(sets)
    await parts.clear(identity)
    await parts.clear(other)


async def laid_out(database: Database, identity: uuid.UUID, count: int) -> SweepPartsRepo:
    parts = SweepPartsRepo(database)
    await lay_out(parts, identity, count, 1)
    return parts


async def test_a_part_that_a_dead_worker_had_taken_is_taken_again_and_its_late_answer_ignored(api: Api) -> None:
    plan, identity = await plan_of(api), uuid.uuid4()
    past = await read_past(api.database, asked_from(plan), unheard)
    parts = await laid_out(api.database, identity, len(past.grid.sets))
    dead = await parts.take(identity)
    assert dead is not None
    while await take_one(parts, identity, past.run, past.grid.sets, unheard):
        pass
    assert await parts.left(identity) == 1  # it is still somebody's
    stale = timedelta(milliseconds=sweep_parts.LEASE_MS + 1_000)
    collection = api.database.collection(sweep_parts.NAME)
    taken = await collection.find_one({"_id": dead.id})
    assert taken is not None
    await collection.update_one({"_id": dead.id}, {"$set": {"taken_at": taken["taken_at"] - stale}})
    rows = await finish(parts, identity, past.run, past.grid.sets, unheard)
    await parts.done(dead, b"not these")
    assert rows == await finish(parts, identity, past.run, past.grid.sets, unheard)
    assert len(rows) == len(past.grid.sets)
    await parts.clear(identity)


async def test_a_second_attempt_keeps_what_the_first_has_done(database: Database) -> None:
    await migrate(database, (sweep_parts.SPEC,))
    parts, identity = SweepPartsRepo(database), uuid.uuid4()
    await parts.lay(identity, 10, 4)
    first = await parts.take(identity)
    assert first is not None
    assert (first.first, first.size) == (0, 4)
    await parts.done(first, b"four")
    await parts.lay(identity, 10, 4)
    assert await parts.left(identity) == 2
    for rows in (b"five", b"six!"):
        part = await parts.take(identity)
        assert part is not None
        await parts.renew(part)
        await parts.done(part, rows)
    assert await parts.take(identity) is None
    assert await parts.rows(identity) == b"fourfivesix!"
