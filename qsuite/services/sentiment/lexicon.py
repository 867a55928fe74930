"""The sentiment that needs no training: VADER's words and rules, with finance words beside them.

VADER's rules see negation ("not good"), emphasis ("VERY good!") and contrast ("good, but …"). How sure a lexicon is, is
no probability: it is how far its score is from neutral, or for neutral how near to zero.
Reads two files when first used (a tenth of a second), so it belongs into worker processes.
"""

from functools import cache
from typing import Any, NamedTuple

from qsuite.domain.analytics.sentiment import Judgement, Label, label_of
from qsuite.services.sentiment.finance_words import finance_words

NAME = "lexicon_v1"
"""What judgements made by it are signed with; another set of words gets another number."""


class LexiconScores(NamedTuple):
    """``compound`` from -1 to 1; which parts of the text are positive and negative, from 0 to 1."""

    compound: float
    positive: float
    negative: float


def lexicon_scores(text: str) -> LexiconScores:
    """Return what the default lexicon says of a text."""
    return _scores(_analyzer(with_finance=True), text)


def lexicon_judgement(text: str) -> Judgement:
    """Judge a text by the default lexicon."""
    return judgement_of(lexicon_scores(text).compound)


def vader_judgement(text: str) -> Judgement:
    """Judge a text by VADER as published, without the finance words: a baseline."""
    return judgement_of(_scores(_analyzer(with_finance=False), text).compound)


def judgement_of(compound: float) -> Judgement:
    """Return the judgement that a lexicon's score stands for."""
    label = label_of(compound)
    distance = abs(compound)
    return Judgement(label, compound, 1.0 - distance if label is Label.NEUTRAL else distance)


def _scores(analyzer: Any, text: str) -> LexiconScores:
    found = analyzer.polarity_scores(text)
    return LexiconScores(found["compound"], found["pos"], found["neg"])


@cache
def _analyzer(*, with_finance: bool) -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    if with_finance:
        analyzer.lexicon.update(finance_words())
    return analyzer
