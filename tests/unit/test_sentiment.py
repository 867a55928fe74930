"""What texts say: the lexicon's rules, the classifier's sums, and how old news fade."""

import hashlib
from math import log

import numpy as np
import pytest

from qsuite.domain.analytics.sentiment import Article, Judgement, Label, Mood, label_of, mood_of
from qsuite.domain.analytics.text_model import TextModel, probabilities, terms_of, words_of
from qsuite.domain.errors import Unavailable
from qsuite.domain.times import NS_PER_S
from qsuite.services.sentiment.lexicon import judgement_of, lexicon_judgement, lexicon_scores, vader_judgement
from qsuite.services.sentiment.text_models import ModelCache, read_model, write_model

HOUR = 3_600 * NS_PER_S
NOW = 1_700_000_000 * NS_PER_S


def said(label: str, score: float, confidence: float, hours_ago: float = 0.0) -> Article:
    return Article(NOW - int(hours_ago * HOUR), Judgement(Label(label), score, confidence))


# -- the lexicon ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The company reported a good quarter", "positive"),
        ("The company did not report a good quarter", "negative"),
        ("The results were not bad", "positive"),
        ("Shares plunge after profit warning", "negative"),
        ("Revenue grew and the outlook was raised", "positive"),
        ("The outlook was never raised", "negative"),
        ("The annual meeting is held in June", "neutral"),
        ("Interest on the shares is paid in May", "neutral"),
        ("", "neutral"),
    ],
)
def test_the_lexicon_hears_words_negations_and_the_language_of_markets(text: str, label: str) -> None:
    assert lexicon_judgement(text).label.value == label


def test_emphasis_makes_more_of_it_and_contrast_gives_way_to_what_follows() -> None:
    plain, very, loud = (lexicon_scores(text).compound for text in ("good news", "very good news", "GOOD news!"))
    assert 0 < plain < very
    assert plain < loud
    assert lexicon_judgement("Sales were good, but margins were terrible").label is Label.NEGATIVE


def test_finance_words_change_what_everyday_words_mean() -> None:
    text = "Shares of the gross interest vehicle surge"
    assert vader_judgement("Shares surge").score == pytest.approx(0.296, abs=1e-3)  # "shares" alone, as VADER has it
    assert lexicon_judgement(text).score == pytest.approx(2.2 / (2.2**2 + 15) ** 0.5, abs=1e-4)  # "surge" alone


@pytest.mark.parametrize(
    ("compound", "label", "sure"), [(0.6, "positive", 0.6), (-0.05, "negative", 0.05), (0.04, "neutral", 0.96)]
)
def test_a_lexicon_is_as_sure_as_its_score_is_clear(compound: float, label: str, sure: float) -> None:
    judged = judgement_of(compound)
    assert (judged.label.value, judged.score, judged.confidence) == (label, compound, pytest.approx(sure))


# -- many articles ----------------------------------------------------------------------------------------------------


def test_old_news_count_half_as_much_for_each_half_life() -> None:
    articles = [said("positive", 0.8, 1.0), said("negative", -0.6, 0.5, 24), said("neutral", 0.0, 1.0, 48)]
    mood = mood_of(articles, NOW, 24)
    # Weights 1, 0.5 / 2 and 1 / 4: (0.8 - 0.15) / 1.5; of the weight 1 / 1.5 is positive as the whole is.
    assert mood.judgement is not None
    assert mood.judgement.label is Label.POSITIVE
    assert mood.judgement.score == pytest.approx(0.65 / 1.5)
    assert mood.judgement.confidence == pytest.approx(1 / 1.5)
    assert (mood.articles, mood.newest) == (3, NOW)


def test_what_is_published_later_counts_for_nothing() -> None:
    known = [said("negative", -0.5, 0.5, 3)]
    later = Article(NOW + 1, Judgement(Label.POSITIVE, 1.0, 1.0))
    assert mood_of([*known, later], NOW, 24) == mood_of(known, NOW, 24)
    assert mood_of([*known, later], NOW + 1, 24).judgement != mood_of(known, NOW + 1, 24).judgement


