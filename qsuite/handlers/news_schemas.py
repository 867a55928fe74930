"""What news and sentiment look like over HTTP."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, pre_load, validate

from qsuite.domain.analytics.sentiment import Label
from qsuite.handlers.fields import InstantField, StatisticField
from qsuite.handlers.market_fields import SYMBOL

MOST_ARTICLES = 1_000
MOST_TEXTS = 1_000
MOST_SYMBOLS = 100
TEXT = validate.Length(1, 4_000)


def _symbols(least: int, most: int, **kwargs: Any) -> "fields.List[str]":
    def unique(symbols: list[str]) -> None:
        if len(set(symbols)) < len(symbols):
            raise ValidationError("a symbol is given twice")

    return fields.List(fields.String(validate=SYMBOL), validate=[validate.Length(least, most), unique], **kwargs)


def _not_blank(text: str) -> None:
    if not text.strip():
        raise ValidationError("only blanks")


class ArticleInputSchema(Schema):
    """An article as it is sent; without ``symbols`` they are looked for in what it says."""

    headline = fields.String(required=True, validate=[validate.Length(1, 1_000), _not_blank])
    summary = fields.String(load_default="", validate=validate.Length(0, 10_000))
    source = fields.String(required=True, validate=validate.Length(1, 200))
    url = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, 2_000))
    published_at = InstantField(required=True)
    symbols = _symbols(0, 50, load_default=None, allow_none=True)


class NewsInputSchema(Schema):
    """Up to 1,000 articles: ``{"articles": [...]}``, the array alone, or one article alone."""

    takes_arrays = True
    articles = fields.List(fields.Raw(allow_none=True), required=True, validate=validate.Length(1, MOST_ARTICLES))

    @pre_load
    def wrap(self, data: Any, **kwargs: Any) -> Any:
        """Take an array for its articles, and one article for an array of one."""
        if isinstance(data, list):
            return {"articles": data}
        return {"articles": [data]} if "headline" in data else data


class JudgementSchema(Schema):
    """What a text says: ``score`` from -1 to 1, ``confidence`` from 0 to 1, and the model that says so."""

    label = fields.Enum(Label, required=True, by_value=fields.String)
    score = fields.Float(required=True)
    confidence = fields.Float(required=True)
    model = fields.String(required=True)


class NewsSchema(Schema):
    """An article, with the sentiment it was given when it was stored."""

    id = fields.UUID(required=True)
    symbols = fields.List(fields.String(), required=True)
    headline = fields.String(required=True)
    summary = fields.String(required=True)
    source = fields.String(required=True)
    url = fields.String(required=True, allow_none=True)
    published_at = InstantField(required=True)
    sentiment = fields.Nested(JudgementSchema, required=True)
    created_at = InstantField(required=True)


class StoredNewsSchema(Schema):
    """The articles as they are stored, in the order sent; ``created`` of them were not there before."""

    count = fields.Integer(required=True)
    created = fields.Integer(required=True)
    results = fields.List(fields.Nested(NewsSchema), required=True)


class SentimentInputSchema(Schema):
    """Texts, or symbols whose news count, older ones less: half as much each ``half_life_hours``."""

    texts = fields.List(fields.String(validate=TEXT), validate=validate.Length(1, MOST_TEXTS))
    symbols = _symbols(1, MOST_SYMBOLS)
    model = fields.String(
        validate=validate.Length(1, 64),
        metadata={"description": "Of texts: a model's id or the lexicon's name; by default the one in use"},
    )
    half_life_hours = StatisticField(validate=validate.Range(0.01, 8_784))
    as_of = InstantField(metadata={"description": "Of symbols: news published later do not count; by default now"})


class SentimentResultSchema(Schema):
    """The judgement of a text, or of a symbol's news: null where none count."""

    text = fields.String()
    model = fields.String()
    symbol = fields.String()
    articles = fields.Integer()
    newest = InstantField(allow_none=True)
    label = fields.Enum(Label, required=True, allow_none=True, by_value=fields.String)
    score = fields.Float(required=True, allow_none=True)
    confidence = fields.Float(required=True, allow_none=True)


class SentimentSchema(Schema):
    """A result for each text or symbol, in the order asked."""

    count = fields.Integer(required=True)
    as_of = InstantField()
    half_life_hours = fields.Float()
    results = fields.List(fields.Nested(SentimentResultSchema), required=True)
