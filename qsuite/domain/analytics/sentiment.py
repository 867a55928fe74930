"""What texts say of a symbol: a judgement of each text, and one of many with older ones counting less.

Of articles i with score s, confidence c and age a (at ``as_of``, in hours), under a half life h:

    weight      w_i = c_i · 2^(-a_i / h)
    score       Σ w_i s_i / Σ w_i
    confidence  the part of Σ w_i that lies on articles with the label of the whole

Invariant: an article published after ``as_of`` counts for nothing, whenever this is computed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from qsuite.domain.times import NS_PER_S

HOUR_NS = 3_600 * NS_PER_S
NEUTRAL_WITHIN = 0.05
"""Scores nearer to zero are neutral: the usual bounds of VADER's compound score (Hutto and Gilbert, 2014)."""


class Label(StrEnum):
    """What a text says."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


LABELS = tuple(Label)
"""In the order of the columns of probabilities."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A text's label, its score from -1 to 1, and from 0 to 1 how sure that is."""

    label: Label
    score: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Article:
    """What of a stored article counts. ``published_at`` in nanoseconds."""

    published_at: int
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Mood:
    """What the articles on a symbol say together; ``judgement`` is None where none counts."""

    judgement: Judgement | None
    articles: int
    newest: int | None


def label_of(score: float) -> Label:
    """Return the label of a score."""
    if score >= NEUTRAL_WITHIN:
        return Label.POSITIVE
    return Label.NEGATIVE if score <= -NEUTRAL_WITHIN else Label.NEUTRAL


def mood_of(articles: Iterable[Article], as_of: int, half_life_hours: float) -> Mood:
    """Weigh articles by their confidence and age; see the head of this module."""
    known = [article for article in articles if article.published_at <= as_of]
    newest = max((article.published_at for article in known), default=None)
    weights = [_weight(article, as_of, half_life_hours) for article in known]
    whole = sum(weights)
    if not whole:  # none, none with any confidence, or all so old that their weight is below any number
        return Mood(None, len(known), newest)
    score = sum(weight * each.judgement.score for weight, each in zip(weights, known, strict=True)) / whole
    label = label_of(score)
    agreeing = sum(weight for weight, each in zip(weights, known, strict=True) if each.judgement.label is label)
    return Mood(Judgement(label, score, agreeing / whole), len(known), newest)


def _weight(article: Article, as_of: int, half_life_hours: float) -> float:
    age_hours = (as_of - article.published_at) / HOUR_NS
    return float(article.judgement.confidence * 2.0 ** (-age_hours / half_life_hours))
