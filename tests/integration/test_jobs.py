"""Jobs over HTTP and on the stream, run by real worker processes: what their owners see, whatever happens to them."""

import asyncio
import pickle
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from tornado.ioloop import IOLoop

from qsuite.composition.parts import Parts
from qsuite.domain.errors import TooMany
from qsuite.domain.jobs import Job
from qsuite.domain.roles import Caller, Role
from qsuite.repos.database import Address, connect
from qsuite.services.tasks.run import Attempt
from qsuite.settings import Settings, WorkerSettings
from tests.support.client import ApiClient
from tests.support.running_app import Api, running_api
from tests.support.turns import TurnGauge
from tests.support.waiting import eventually
from tests.support.ws import WsClient

CATALOGUE = "tests.support.job_tasks"
ENDED = ("done", "failed", "cancelled")


@pytest.fixture(scope="module")
def api(mongod: str, io_loop: IOLoop, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One worker process, and room for three that wait."""
    database = connect(mongod, f"test_jobs_{uuid.uuid4().hex[:12]}", pool_size=16)
    workers = WorkerSettings(jobs_at_once=1, jobs_queued=3, job_timeout_s=2.0)
    parts = Parts(watched=False, catalogue=CATALOGUE)
    try:
        context = running_api(replace(settings, workers=workers), database, tmp_path_factory.mktemp("data"), parts)
        yield io_loop.run_sync(context.__aenter__)
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()


def caller(client: ApiClient) -> Caller:
    return Caller(UUID(client.user["id"]), client.user["username"], Role(client.user["role"]))


async def submit(api: Api, kind: str, *, by: ApiClient | None = None, priority: int = 0, **parameters: Any) -> Job:
    return await api.services.jobs.submit(caller(by or api.trader), kind, parameters, priority=priority)


async def shown(api: Api, job: Job) -> Any:
    answer = await api.admin.get(f"/api/v1/jobs/{job.id}/")
    assert answer.status == 200
    return answer.json


async def end_of(api: Api, job: Job) -> Any:
    async def ended() -> Any:
        found = await shown(api, job)
        return found if found["state"] in ENDED else None

    return await eventually(ended, timeout_s=30)


async def begun(note: Path) -> None:
    await eventually(lambda: note.exists() and note.read_text(), timeout_s=30)


async def test_a_job_is_done_in_another_process_at_a_lower_priority(api: Api) -> None:
    job = await submit(api, "ping", priority=3)
    end = await end_of(api, job)
    assert (end["state"], end["progress"], end["error"], end["attempts"], end["priority"]) == ("done", 1.0, None, 1, 3)
    result = end["result"]
    assert (result["owner"], result["job"]) == (api.trader.user["id"], end["id"])
    assert result["nice"] >= 10
    assert end["created_at"] <= end["started_at"] <= end["finished_at"]


async def test_what_a_task_raises_is_the_reason_of_its_failure(api: Api) -> None:
    with capture_logs() as lines:
        asked = [await submit(api, kind) for kind in ("refuse", "fail", "juggle")]
        ends = [(await end_of(api, job))["error"] for job in asked]
        await eventually(lambda: len(lines) == 2)
    seconds = api.app._job_runner.counts.seconds
    await eventually(lambda: ("juggle", "failed") in seconds)
    assert [seconds[kind, "failed"].count for kind in ("refuse", "fail", "juggle")] == [1, 1, 1]
    assert ends[0] == {"code": "test.refused", "detail": "no such thing"}
    assert ends[1] == {"code": "jobs.failed", "detail": "ZeroDivisionError: by zero"}
    assert ends[2] == {"code": "jobs.failed", "detail": "KeyError: 'juggle'"}

    traces = {line["kind"]: line["trace"] for line in lines if line["event"] == "jobs.task_failed"}
    assert "by zero" in traces["fail"]
    assert "tasks[work.told.kind]" in traces["juggle"]


async def test_a_result_too_large_to_store_fails_the_job(api: Api) -> None:
    end = await end_of(api, await submit(api, "huge"))
    assert (end["state"], end["error"]["code"]) == ("failed", "jobs.result_refused")


async def test_no_work_of_a_job_holds_the_event_loop(api: Api, tmp_path: Path) -> None:
    """Whatever is computed, and however large what it is computed from: the loop goes from turn to turn."""
    turn_gauge = TurnGauge()
    await end_of(api, await submit(api, "add", left=1, right=1))  # what is made once is made
    large = {str(number): [0.5] * 100 for number in range(1_000)}
    async with await opened(api, api.trader):
        with turn_gauge:
            asked = [
                await submit(api, "spin", note=str(tmp_path / "spin"), seconds=0.3),
                await submit(api, "multiply", seed=1, size=200, turns=5),
                await submit(api, "add", left=1, right=1, large=large),
            ]
            ends = [await end_of(api, job) for job in asked]
    assert [(end["state"], end["error"]) for end in ends] == [("done", None)] * 3
    assert turn_gauge.longest_s < 0.010, turn_gauge.longest
    with turn_gauge:  # and it would have been seen
        await asyncio.sleep(0)
        until = time.thread_time() + 0.011
        while time.thread_time() < until:
            pass
        await asyncio.sleep(0)
    assert turn_gauge.longest_s > 0.010


def test_a_worker_is_told_names_and_no_data() -> None:
    """However large parameters and results are, the server's process neither packs nor unpacks them."""
    attempt = Attempt(uuid.uuid4(), uuid.uuid4(), Address("mongodb://localhost", "qsuite"), CATALOGUE, 60.0)
    assert len(pickle.dumps(attempt)) < 1_000


async def test_a_full_queue_refuses_however_many_ask_at_once(api: Api, tmp_path: Path) -> None:
    note = tmp_path / "note"
    running = await submit(api, "wait", note=str(note))
    await begun(note)
    asked = [submit(api, "add", left=1, right=each, priority=each) for each in range(12)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    taken = [each for each in answers if isinstance(each, Job)]
    refused = [each for each in answers if isinstance(each, TooMany)]
    assert (len(taken), len(refused)) == (3, 9)
    assert {each.code for each in refused} == {"jobs.queue_full"}
    note.unlink()
    ends = [await end_of(api, job) for job in taken]
    assert [end["result"]["sum"] for end in ends] == [1 + job.priority for job in taken]
    assert (await end_of(api, running))["result"] == {"waited": True}
    by_priority = sorted(ends, key=lambda end: end["priority"], reverse=True)
    assert by_priority == sorted(ends, key=lambda end: end["started_at"])


async def test_a_queued_job_that_is_cancelled_never_runs(api: Api, tmp_path: Path) -> None:
    note, never = tmp_path / "note", tmp_path / "never"
    running = await submit(api, "wait", note=str(note))
    await begun(note)
    waiting = await submit(api, "wait", note=str(never))
    answer = await api.trader.delete(f"/api/v1/jobs/{waiting.id}/")
    assert (answer.status, answer.json["state"], answer.json["attempts"]) == (200, "cancelled", 0)
    again = await api.trader.delete(f"/api/v1/jobs/{waiting.id}/")
    assert (again.status, again.json) == (200, answer.json)
    note.unlink()
    assert (await end_of(api, running))["state"] == "done"
    late = await api.trader.delete(f"/api/v1/jobs/{running.id}/")
    assert (late.status, late.json["code"]) == (409, "jobs.ended")
    assert not never.exists()


@pytest.mark.parametrize("kind", ["wait", "spin"])
async def test_a_running_job_ends_when_cancelled_whether_or_not_it_listens(api: Api, tmp_path: Path, kind: str) -> None:
    note = tmp_path / "note"
    job = await submit(api, kind, note=str(note))
    await begun(note)
    answer = await api.trader.delete(f"/api/v1/jobs/{job.id}/")
    assert (answer.status, answer.json["cancel_asked"]) == (200, True)
    end = await end_of(api, job)
    assert (end["state"], end["result"], end["attempts"]) == ("cancelled", None, 1)
    assert (await end_of(api, await submit(api, "add", left=2, right=2)))["result"] == {"sum": 4}


@pytest.mark.parametrize("kind", ["wait", "spin"])
async def test_a_job_that_takes_too_long_fails_whether_or_not_it_listens(api: Api, tmp_path: Path, kind: str) -> None:
    end = await end_of(api, await submit(api, kind, note=str(tmp_path / "note")))
    assert (end["state"], end["error"]) == ("failed", {"code": "jobs.timeout", "detail": "it took longer than 2 s"})


@pytest.mark.parametrize(("times", "state", "attempts"), [(1, "done", 2), (2, "failed", 2)])
async def test_a_killed_worker_costs_one_attempt_and_the_second_the_job(
    api: Api, tmp_path: Path, times: int, state: str, attempts: int
) -> None:
    with capture_logs() as lines:
        end = await end_of(api, await submit(api, "die", note=str(tmp_path), times=times))
    assert (end["state"], end["attempts"]) == (state, attempts)
    assert end["result"] == ({"attempt": 2} if state == "done" else None)
    assert (end["error"] or {}).get("code") == (None if state == "done" else "jobs.worker_died")
    assert [line["event"] for line in lines if line["event"].startswith("jobs.")] == ["jobs.worker_died"] * times


async def test_jobs_are_their_owners_and_whoever_reads_all_sees_them(api: Api, tmp_path: Path) -> None:
    other = await api.new_client(Role.TRADER)
    job = await submit(api, "add", by=other, left=1, right=1)
    await end_of(api, job)
    path = f"/api/v1/jobs/{job.id}/"
    assert (await other.get(path)).status == 200
    assert (await api.trader.get(path)).status == 404
    assert (await api.trader.delete(path)).status == 404
    assert (await api.auditor.get(path)).status == 200
    mine = (await other.get("/api/v1/jobs/")).json
    assert (mine["count"], [each["id"] for each in mine["results"]]) == (1, [str(job.id)])
    everybody = (await api.auditor.get("/api/v1/jobs/?kind=add&state=done")).json
    assert str(job.id) in [each["id"] for each in everybody["results"]]
    assert {each["kind"] for each in everybody["results"]} == {"add"}


async def test_the_jobs_channel_tells_its_owner_every_state_and_step(api: Api, tmp_path: Path) -> None:
    owner, other = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    earlier = await submit(api, "add", by=owner, left=1, right=1)
    await end_of(api, earlier)
    async with await opened(api, owner) as socket, await opened(api, other) as stranger:
        snapshot = await socket.receive_type("snapshot")
        assert [each["id"] for each in snapshot["data"]] == [str(earlier.id)]
        assert (await stranger.receive_type("snapshot"))["data"] == []
        job = await submit(api, "steps", by=owner, steps=2, note=str(tmp_path))
        heard: list[tuple[str, float]] = []
        while not heard or heard[-1][0] != "done":
            message = await socket.receive_type("job")
            if message["id"] != str(job.id):
                continue
            heard.append((message["state"], message["progress"]))
            if heard[-1] in (("running", 0.0), ("running", 0.5)):
                (tmp_path / str(1 + (heard[-1][1] > 0))).touch()
        assert heard == [("queued", 0.0), ("running", 0.0), ("running", 0.5), ("done", 1.0)]
        assert {name: message[name] for name in (await shown(api, job))} == await shown(api, job)
        mine = await submit(api, "add", by=other, left=1, right=1)
        assert (await stranger.receive_type("job"))["id"] == str(mine.id)


async def opened(api: Api, client: ApiClient) -> WsClient:
    socket = await WsClient.open(api.port, token=client.token)
    assert (await socket.receive_some(2))[1]["type"] == "authenticated"
    await socket.send({"action": "subscribe", "channels": ["jobs"]})
    return socket


async def test_an_admin_may_cancel_anybodys_job_and_a_risk_manager_only_their_own(api: Api, tmp_path: Path) -> None:
    note = tmp_path / "note"
    job = await submit(api, "wait", note=str(note))
    await begun(note)
    path = f"/api/v1/jobs/{job.id}/"
    assert (await api.risk_manager.delete(path)).status == 404
    assert (await api.admin.delete(path)).status == 200
    assert (await end_of(api, job))["state"] == "cancelled"
    [entry] = (await api.auditor.get("/api/v1/audit/", query={"chain": "access", "subject": str(job.id)})).json[
        "results"
    ]
    assert (entry["kind"], entry["actor"]) == ("job.cancelled", api.admin.user["id"])
    assert entry["facts"] == {"kind": "wait", "owner": str(job.owner)}
