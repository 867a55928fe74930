"""What is sent to have a model trained: one body for all kinds, of which each takes its own fields and no others."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from qsuite.domain.analytics.learning.training import CHOICES, MAX_SYMBOLS
from qsuite.domain.models import ModelKind
from qsuite.handlers.fields import StatisticField
from qsuite.handlers.market_fields import SYMBOL, EdgeField, IntervalField
from qsuite.services.sentiment.labelled import MOST_ROWS

NEEDS = {ModelKind.SENTIMENT: ("name", "rows"), ModelKind.MARKET: ("symbols",)}
TAKES = {
    ModelKind.SENTIMENT: {"kind", "name", "description", "rows"},
    ModelKind.MARKET: {"kind", "name", "symbols", "interval", "start", "end", *CHOICES},
}


def _choice(name: str) -> Any:
    bound = CHOICES[name]
    low, default, high = (int(each) if bound.whole else each for each in (bound.low, bound.default, bound.high))
    within = validate.Range(low, high)
    if bound.whole:
        return fields.Integer(strict=True, load_default=default, validate=within)
    return StatisticField(load_default=default, validate=within)


class TrainModelSchema(Schema):
    """What to train, and on what.

    ``sentiment``, a classifier of texts: ``name`` and up to 200,000 ``rows``, ``{"text": …, "label": …}``. A label is
    positive, neutral or negative, or a number from -1 to 1.

    ``market``, whether prices will rise: ``symbols``, whose stored bars of an ``interval`` are learned from, or those
    made of what is stored. ``horizon`` bars are foretold; ``folds`` parts are tried after what was learned before them,
    ``embargo`` bars apart. Trading is reckoned beyond ``margin_percent`` from an even chance, at ``cost_bps`` of what
    is turned over; intervals come of ``draws``. Models of one ``name``, by default the symbols and the interval, are
    trainings of the same thing.
    """

    kind = fields.Enum(ModelKind, required=True, by_value=fields.String)
    name = fields.String(validate=validate.Length(1, 100))
    description = fields.String(load_default="", validate=validate.Length(0, 500))
    rows = fields.List(fields.Raw(allow_none=True), validate=validate.Length(1, MOST_ROWS))
    symbols = fields.List(fields.String(validate=SYMBOL), validate=validate.Length(1, MAX_SYMBOLS))
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

    @validates_schema(pass_original=True)
    def _of_its_kind(self, data: dict[str, Any], original: dict[str, Any], **kwargs: Any) -> None:
        kind = data["kind"]
        wrong = {name: ["required"] for name in NEEDS[kind] if name not in data}
        wrong |= {name: [f"not for a model of kind {kind.value}"] for name in sorted(original.keys() - TAKES[kind])}
        if wrong:
            raise ValidationError(wrong)
