"""The second audit chain on a real mongod: added to by many at once, with the change or not at all."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import UUID

import pytest
from pymongo.errors import PyMongoError

from qsuite.domain.errors import AlreadyExists
from qsuite.repos import audit_access
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Database, Session, translated
from qsuite.repos.schema import migrate
from qsuite.services.audit_trail import AuditTrail, Origin, on_behalf
from tests.support.auth import Clock

ANNA = UUID("01920000-0000-7000-8000-000000000001")


async def stored(database: Database) -> list[dict[str, Any]]:
    return await database.collection("audit_access").find().sort("_id", 1).to_list(None)


def recomputed(previous: str, entry: dict[str, Any]) -> str:
    """The hash as the document of the format says it, written down once more."""
    told = [
        entry["_id"],
        round(entry["ts"].timestamp() * 1_000) * 1_000_000,
        *(entry[name] for name in ("kind", "actor", "actor_name", "subject", "facts", "request_id", "address")),
    ]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous.encode() + text.encode()).hexdigest()


async def test_four_processes_that_record_at_once_make_one_chain_without_a_gap(database: Database) -> None:
    await migrate(database, (audit_access.SPEC,))
    trails = [AuditTrail(AuditAccessRepo(database)) for _ in range(4)]
    await asyncio.gather(
        *(trail.record(f"kind.{number}", facts={"n": number}) for trail in trails for number in range(10))
    )
    entries = await stored(database)
    assert [entry["_id"] for entry in entries] == list(range(1, 41))
    previous = "0" * 64
    for entry in entries:
        assert entry["prev_hash"] == previous
        previous = recomputed(previous, entry)
        assert entry["hash"] == previous
    assert await trails[0].head() == (40, previous)


async def test_an_entry_and_its_change_are_stored_together_or_not_at_all(database: Database) -> None:
    await migrate(database, (audit_access.SPEC,))
    trail, things = AuditTrail(AuditAccessRepo(database)), database.collection("jobs_of_a_test")
    await things.insert_one({"_id": "taken"})

    async def add(session: Session, name: str) -> str:
        with translated("the thing"):
            await things.insert_one({"_id": name}, session=session)
        return name

    assert await trail.record("thing.added", change=lambda session: add(session, "first")) == "first"
    with pytest.raises(AlreadyExists):
        await trail.record("thing.added", change=lambda session: add(session, "taken"))
    assert [entry["kind"] for entry in await stored(database)] == ["thing.added"]
    assert sorted([thing["_id"] async for thing in things.find()]) == ["first", "taken"]


async def test_who_was_killed_while_recording_holds_nobody_up(database: Database) -> None:
    await migrate(database, (audit_access.SPEC,))
    trail = AuditTrail(AuditAccessRepo(database))
    await trail.record("kind.before")
    with database.sync_client.start_session() as dead:
        dead.start_transaction()
        database.sync.engine_state.update_one({"_id": "audit_access"}, {"$set": {"hash": "never"}}, session=dead)
        await asyncio.wait_for(trail.record("kind.after"), timeout=30)  # not the minute MongoDB waits by default
        with pytest.raises(PyMongoError):
            dead.commit_transaction()
    assert [entry["kind"] for entry in await stored(database)] == ["kind.before", "kind.after"]


async def test_an_entry_names_who_asked_and_from_where(database: Database) -> None:
    await migrate(database, (audit_access.SPEC,))
    trail = AuditTrail(AuditAccessRepo(database))
    with on_behalf(Origin(actor=ANNA, actor_name="anna", request_id="r-1", address="192.0.2.7")):
        await trail.record("user.changed", subject=ANNA, facts={"fields": ["role"], "odd": "\ud800"})
    (entry,) = await stored(database)
    assert (entry["actor"], entry["actor_name"], entry["request_id"], entry["address"]) == (
        str(ANNA),
        "anna",
        "r-1",
        "192.0.2.7",
    )
    assert entry["facts"] == {"fields": ["role"], "odd": "?"}


async def test_ten_thousand_refusals_alike_make_two_entries(database: Database) -> None:
    await migrate(database, (audit_access.SPEC,))
    clock = Clock()
    trail = AuditTrail(AuditAccessRepo(database), clock=clock)
    for _ in range(10_000):
        trail.note("request.refused", address="192.0.2.7", facts={"status": 401})
    await trail.run_once(clock())
    await trail.stop()
    assert [entry["facts"] for entry in await stored(database)] == [{"status": 401}, {"status": 401, "times": 9_999}]


async def test_refusals_of_more_addresses_than_there_is_room_for_are_counted(database: Database) -> None:
    await migrate(database, (audit_access.SPEC,))
    trail = AuditTrail(AuditAccessRepo(database))
    for number in range(1_100):
        trail.note("request.refused", address=f"2001:db8::{number:x}")
    await trail.stop()
    entries = await stored(database)
    assert trail.dropped == 100
    assert len(entries) == 1_001
    assert [entry["facts"] for entry in entries if entry["kind"] == "audit.dropped"] == [{"times": 100}]