def test_no_news_and_news_that_are_sure_of_nothing_say_nothing() -> None:
    assert mood_of([], NOW, 24) == Mood(None, 0, None)
    assert mood_of([said("neutral", 0.0, 0.0, 1)], NOW, 24).judgement is None


@pytest.mark.parametrize(
    ("score", "label"),
    [(0.05, "positive"), (0.0499, "neutral"), (0.0, "neutral"), (-0.0499, "neutral"), (-0.05, "negative")],
)
def test_scores_near_zero_are_neutral(score: float, label: str) -> None:
    assert label_of(score).value == label


# -- the classifier ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Profit isn't good. Sales rose", ["profit", "isn't", "not_good", "sales", "rose"]),
        ("no profit , but growth", ["no", "not_profit", "but", "growth"]),
        ("EUR 13.1 mn from 8,700", ["eur", "<number>", "mn", "from", "<number>"]),
        ("never one two three four five", ["never", "not_one", "not_two", "not_three", "not_four", "five"]),
        ("Did n't fail", ["didn't", "not_fail"]),
        ("ÄÖ – co-operate’s 5 %", ["äö", "co-operate's", "<number>", "%"]),
        ("…", []),
    ],
)
def test_words_near_a_negation_are_others(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_terms_are_words_and_pairs() -> None:
    assert terms_of("a b c") == ["a", "b", "c", "a b", "b c"]
    assert terms_of("") == []


def a_text_model(temperature: float = 2.0) -> TextModel:
    weights = np.array([[-1.0, 0.0, 2.0], [3.0, 0.0, -1.0]])
    return TextModel(
        terms=["good", "not_good"],
        idf=np.array([1.5, 2.0]),
        weights=weights,
        lexicon=np.array([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        bias=np.array([0.0, 0.5, 0.0]),
        temperature=temperature,
    )


def test_a_judgement_is_the_softmax_of_weighted_terms() -> None:
    model, scores = a_text_model(), (0.5, 0.1, 0.2)
    # "good" twice and "not_good" once: (1 + ln 2) · 1.5 and 1 · 2, over their length.
    values = np.array([(1 + log(2)) * 1.5, 2.0])
    values /= np.sqrt((values**2).sum())
    logits = np.array([0.0, 0.5, 0.0]) + values @ model.weights + np.array([-0.5, 0.0, 0.5])
    assert model.logits("good. good. not good", scores) == pytest.approx(logits)
    odds = np.exp(logits / 2)
    expected = odds / odds.sum()
    judged = model.judge("good. good. not good", scores)
    assert judged.label is list(Label)[int(np.argmax(expected))]
    assert judged.confidence == pytest.approx(expected.max())
    assert judged.score == pytest.approx(expected[2] - expected[0])


def test_a_text_of_unknown_words_is_judged_by_what_is_usual() -> None:
    judged = a_text_model().judge("xyz", (0.0, 0.0, 0.0))
    assert (judged.label, judged.score) == (Label.NEUTRAL, 0.0)
    assert judged.confidence == pytest.approx(probabilities(np.array([0.0, 0.5, 0.0]), 2.0)[1])


def test_a_model_comes_back_from_its_file() -> None:

    model = a_text_model()
    data = write_model(model)
    digest = hashlib.sha256(data).hexdigest()
    back = read_model(data, digest)
    assert back.judge("not good", (0.1, 0, 0)) == model.judge("not good", (0.1, 0, 0))
    assert write_model(back) == data
    cache = ModelCache()
    assert cache.get(digest, None) is None
    assert cache.get(digest, data) is cache.get(digest, None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"temperature":2.0', b'"temperature":0.0'),
        (b'"terms":["good",', b'"terms":['),
        (b"text_model/1", b"text_model/9"),
        (b'"bias":[0.0', b'"bias":[null'),
        (b'{"format"', b'["format"'),
    ],
)
def test_a_file_that_is_no_model_is_refused(old: bytes, new: bytes) -> None:

    data = write_model(a_text_model())
    assert old in data
    broken = data.replace(old, new)
    with pytest.raises(Unavailable) as unreadable:
        read_model(broken, hashlib.sha256(broken).hexdigest())
    with pytest.raises(Unavailable) as changed:
        read_model(broken, hashlib.sha256(data).hexdigest())
    assert unreadable.value.code == changed.value.code == "model.damaged"
