"""Train a classifier of texts, and measure it on sentences that nothing was learnt from or chosen by.

    rows ──same text once──> hash of the text ─┬─ a fifth: held out, looked at once, at the end
                                               └─ the rest ─┬─ three folds: the penalty, then the temperature
                                                            └─ all of it: the model
    held out ──model, default lexicon, VADER as published, majority──> figures side by side

Terms are tf-idf of words and pairs that at least two texts have, beside the lexicon's scores; multinomial logistic
regression on them. Invariants: the same rows and seed give the same model; a text is on one side of the split however
often it is there, and wherever the file is used again; the model is usable only if its macro-F1 beats the default
lexicon's by more than chance (the lower end of the gain's interval) and the majority's.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from math import exp
from typing import Any

import numpy as np

from qsuite.domain.analytics.classification import Codes, Floats, brier, calibration_error, compare
from qsuite.domain.analytics.sentiment import LABELS, Label
from qsuite.domain.analytics.text_model import TextModel, probabilities, terms_of
from qsuite.domain.errors import Invalid, Unavailable
from qsuite.domain.models import Score, Scores
from qsuite.services.sentiment.labelled import Labelled
from qsuite.services.sentiment.lexicon import LexiconScores, judgement_of, lexicon_scores, vader_judgement

ALGORITHM = "tfidf_logistic_v1"
HELD_OUT = 5
"""One of so many texts is held out."""
FOLDS = 3
PENALTIES = (1.0, 3.0, 10.0)
"""Inverse strengths of regularisation (scikit-learn's C) to choose from."""
LEAST_TEXTS = 2
LEAST_OF_A_LABEL = 20
GOLDEN = (5**0.5 - 1) / 2
WIDEST = 2.0
"""Temperatures from e^-2 to e^2 are looked at."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and how it does on held-out texts."""

    model: TextModel
    rows: int
    parameters: Mapping[str, Any]
    scores: Scores
    baselines: Mapping[str, Scores]
    usable: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts as training sees them: what is computed of each once."""

    texts: Sequence[str]
    labels: Codes
    lexicon: Sequence[LexiconScores]


def train(rows: Iterable[Labelled], seed: int, progress: Callable[[float], None] = lambda part: None) -> Trained:
    """Train on rows and measure.

    Invalid where there are too few of a label, Unavailable without scikit-learn.
    """
    kept, left_out = once_each(rows)
    learn, held = (_texts(part) for part in split(kept))
    for name, part in (("to learn from", learn), ("held out", held)):
        _require(name, part)
    progress(0.2)
    with _one_thread():
        penalty, logits = _choose(learn, seed, progress)
        model = _fit(learn, penalty, temperature_of(logits, learn.labels))
    progress(0.9)
    parameters = {
        "seed": seed,
        "c": penalty,
        "terms": len(model.terms),
        "temperature": model.temperature,
        "texts_learnt": len(learn.texts),
        "texts_held_out": len(held.texts),
        "doubled_or_contradictory": left_out,
    }
    return _measured(model, held, majority=_most(learn.labels), seed=seed, rows=len(kept), parameters=parameters)


def once_each(rows: Iterable[Labelled]) -> tuple[list[Labelled], int]:
    """Return each text once, and how many rows that leaves out; one that is labelled in two ways goes altogether."""
    by_text: dict[str, list[Labelled]] = {}
    for row in rows:
        by_text.setdefault(_same(row.text), []).append(row)
    kept = [same[0] for same in by_text.values() if len({row.label for row in same}) == 1]
    return kept, sum(map(len, by_text.values())) - len(kept)


def split(rows: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Return what is learnt from and what is held out."""
    held = [row for row in rows if is_held_out(row.text)]
    return [row for row in rows if not is_held_out(row.text)], held


def is_held_out(text: str) -> bool:
    """Say on which side of the split a text is, by its hash."""
    return int.from_bytes(hashlib.sha256(_same(text).encode()).digest()[:8]) % HELD_OUT == 0


def temperature_of(logits: Floats, labels: Codes) -> float:
    """Return the temperature under which labels are likeliest (Guo et al., 2017): a golden-section search."""

    def loss(power: float) -> float:
        likely = probabilities(logits, exp(power))[np.arange(len(labels)), labels]
        return -float(np.log(np.maximum(likely, 1e-12)).mean())

    low, high = -WIDEST, WIDEST
    while high - low > 1e-4:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return exp((low + high) / 2)


def _same(text: str) -> str:
    return " ".join(text.lower().split())


def _texts(rows: Sequence[Labelled]) -> Texts:
    texts = [row.text for row in rows]
    codes = np.array([LABELS.index(row.label) for row in rows], dtype=np.int64)
    return Texts(texts, codes, [lexicon_scores(text) for text in texts])


def _require(part: str, texts: Texts) -> None:
    least = LEAST_OF_A_LABEL if part == "to learn from" else 1
    counts = Counter(texts.labels.tolist())
    for code, label in enumerate(LABELS):
        if counts[code] < least:
            detail = f"at least {least} different texts that are {label.value} are needed {part}, not {counts[code]}"
            raise Invalid(detail, code="sentiment.too_few_texts", errors={"rows": [detail]})


def _choose(learn: Texts, seed: int, progress: Callable[[float], None]) -> tuple[float, Floats]:
    """Return the penalty under which texts left out of learning are judged best, and their sums under it."""
    folds = _sklearn("model_selection").StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    sums = {penalty: np.zeros((len(learn.texts), len(LABELS))) for penalty in PENALTIES}
    for done, (known, unknown) in enumerate(folds.split(learn.texts, learn.labels)):
        vectors = _vectors([learn.texts[at] for at in known])
        seen, unseen = (_features(vectors, learn, places) for places in (known, unknown))
        for regression in _regressions(seen, learn.labels[known], PENALTIES):
            sums[regression.C][unknown] = regression.decision_function(unseen)
        progress(0.2 + 0.6 * (done + 1) / FOLDS)
    found = {str(penalty): each.argmax(axis=1) for penalty, each in sums.items()}
    scores = compare(learn.labels, found, len(LABELS), seed).scores
    best = max(PENALTIES, key=lambda penalty: scores[str(penalty)]["macro_f1"].value)
    return best, sums[best]


def _fit(learn: Texts, penalty: float, temperature: float) -> TextModel:
    vectors = _vectors(learn.texts)
    features = _features(vectors, learn, range(len(learn.texts)))
    (regression,) = _regressions(features, learn.labels, (penalty,))
    terms = vectors.get_feature_names_out().tolist()
    return TextModel(
        terms=terms,
        idf=vectors.idf_,
        weights=regression.coef_[:, : len(terms)].T,
        lexicon=regression.coef_[:, len(terms) :].T,
        bias=regression.intercept_,
        temperature=temperature,
    )


def _vectors(texts: Sequence[str]) -> Any:
    made = _sklearn("feature_extraction.text").TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, min_df=LEAST_TEXTS)
    return made.fit(texts)


