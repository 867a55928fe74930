"""What trained models look like over HTTP."""

from marshmallow import Schema, fields, validate

from qsuite.domain.models import ModelKind
from qsuite.handlers.fields import InstantField
from qsuite.services.sentiment.labelled import MOST_ROWS

TRAINED_HERE = (ModelKind.SENTIMENT,)


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


class TrainModelSchema(Schema):
    """What to train, and on what: a classifier of texts on up to 200,000 ``rows``, ``{"text": …, "label": …}``.

    A label is positive, neutral or negative, or a number from -1 to 1.
    """

    kind = fields.Enum(ModelKind, required=True, by_value=fields.String, validate=validate.OneOf(tuple(TRAINED_HERE)))
    name = fields.String(required=True, validate=validate.Length(1, 100))
    description = fields.String(load_default="", validate=validate.Length(0, 500))
    rows = fields.List(fields.Raw(allow_none=True), required=True, validate=validate.Length(1, MOST_ROWS))


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
