"""What a job looks like over HTTP."""

from marshmallow import Schema, fields

from qsuite.domain.jobs import JobState
from qsuite.handlers.fields import InstantField


class JobErrorSchema(Schema):
    """Why a job failed: what its task refused, or one of these codes.

    ``jobs.failed`` an error nobody expected, ``jobs.timeout`` it took too long, ``jobs.worker_died`` what ran it ended
    twice, ``jobs.result_refused`` its result could not be stored.
    """

    code = fields.String(required=True)
    detail = fields.String(required=True)


class JobSchema(Schema):
    """A job; ``result`` depends on its kind, and is there when its state is ``done``."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    state = fields.Enum(JobState, by_value=fields.String, required=True)
    progress = fields.Float(required=True)
    result = fields.Dict(keys=fields.String(), required=True, allow_none=True)
    error = fields.Nested(JobErrorSchema, required=True, allow_none=True)
    priority = fields.Integer(required=True)
    attempts = fields.Integer(required=True)
    owner = fields.UUID(required=True)
    cancel_asked = fields.Boolean(required=True)
    created_at = InstantField(required=True)
    started_at = InstantField(required=True, allow_none=True)
    finished_at = InstantField(required=True, allow_none=True)
