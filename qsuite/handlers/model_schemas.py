"""What trained models look like over HTTP."""

from marshmallow import Schema, fields

from qsuite.domain.models import ModelKind
from qsuite.handlers.fields import InstantField


class ScoreSchema(Schema):
    """A figure with its 95 % interval, null where none was measured."""

    value = fields.Float(required=True)
    low = fields.Float(required=True, allow_none=True)
    high = fields.Float(required=True, allow_none=True)


class TrainedOnSchema(Schema):
    """What a model learnt from."""

    description = fields.String(required=True)
    rows = fields.Integer(required=True)
    sha256 = fields.String(required=True)


def _scores() -> "fields.Dict":
    return fields.Dict(keys=fields.String(), values=fields.Nested(ScoreSchema), required=True)


class ModelSchema(Schema):
    """A trained model; ``baselines`` are the same figures of what it must beat to be ``usable``."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    kind = fields.Enum(ModelKind, required=True, by_value=fields.String)
    algorithm = fields.String(required=True)
    created_by = fields.UUID(required=True)
    created_at = InstantField(required=True)
    trained_on = fields.Nested(TrainedOnSchema, required=True)
    parameters = fields.Dict(keys=fields.String(), required=True)
    scores = _scores()
    baselines = fields.Dict(keys=fields.String(), values=_scores(), required=True)
    usable = fields.Boolean(required=True)
    reason = fields.String(required=True)
    sha256 = fields.String(required=True)
    size_bytes = fields.Integer(required=True)
