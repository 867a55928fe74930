"""Jobs: what was asked for, by whom, how far it is, and what came of it.

{ _id: UUID("0199…"), kind: "backtest", owner: UUID("0198…"), parameters: { symbols: ["IBM"], interval: "1d" },
  priority: 0, state: "running", progress: 0.4, result: null, error: null, attempts: 1, cancel_asked: false,
  created_at: ISODate("…"), started_at: ISODate("…"), finished_at: null, version: 3, changed_at: ISODate("…"),
  claim: UUID("…"), worker: "host:4711", renewed_at: ISODate("…") }

``claim`` is of one attempt: whoever has it may change a running job, and nobody else, so that a job ends once however
many still work on it. It lapses unless it is renewed. Times that are compared with now are the database server's own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import bson
from pymongo import IndexModel, ReturnDocument, WriteConcern

from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.jobs import Job, JobState
from qsuite.domain.listing import Condition, Listing, Page
from qsuite.domain.times import NS_PER_MS, datetime_to_ns, ns_to_datetime
from qsuite.repos.database import CODEC, Database, Document, Session, translated
from qsuite.repos.listing import FieldMap, find_page, instant, plain
from qsuite.repos.schema import CollectionSpec, schema

NAME = "jobs"
WHAT = "job"
RESULT_BYTES = 262_144
"""A result is small: whoever looks at a job reads all of it. What is large is kept elsewhere, by its task."""
QUEUED, RUNNING = JobState.QUEUED.value, JobState.RUNNING.value
SHOWN: Document = {"parameters": 0}
"""Leaves out what may be long and nobody is shown."""

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id kind owner parameters priority state progress attempts cancel_asked created_at version changed_at claim",
        {
            "_id": {"bsonType": "binData"},
            "kind": {"bsonType": "string"},
            "owner": {"bsonType": "binData"},
            "parameters": {"bsonType": "object"},
            "priority": {"bsonType": ["int", "long"]},
            "state": {"enum": [state.value for state in JobState]},
            "progress": {"bsonType": ["double", "int"], "minimum": 0, "maximum": 1},
            "result": {"bsonType": ["object", "null"]},
            "error": {"bsonType": ["object", "null"]},
            "attempts": {"bsonType": ["int", "long"]},
            "cancel_asked": {"bsonType": "bool"},
            "created_at": {"bsonType": "date"},
            "started_at": {"bsonType": ["date", "null"]},
            "finished_at": {"bsonType": ["date", "null"]},
            "version": {"bsonType": ["int", "long"]},
            "changed_at": {"bsonType": "date"},
            "claim": {"bsonType": ["binData", "null"]},
            "worker": {"bsonType": ["string", "null"]},
            "renewed_at": {"bsonType": ["date", "null"]},
        },
    ),
    (
        IndexModel([("state", 1), ("priority", -1), ("_id", 1)], name="next"),
        IndexModel([("owner", 1), ("created_at", -1), ("_id", -1)], name="of_an_owner"),
        IndexModel([("created_at", -1), ("_id", -1)], name="newest"),
        IndexModel([("owner", 1), ("changed_at", 1)], name="changes_of_an_owner"),
    ),
)

FIELDS: dict[str, FieldMap] = {
    "id": plain("_id"),
    "kind": plain("kind"),
    "owner": plain("owner"),
    "state": plain("state"),
    "priority": plain("priority"),
    "created_at": instant("created_at"),
}


@dataclass(frozen=True, slots=True)
class Held:
    """A job that somebody has claimed. ``worker`` is whoever began it, empty before."""

    job: Job
    claim: UUID
    worker: str = ""


class JobsRepo:
    """Keep jobs. A list names the owner whose jobs it may see; None sees all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._jobs = database.collection(NAME)

    # -- asking -------------------------------------------------------------------------------------------------

    async def add(self, job: Job, session: Session = None) -> None:
        """Store a new one."""
        with translated(WHAT):
            await self._jobs.insert_one(to_document(job), session=session)

    async def get(self, identity: UUID, session: Session = None) -> Job:
        """Return one without its parameters. NotFound if there is none."""
        with translated(WHAT):
            found = await self._jobs.find_one({"_id": identity}, SHOWN, session=session)
        if found is None:
            raise NotFound(f"no job {identity}")
        return to_domain(found)

    async def page(self, listing: Listing, owner: UUID | None) -> Page[Job]:
        """Return a page of jobs, without their parameters."""
        if owner is not None:
            listing = listing.where(Condition("owner", "eq", owner))
        return await find_page(self._jobs, listing, to_domain=to_domain, fields=FIELDS, projection=SHOWN)

    async def newest(self, owner: UUID, limit: int) -> list[Job]:
        """Return the newest jobs of an owner, newest first."""
        order = [("created_at", -1), ("_id", -1)]
        with translated(WHAT):
            documents = await self._jobs.find({"owner": owner}, SHOWN).sort(order).limit(limit).to_list(limit)
        return list(map(to_domain, documents))

    async def changed(self, owners: Mapping[UUID, int]) -> list[tuple[int, Job]]:
        """Return the jobs of each owner that changed after a time, and when they did, the oldest change first."""
        if not owners:
            return []
        each = [{"owner": owner, "changed_at": {"$gt": ns_to_datetime(since)}} for owner, since in owners.items()]
        with translated(WHAT):
            documents = await self._jobs.find({"$or": each}, SHOWN).sort("changed_at", 1).to_list(None)
        return [(datetime_to_ns(document["changed_at"]), to_domain(document)) for document in documents]

    async def queued(self, most: int) -> int:
        """Count what waits, up to a number."""
        with translated(WHAT):
            return int(await self._jobs.count_documents({"state": QUEUED}, limit=most))

    async def counts(self) -> dict[str, int]:
        """Count the jobs that have not ended, by state."""
        with translated(WHAT):
            return {state: int(await self._jobs.count_documents({"state": state})) for state in (QUEUED, RUNNING)}

    async def cancel(self, identity: UUID, now: int, session: Session = None) -> Job:
        """End a queued job, or ask whoever runs it to; return how it stands then."""
        ended: Document = {"state": JobState.CANCELLED.value, "finished_at": ns_to_datetime(now), "cancel_asked": True}
        for state, values in ((QUEUED, ended), (RUNNING, {"cancel_asked": True}), (QUEUED, ended)):
            found = await self._change({"_id": identity, "state": state}, values, session=session)
            if found is not None:
                return to_domain(found)
        return await self.get(identity, session)

    # -- running ------------------------------------------------------------------------------------------------

    async def claim(self, claim: UUID, now: int) -> Held | None:
        """Begin an attempt at the job that goes next, or return None when none waits."""
        values = {"state": RUNNING, "claim": claim, "worker": None, "progress": 0.0, "started_at": ns_to_datetime(now)}
        order = [("priority", -1), ("_id", 1)]
        found = await self._change({"state": QUEUED}, values, renew=True, begin=1, sort=order)
        return None if found is None else Held(to_domain(found), claim)

    async def take(self, identity: UUID, claim: UUID, worker: str) -> Job | None:
        """Let a worker begin an attempt, whole with parameters; None where it is over or another worker began it."""
        condition = {"_id": identity, "claim": claim, "state": RUNNING, "worker": None}
        with translated(WHAT):
            found = await self._jobs.find_one_and_update(
                condition,
                {"$set": {"worker": worker}, "$currentDate": {"renewed_at": True}},
                return_document=ReturnDocument.AFTER,
            )
        return None if found is None else to_domain(found)

    async def keep(self, claims: Collection[UUID]) -> None:
        """Renew claims."""
        if not claims:
            return
        with translated(WHAT):
            await self._jobs.update_many(
                {"state": RUNNING, "claim": {"$in": list(claims)}}, {"$currentDate": {"renewed_at": True}}
            )

    async def held(self, identities: Sequence[UUID]) -> dict[UUID, Held]:
        """Return the running ones among these jobs, by id."""
        if not identities:
            return {}
        with translated(WHAT):
            documents = await self._jobs.find({"_id": {"$in": list(identities)}, "state": RUNNING}, SHOWN).to_list(None)
        return {document["_id"]: _held(document) for document in documents}

    async def lapsed(self, lease_s: float) -> list[Held]:
        """Return the jobs whose claim was not renewed for so long."""
        before = {"$subtract": ["$$NOW", round(lease_s * 1000)]}
        with translated(WHAT):
            found = self._jobs.find({"state": RUNNING, "$expr": {"$lt": ["$renewed_at", before]}}, SHOWN)
            return [_held(document) for document in await found.to_list(None)]

    async def settle(self, held: Held, after: Job) -> bool:
        """Write what became of a claimed job. Invalid for a result that is too large.

        False when the claim is not good any more; and where it should be queued again, also when a worker began it
        meanwhile or somebody asked it to end.
        """
        condition = {
            "_id": held.job.id,
            "claim": held.claim,
            "state": RUNNING,
            **({} if after.ended else {"cancel_asked": held.job.cancel_asked, "worker": held.worker or None}),
        }
        _check_size(after.result)
        values = {
            "state": after.state.value,
            "claim": None,
            "result": None if after.result is None else dict(after.result),
            "error": None if after.error is None else dict(after.error),
            "started_at": _date(after.started_at),
            "finished_at": _date(after.finished_at),
            "attempts": after.attempts,
        }
        if after.state is not JobState.FAILED and after.state is not JobState.CANCELLED:
            values["progress"] = after.progress  # else as far as it came
        return await self._change(condition, values) is not None

    # -- for threads --------------------------------------------------------------------------------------------

    def beat(self, identity: UUID, claim: UUID, progress: float | None) -> Held | None:
        """Renew a claim and say how far the job is, where that is new; None when the claim is not good any more."""
        changes: Document = {"$currentDate": {"renewed_at": True}}
        if progress is not None:
            dates = {"renewed_at": True, "changed_at": True}
            changes = {"$set": {"progress": progress}, "$inc": {"version": 1}, "$currentDate": dates}
        # Several times a second, and no loss if it is lost.
        jobs = self._database.sync.get_collection(NAME, write_concern=WriteConcern(w=1))
        with translated(WHAT):
            found = jobs.find_one_and_update(
                {"_id": identity, "claim": claim, "state": RUNNING},
                changes,
                SHOWN,
                return_document=ReturnDocument.AFTER,
            )
        return None if found is None else _held(found)

    async def _change(
        self,
        condition: Document,
        values: Document,
        *,
        renew: bool = False,
        begin: int = 0,
        sort: list[tuple[str, int]] | None = None,
        session: Session = None,
    ) -> Document | None:
        dates = {"changed_at": True, **({"renewed_at": True} if renew else {})}
        counts = {"version": 1, **({"attempts": begin} if begin else {})}
        with translated(WHAT):
            found: Document | None = await self._jobs.find_one_and_update(
                condition,
                {"$set": values, "$inc": counts, "$currentDate": dates},
                SHOWN,
                sort=sort,
                return_document=ReturnDocument.AFTER,
                session=session,
            )
        return found


