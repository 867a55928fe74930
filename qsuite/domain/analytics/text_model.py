"""A classifier of texts as numbers: which terms there are, what each weighs for each label. It runs without libraries.

    text ──terms──> tf-idf of words and pairs ┐
    text ──lexicon──> its scores ─────────────┴─> one sum a label ──/ temperature, softmax──> probabilities

A word within reach of a negation is another term (``not_good``), so that "not good" is learnt apart from "good".
Numbers count as one term: which ones stand in a headline says nothing about the next. Invariant: terms and weights are
computed here for training and for use alike.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log, sqrt

import numpy as np
import numpy.typing as npt

from qsuite.domain.analytics.sentiment import LABELS, Judgement

Floats = npt.NDArray[np.float64]

_NEGATING = (
    "no not never none nobody nothing neither nor without cannot cant hardly barely lack lacks lacked fail fails "
    "failed unable isnt arent wasnt werent dont doesnt didnt wont wouldnt hasnt havent hadnt couldnt shouldnt aint"
)
NEGATIONS = frozenset(_NEGATING.split())
REACH = 4
"""So many words after a negation are negated, or those up to the end of the clause."""
NUMBER = "<number>"

_TOKEN = re.compile(r"[0-9][0-9.,]*|[^\W\d_]+(?:['’-][^\W\d_]+)*|[%$€£]|[.;:!?]")
_CLAUSE_ENDS = frozenset(".;:!?")
_TURNS = frozenset(("but", "however", "although", "though", "while"))


def words_of(text: str) -> list[str]:
    """Return a text's words in lower case, negated ones marked."""
    words: list[str] = []
    reach = 0
    for match in _TOKEN.finditer(text.lower().replace("’", "'").replace(" n't", "n't")):
        word = match.group()
        if word in _CLAUSE_ENDS or word in _TURNS:
            reach = 0
        if word in _CLAUSE_ENDS:
            continue
        if word[0].isdigit():
            words.append(NUMBER)
            continue
        words.append(f"not_{word}" if reach else word)
        negates = word in NEGATIONS or word.endswith("n't")
        reach = REACH if negates else max(0, reach - 1)
    return words


def terms_of(text: str) -> list[str]:
    """Return a text's words and pairs of neighbours."""
    words = words_of(text)
    return [*words, *(f"{left} {right}" for left, right in pairwise(words))]


@dataclass(frozen=True, eq=False)
class TextModel:
    """What was learnt. ``weights`` has a row for each of n terms, ``lexicon`` one for each lexicon score, each with a
    column for each of ``LABELS``; ``idf`` is of n terms.
    """

    terms: Sequence[str]
    idf: Floats
    weights: Floats
    lexicon: Floats
    bias: Floats
    temperature: float

    def __post_init__(self) -> None:
        """ValueError for numbers that do not belong together."""
        n, labels = len(self.terms), len(LABELS)
        shapes = (self.idf.shape, self.weights.shape, self.lexicon.shape[1:], self.bias.shape)
        if shapes != ((n,), (n, labels), (labels,), (labels,)):
            raise ValueError("the model's arrays do not fit each other")
        if not (self.temperature > 0 and all(np.isfinite(each).all() for each in self._arrays)):
            raise ValueError("the model's numbers are none")

    @property
    def _arrays(self) -> tuple[Floats, ...]:
        return (self.idf, self.weights, self.lexicon, self.bias)

    @cached_property
    def _at(self) -> Mapping[str, int]:
        return {term: place for place, term in enumerate(self.terms)}

    def logits(self, text: str, lexicon_scores: Sequence[float]) -> Floats:
        """Return the sum for each label, before the temperature."""
        counts = Counter(place for term in terms_of(text) if (place := self._at.get(term)) is not None)
        found: Floats = self.bias + np.asarray(lexicon_scores) @ self.lexicon
        if counts:
            places = np.fromiter(counts, dtype=np.intp, count=len(counts))
            values = np.array([1 + log(count) for count in counts.values()]) * self.idf[places]
            found = found + (values / sqrt(float(values @ values))) @ self.weights[places]
        return found

    def judge(self, text: str, lexicon_scores: Sequence[float]) -> Judgement:
        """Return the likeliest label, its probability, and as score that of positive less that of negative."""
        likely = probabilities(self.logits(text, lexicon_scores), self.temperature)
        best = int(np.argmax(likely))
        return Judgement(LABELS[best], float(likely[-1] - likely[0]), float(likely[best]))


def probabilities(logits: Floats, temperature: float) -> Floats:
    """Return softmax of the last axis; a temperature above 1 makes less sure (Guo et al., 2017)."""
    scaled = logits / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
