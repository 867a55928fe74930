"""Jobs over HTTP: what is under way, what came of it, and its cancelling. A trader sees their own.

Routes that begin one answer through ``answer_job``, so that clients find every job in the same way.
"""

from marshmallow import fields

from qsuite.domain.jobs import Job, JobState
from qsuite.domain.roles import ADMINS, EVERY_ROLE, RISK_MANAGERS, TRADERS
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.job_schemas import JobSchema
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation
from qsuite.handlers.orders import as_id
from qsuite.services.jobs import show_job

JOBS = ListingSpec(
    filters={
        "kind": (fields.String(), EQUALITY),
        "state": (fields.Enum(JobState, by_value=fields.String), EQUALITY),
        "owner": (fields.UUID(), EQUALITY),
        "created_at": (InstantField(), COMPARISONS),
    },
    orderings=("created_at", "priority"),
    default_order=("-created_at",),
    cursor=True,
)
WORKERS_EMPLOYERS = TRADERS | RISK_MANAGERS | ADMINS
"""Who may have work done."""


def answer_job(handler: ApiHandler, job: Job) -> None:
    """Say 202: the job is queued, and where to look for it."""
    handler.set_header("Location", f"/api/v1/jobs/{job.id}/")
    handler.answer_resource(show_job(job), job.version, 202)


class JobsHandler(ApiHandler):
    """All jobs of the caller."""

    @operation("List jobs, newest first", roles=EVERY_ROLE, listing=JOBS, returns={200: JobSchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.jobs.page(self.caller, self.listing())
        self.answer_page(page, [show_job(job) for job in page.items])


class JobHandler(ApiHandler):
    """One job."""

    @operation("Show a job: its state, how far it is, and its result", roles=EVERY_ROLE, returns={200: JobSchema()})
    async def get(self, job_id: str) -> None:
        """Show it."""
        job = await self.services.jobs.get(self.caller, as_id(job_id))
        self.answer_resource(show_job(job), job.version)

    @operation(
        "Cancel a job; a running one ends a moment later",
        roles=WORKERS_EMPLOYERS,
        returns={200: JobSchema()},
        raises=(409,),
    )
    async def delete(self, job_id: str) -> None:
        """Cancel it."""
        self.answer(show_job(await self.services.jobs.cancel(self.caller, as_id(job_id))))


routes = [
    (r"/api/v1/jobs/?", JobsHandler),
    (r"/api/v1/jobs/([^/]+)/?", JobHandler),
]
