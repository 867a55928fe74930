"""What trained models look like over HTTP."""

from typing import Any

from marshmallow import Schema, fields, validate

from qsuite.domain.analytics.learning.training import CHOICES, MAX_SYMBOLS
from qsuite.domain.models import ModelKind
from qsuite.handlers.fields import InstantField, StatisticField
from qsuite.handlers.market_fields import SYMBOL, EdgeField, IntervalField


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


def _choice(name: str) -> Any:
    bound = CHOICES[name]
    low, default, high = (int(each) if bound.whole else each for each in (bound.low, bound.default, bound.high))
    within = validate.Range(low, high)
    if bound.whole:
        return fields.Integer(strict=True, load_default=default, validate=within)
    return StatisticField(load_default=default, validate=within)


class TrainModelSchema(Schema):
    """What a model is to learn from: stored bars of some symbols, or those made of what is stored.

    ``horizon`` bars are foretold; ``folds`` parts are tried after what was learned before them, ``embargo`` bars apart.
    Trading is reckoned beyond ``margin_percent`` from an even chance, at ``cost_bps`` of what is turned over; intervals
    come of ``draws``. Models of one ``name``, by default the symbols and interval, are trainings of the same thing.
    """

    kind = fields.String(required=True, validate=validate.OneOf([ModelKind.MARKET.value]))
    name = fields.String(validate=validate.Length(1, 200))
    symbols = fields.List(fields.String(validate=SYMBOL), required=True, validate=validate.Length(1, MAX_SYMBOLS))
    interval = IntervalField(load_default="1d")
    start = EdgeField()
    end = EdgeField()
    horizon = _choice("horizon")
    folds = _choice("folds")
    embargo = _choice("embargo")
    seed = _choice("seed")
    draws = _choice("draws")
    margin_percent = _choice("margin_percent")
    cost_bps = _choice("cost_bps")
