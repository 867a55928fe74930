"""News as they come in: judged, given their symbols, and stored once however often they are sent.

articles ──known digests──> the new ones ──judge──> stored ──> shown, with those there before
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from qsuite.domain.analytics.sentiment import Judgement
from qsuite.domain.listing import Listing, Page
from qsuite.domain.news import News, digest_of
from qsuite.domain.times import floor_ms, format_rfc3339
from qsuite.repos.news import NewsRepo
from qsuite.services.news_symbols import SymbolFinder
from qsuite.services.reference import ReferenceService
from qsuite.services.sentiment.service import SentimentService
from qsuite.services.turns import IN_A_TURN


class NewsService:
    """Keep news."""

    def __init__(
        self,
        *,
        news: NewsRepo,
        sentiment: SentimentService,
        reference: ReferenceService,
        new_id: Callable[[], UUID],
        clock: Callable[[], int],
    ) -> None:
        self._news = news
        self._sentiment = sentiment
        self._reference = reference
        self._new_id = new_id
        self._clock = clock
        self._finder = SymbolFinder(())
        self._finder_of = -1

    async def add(self, articles: Sequence[Mapping[str, Any]]) -> tuple[list[News], int]:
        """Store articles; return all as they are stored, in the order given, and how many are new.

        Times are cut to the millisecond, which is what is kept.
        """
        stored: list[News] = []
        created = 0
        for start in range(0, len(articles), IN_A_TURN):  # few enough at a time to keep nobody from the event loop
            some, fresh = await self._add_some(articles[start : start + IN_A_TURN])
            stored += some
            created += fresh
        return stored, created

    async def _add_some(self, articles: Sequence[Mapping[str, Any]]) -> tuple[list[News], int]:
        given = [{**each, "published_at": floor_ms(each["published_at"])} for each in articles]
        digests = [digest_of(each["source"], each["url"] or each["headline"], each["published_at"]) for each in given]
        stored = await self._news.known(digests)
        fresh = {digest: each for digest, each in zip(digests, given, strict=True) if digest not in stored}
        created = 0
        if fresh:
            made = await self._judged(list(fresh.values()))
            await self._news.add_new(made)
            stored |= await self._news.known(list(fresh))  # another request may have been first
            created = sum(stored[news.digest].id == news.id for news in made)
        return [stored[digest] for digest in digests], created

    async def page(self, listing: Listing) -> Page[News]:
        """Return one page of news."""
        return await self._news.page(listing)

    async def get(self, identity: UUID) -> News:
        """Return an article. NotFound if there is none."""
        return await self._news.get(identity)

    async def delete(self, identity: UUID) -> None:
        """Remove an article. NotFound if there is none."""
        await self._news.remove(identity)

    async def _judged(self, articles: Sequence[Mapping[str, Any]]) -> list[News]:
        judged = await self._sentiment.judge([each["headline"] for each in articles])
        finder = await self._symbols()
        now = floor_ms(self._clock())
        return [
            self._article(each, judgement, judged.model, finder, now)
            for each, judgement in zip(articles, judged.judgements, strict=True)
        ]

    def _article(
        self, given: Mapping[str, Any], judgement: Judgement, model: str, finder: SymbolFinder, now: int
    ) -> News:
        symbols = given["symbols"]
        if symbols is None:
            symbols = finder.find(f"{given['headline']}\n{given['summary']}")
        return News(
            id=self._new_id(),
            symbols=tuple(symbols),
            headline=given["headline"],
            summary=given["summary"],
            source=given["source"],
            url=given["url"],
            published_at=given["published_at"],
            sentiment=judgement,
            model=model,
            created_at=now,
        )

    async def _symbols(self) -> SymbolFinder:
        """Return what knows today's tickers, made anew in a thread when they changed."""
        revision = self._reference.revision
        if revision != self._finder_of:
            self._finder = await asyncio.to_thread(SymbolFinder, self._reference.tickers())
            self._finder_of = revision
        return self._finder


def show_news(news: News) -> dict[str, Any]:
    """Show an article. Scores are statistics, so plain numbers."""
    return {
        "id": str(news.id),
        "symbols": list(news.symbols),
        "headline": news.headline,
        "summary": news.summary,
        "source": news.source,
        "url": news.url,
        "published_at": format_rfc3339(news.published_at),
        "sentiment": {**show_judgement(news.sentiment), "model": news.model},
        "created_at": format_rfc3339(news.created_at),
    }


def show_judgement(judgement: Judgement) -> dict[str, Any]:
    """Show a judgement."""
    return {"label": judgement.label.value, "score": judgement.score, "confidence": judgement.confidence}