def to_document(job: Job) -> Document:
    """Write a new job as it is stored."""
    return {
        "_id": job.id,
        "kind": job.kind,
        "owner": job.owner,
        "parameters": dict(job.parameters),
        "priority": job.priority,
        "state": job.state.value,
        "progress": job.progress,
        "result": None,
        "error": None,
        "attempts": job.attempts,
        "cancel_asked": job.cancel_asked,
        "created_at": ns_to_datetime(job.created_at),
        "started_at": None,
        "finished_at": None,
        "version": job.version,
        "changed_at": ns_to_datetime(job.created_at // NS_PER_MS * NS_PER_MS),
        "claim": None,
        "worker": None,
        "renewed_at": None,
    }


def to_domain(document: Mapping[str, Any]) -> Job:
    """Read a stored job."""
    started, finished = document["started_at"], document["finished_at"]
    return Job(
        id=document["_id"],
        kind=document["kind"],
        owner=document["owner"],
        parameters=document.get("parameters", {}),
        priority=document["priority"],
        state=JobState(document["state"]),
        progress=float(document["progress"]),
        result=document["result"],
        error=document["error"],
        attempts=document["attempts"],
        cancel_asked=document["cancel_asked"],
        created_at=datetime_to_ns(document["created_at"]),
        started_at=None if started is None else datetime_to_ns(started),
        finished_at=None if finished is None else datetime_to_ns(finished),
        version=document["version"],
    )


def _check_size(result: Mapping[str, Any] | None) -> None:
    if result is None:
        return
    with translated("result"):
        size = len(bson.encode(result, codec_options=CODEC))
    if size > RESULT_BYTES:
        raise Invalid(f"it has {size} bytes, and at most {RESULT_BYTES} are kept")


def _held(document: Mapping[str, Any]) -> Held:
    return Held(to_domain(document), document["claim"], document["worker"] or "")


def _date(moment: int | None) -> Any:
    return None if moment is None else ns_to_datetime(moment)
