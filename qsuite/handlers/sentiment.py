"""Sentiment over HTTP: of texts, and of symbols by their news."""

from collections.abc import Mapping, Sequence
from typing import Any

from qsuite.domain.analytics.sentiment import Mood
from qsuite.domain.errors import Invalid
from qsuite.domain.roles import EVERY_ROLE
from qsuite.domain.throttling import ThrottleScope
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.news_schemas import SentimentInputSchema, SentimentSchema
from qsuite.handlers.operations import operation
from qsuite.services.news import show_judgement
from qsuite.services.strategies import require_tickers
from qsuite.services.turns import in_turns

HALF_LIFE_HOURS = 24.0


class SentimentHandler(ApiHandler):
    """What texts, or the news of symbols, say."""

    @operation(
        "Judge texts, or symbols by their stored news",
        roles=EVERY_ROLE,
        body=SentimentInputSchema(),
        returns={200: SentimentSchema()},
        raises=(409,),
        bulk=True,
        scope=ThrottleScope.ANALYTICS,
    )
    async def post(self) -> None:
        """Judge them."""
        asked = self.body
        _check(asked)
        if "texts" in asked:
            await self._texts(asked["texts"], asked.get("model"))
        else:
            await self._symbols(asked["symbols"], asked.get("as_of"), asked.get("half_life_hours", HALF_LIFE_HOURS))

    async def _texts(self, texts: Sequence[str], model: str | None) -> None:
        judged = await self.services.sentiment.judge(texts, model)
        shown = await in_turns(show_judgement, judged.judgements)
        results = [{"text": text, **each, "model": judged.model} for text, each in zip(texts, shown, strict=True)]
        self.answer({"count": len(results), "results": results})

    async def _symbols(self, symbols: Sequence[str], as_of: int | None, half_life_hours: float) -> None:
        require_tickers(self.services.reference, tuple(symbols))
        until, moods = await self.services.sentiment.moods(symbols, as_of, half_life_hours)
        results = [_show_mood(symbol, mood) for symbol, mood in zip(symbols, moods, strict=True)]
        self.answer(
            {
                "count": len(results),
                "as_of": format_rfc3339(until),
                "half_life_hours": half_life_hours,
                "results": results,
            }
        )


def _check(asked: Mapping[str, Any]) -> None:
    """Refuse neither texts nor symbols, both, and what belongs to the other."""
    texts = "texts" in asked
    if texts == ("symbols" in asked):
        raise Invalid("give either texts or symbols", errors={"texts": ["give either texts or symbols"]})
    foreign = asked.keys() & ({"half_life_hours", "as_of"} if texts else {"model"})
    if foreign:
        reason = f"does not belong to {'texts' if texts else 'symbols'}"
        raise Invalid("some fields do not go together", errors={name: [reason] for name in sorted(foreign)})


def _show_mood(symbol: str, mood: Mood) -> Mapping[str, Any]:
    judged = mood.judgement
    shown = {"label": None, "score": None, "confidence": None} if judged is None else show_judgement(judged)
    newest = None if mood.newest is None else format_rfc3339(mood.newest)
    return {"symbol": symbol, **shown, "articles": mood.articles, "newest": newest}


routes = [(r"/api/v1/sentiment/?", SentimentHandler)]
