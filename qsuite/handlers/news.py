"""News over HTTP: taken in by whoever may set prices, read by everybody."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields

from qsuite.domain.analytics.sentiment import Label
from qsuite.domain.errors import Invalid
from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.auth import uuid_of
from qsuite.handlers.base import ApiHandler, load
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.news_schemas import ArticleInputSchema, NewsInputSchema, NewsSchema, StoredNewsSchema
from qsuite.handlers.operations import operation
from qsuite.services.news import show_news
from qsuite.services.turns import in_turns

ABSENT = "no such news"
UNCHANGING = 1
"""The version of what never changes."""

NEWS = ListingSpec(
    filters={
        "symbol": (fields.String(), EQUALITY),
        "source": (fields.String(), EQUALITY),
        "label": (fields.Enum(Label, by_value=fields.String), EQUALITY),
        "published_at": (InstantField(), COMPARISONS),
        "created_at": (InstantField(), COMPARISONS),
    },
    search=True,
    orderings=("published_at", "created_at"),
    default_order=("-published_at",),
    cursor=True,
)

_ARTICLE = ArticleInputSchema()


class NewsListHandler(ApiHandler):
    """All news."""

    @operation("List news, newest first", roles=EVERY_ROLE, listing=NEWS, returns={200: NewsSchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.news.page(self.listing())
        self.answer_page(page, [show_news(news) for news in page.items])

    @operation(
        "Store news with their sentiment; what is there already is shown again",
        roles=ADMINS,
        body=NewsInputSchema(),
        returns={200: StoredNewsSchema(), 201: StoredNewsSchema()},
        bulk=True,
        scope=ThrottleScope.MARKET_DATA,
    )
    async def post(self) -> None:
        """Store them: all, or none where one is wrong."""
        articles = await in_turns(_read, list(enumerate(self.body["articles"])))
        stored, created = await self.services.news.add(articles)
        shown = await in_turns(show_news, stored)
        self.answer({"count": len(shown), "created": created, "results": shown}, 201 if created else 200)


def _read(numbered: tuple[int, Any]) -> Mapping[str, Any]:
    """Read one article. Invalid names it by its place."""
    place, raw = numbered
    try:
        loaded: Mapping[str, Any] = load(_ARTICLE, raw)
    except Invalid as error:
        errors = {f"articles.{place}.{name}": messages for name, messages in error.errors.items()}
        raise Invalid(error.detail, errors=errors) from None
    return loaded


class NewsHandler(ApiHandler):
    """One article."""

    @operation("Show an article", roles=EVERY_ROLE, returns={200: NewsSchema()})
    async def get(self, news_id: str) -> None:
        """Show it."""
        news = await self.services.news.get(uuid_of(news_id, ABSENT))
        self.answer_resource(show_news(news), UNCHANGING)

    @operation("Delete an article", roles=ADMINS, returns={204: None})
    async def delete(self, news_id: str) -> None:
        """Delete it."""
        await self.services.news.delete(uuid_of(news_id, ABSENT))
        self.answer_nothing()


routes = [
    (r"/api/v1/news/?", NewsListHandler),
    (r"/api/v1/news/([^/]+)/?", NewsHandler),
]
