"""Sentiment for whoever asks: of texts, by the model in use, and of symbols, from their stored news.

    texts ──worker process──> model in use: the newest usable one, else the lexicon ──> a judgement each
    symbols ──stored judgements up to as_of──> domain.analytics.sentiment.mood_of ──> a mood each

Invariant: the event loop judges nothing; of news it weighs at most ``MOST_ARTICLES`` at a time.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar, TypeVarTuple
from uuid import UUID

from qsuite.domain.analytics.sentiment import HOUR_NS, Judgement, Mood, mood_of
from qsuite.domain.errors import Conflict, Invalid
from qsuite.domain.models import Model, ModelKind
from qsuite.domain.times import FIRST_NS
from qsuite.repos.news import NewsRepo
from qsuite.services.models import ModelStore
from qsuite.services.sentiment import lexicon
from qsuite.services.sentiment.judging import judge_by_lexicon, judge_by_model

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST_ARTICLES = 500
"""Of each symbol, the newest: weighing them takes a thousandth of a second."""
HALF_LIVES = 20
"""Older articles weigh less than a millionth, and are not read."""


class Workers(Protocol):
    """Processes that compute."""

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what a function returns in another process."""


class Judged(NamedTuple):
    """Judgements, and who made them: the lexicon's name or a model's id."""

    judgements: list[Judgement]
    model: str


class SentimentService:
    """Judge texts and symbols."""

    def __init__(self, *, models: ModelStore, news: NewsRepo, workers: Workers, clock: Callable[[], int]) -> None:
        self._models = models
        self._news = news
        self._workers = workers
        self._clock = clock

    async def judge(self, texts: Sequence[str], model: str | None = None) -> Judged:
        """Judge texts by a model (an id, or the lexicon's name), or by the one in use.

        Invalid for what names no model of texts, Conflict for one that does not beat its baselines.
        """
        chosen = await self._chosen(model)
        if chosen is None:
            return Judged(await self._workers.run(judge_by_lexicon, list(texts)), lexicon.NAME)
        judged = await self._workers.run(judge_by_model, list(texts), chosen.sha256, None)
        if judged is None:
            data = await self._models.file(chosen)
            judged = await self._workers.run(judge_by_model, list(texts), chosen.sha256, data)
        assert judged is not None, "a process that is given the file judges by it"
        return Judged(judged, str(chosen.id))

    async def moods(self, symbols: Sequence[str], as_of: int | None, half_life_hours: float) -> tuple[int, list[Mood]]:
        """Return what the news of each symbol say, and as of when: now, where that is not given."""
        until = self._clock() if as_of is None else as_of
        since = max(FIRST_NS, until - int(HALF_LIVES * half_life_hours * HOUR_NS))
        moods = []
        for symbol in symbols:  # one after the other, so that others' requests come between
            articles = await self._news.of_symbol(symbol, since, until, MOST_ARTICLES)
            moods.append(mood_of(articles, until, half_life_hours))
            await asyncio.sleep(0)
        return until, moods

    async def _chosen(self, name: str | None) -> Model | None:
        """Return the model asked for; None for the lexicon."""
        if name is None:
            return await self._models.newest_usable(ModelKind.SENTIMENT)
        if name == lexicon.NAME:
            return None
        try:
            found = await self._models.find(UUID(name))
        except ValueError:
            found = None
        if found is None or found.kind is not ModelKind.SENTIMENT:
            known = f"no model of texts; the lexicon is {lexicon.NAME}"
            raise Invalid(known, errors={"model": [known]})
        if not found.usable:
            raise Conflict(f"the model is not used: {found.reason}", code="model.not_usable")
        return found