def _features(vectors: Any, texts: Texts, places: Iterable[int]) -> Any:
    sparse = import_module("scipy.sparse")
    wanted = list(places)
    dense = sparse.csr_matrix(np.array([texts.lexicon[at] for at in wanted], dtype=np.float64))
    return sparse.hstack([vectors.transform([texts.texts[at] for at in wanted]), dense], format="csr")


def _regressions(features: Any, labels: Codes, penalties: Sequence[float]) -> Iterable[Any]:
    """Yield the regression for each penalty; each begins where the one before ended."""
    regression = _sklearn("linear_model").LogisticRegression(solver="newton-cg", warm_start=True, max_iter=1_000)
    for penalty in penalties:
        yield regression.set_params(C=penalty).fit(features, labels)


def _measured(
    model: TextModel, held: Texts, *, majority: int, seed: int, rows: int, parameters: Mapping[str, Any]
) -> Trained:
    logits = np.array([model.logits(text, scores) for text, scores in zip(held.texts, held.lexicon, strict=True)])
    likely = probabilities(logits, model.temperature)
    guesses = {
        "model": likely.argmax(axis=1),
        "lexicon": _codes(judgement_of(scores.compound).label for scores in held.lexicon),
        "vader": _codes(vader_judgement(text).label for text in held.texts),
        "majority": np.full(len(held.texts), majority),
    }
    compared = compare(held.labels, guesses, len(LABELS), seed)
    gain, over_majority = compared.gains["lexicon"], compared.gains["majority"]
    scores = {
        **compared.scores["model"],
        "macro_f1_gain": gain,
        "brier": Score(brier(held.labels, likely)),
        "calibration_error": Score(calibration_error(held.labels, likely)),
    }
    usable = (gain.low or 0) > 0 and over_majority.value > 0
    own, other = scores["macro_f1"].value, compared.scores["lexicon"]["macro_f1"].value
    reason = (
        f"on {len(held.texts)} held-out texts its macro-F1 is {own:.3f}, the lexicon's {other:.3f}; the gain is "
        f"{gain.low:.3f} to {gain.high:.3f} with 95 % confidence, {'above' if usable else 'not surely above'} zero"
    )
    baselines = {name: compared.scores[name] for name in ("lexicon", "vader", "majority")}
    return Trained(model, rows, parameters, scores, baselines, usable, reason)


def _codes(labels: Iterable[Label]) -> Codes:
    return np.array([LABELS.index(label) for label in labels], dtype=np.int64)


def _most(labels: Codes) -> int:
    return int(np.bincount(labels, minlength=len(LABELS)).argmax())


def _one_thread() -> AbstractContextManager[object]:
    """Keep the matrices to one thread: two that wait for each other took twenty times as long on a busy machine."""
    limits: AbstractContextManager[object] = _library("threadpoolctl").threadpool_limits(1)
    return limits


def _sklearn(module: str) -> Any:
    return _library(f"sklearn.{module}")


def _library(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise Unavailable(
            "training needs scikit-learn: install QSuite with its extra 'models'", code="models.not_installed"
        ) from None
