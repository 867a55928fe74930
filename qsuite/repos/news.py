"""News with their sentiment.

{ _id: UUID("0199…"), symbols: ["AAPL"], headline: "Apple beats forecasts", summary: "", source: "wire",
  url: "https://news.example/1", published_at: ISODate("2026-11-20T13:00:00.000Z"),
  sentiment: { label: "positive", score: 0.51, confidence: 0.51, model: "lexicon_v1" }, digest: "77b0…",
  created_at: ISODate("2026-11-20T13:00:02.000Z") }

``digest`` is of source, address (or headline) and time, and unique: the same article sent again is the same document.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pymongo import IndexModel
from pymongo.errors import BulkWriteError

from qsuite.domain.analytics.sentiment import Article, Judgement, Label
from qsuite.domain.errors import NotFound
from qsuite.domain.news import News
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.documents import DocumentRepo
from qsuite.repos.listing import instant, plain
from qsuite.repos.schema import CollectionSpec, schema

NAME = "news"
DUPLICATE = 11000
WHAT_COUNTS: Document = {"_id": 0, "published_at": 1, "sentiment": 1}

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id symbols headline source published_at sentiment digest created_at",
        {
            "_id": {"bsonType": "binData"},
            "symbols": {"bsonType": "array", "items": {"bsonType": "string"}},
            "headline": {"bsonType": "string", "minLength": 1},
            "summary": {"bsonType": "string"},
            "source": {"bsonType": "string"},
            "url": {"bsonType": ["string", "null"]},
            "published_at": {"bsonType": "date"},
            "sentiment": schema(
                "label score confidence model",
                {
                    "label": {"enum": [label.value for label in Label]},
                    "score": {"bsonType": "double", "minimum": -1, "maximum": 1},
                    "confidence": {"bsonType": "double", "minimum": 0, "maximum": 1},
                    "model": {"bsonType": "string"},
                },
            ),
            "digest": {"bsonType": "string"},
            "created_at": {"bsonType": "date"},
        },
    ),
    (
        IndexModel([("digest", 1)], name="one_of_an_article", unique=True),
        IndexModel([("symbols", 1), ("published_at", -1), ("_id", -1)], name="of_a_symbol"),
        IndexModel([("published_at", -1), ("_id", -1)], name="newest"),
    ),
)

FIELDS = {
    "id": plain("_id"),
    "symbol": plain("symbols"),
    "source": plain("source"),
    "label": plain("sentiment.label"),
    "published_at": instant("published_at"),
    "created_at": instant("created_at"),
}


class NewsRepo(DocumentRepo[News]):
    """Keep news; an article never changes."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            NAME,
            "news",
            to_document=to_document,
            to_domain=to_domain,
            fields=FIELDS,
            search_fields=("headline", "summary"),
        )

    async def known(self, digests: Sequence[str]) -> dict[str, News]:
        """Return the stored articles of these digests, by digest."""
        found = await self.find_many({"digest": {"$in": list(digests)}})
        return {news.digest: news for news in found}

    async def add_new(self, articles: Sequence[News]) -> None:
        """Store those of the articles whose digest nobody has stored meanwhile."""
        with translated(self.what):
            try:
                await self.collection.insert_many([to_document(news) for news in articles], ordered=False)
            except BulkWriteError as error:
                if any(each["code"] != DUPLICATE for each in error.details["writeErrors"]):
                    raise

    async def of_symbol(self, symbol: str, since: int, until: int, limit: int) -> list[Article]:
        """Return what counts of a symbol's newest articles from ``since`` up to and with ``until``, newest first."""
        span = {"$gte": ns_to_datetime(since), "$lte": ns_to_datetime(until)}
        with translated(self.what):
            found = self.collection.find({"symbols": symbol, "published_at": span}, WHAT_COUNTS)
            documents = await found.sort([("published_at", -1), ("_id", -1)]).limit(limit).to_list(limit)
        return [Article(datetime_to_ns(each["published_at"]), _judgement(each["sentiment"])) for each in documents]

    async def remove(self, identity: UUID) -> None:
        """Remove one. NotFound if there is none."""
        with translated(self.what):
            result = await self.collection.delete_one({"_id": identity})
        if not result.deleted_count:
            raise NotFound(f"no news {identity}")


def to_document(news: News) -> Document:
    """Write an article as it is stored."""
    judged = news.sentiment
    return {
        "_id": news.id,
        "symbols": list(news.symbols),
        "headline": news.headline,
        "summary": news.summary,
        "source": news.source,
        "url": news.url,
        "published_at": ns_to_datetime(news.published_at),
        "sentiment": {
            "label": judged.label.value,
            "score": float(judged.score),
            "confidence": float(judged.confidence),
            "model": news.model,
        },
        "digest": news.digest,
        "created_at": ns_to_datetime(news.created_at),
    }


def to_domain(document: dict[str, Any]) -> News:
    """Read a stored article."""
    return News(
        id=document["_id"],
        symbols=tuple(document["symbols"]),
        headline=document["headline"],
        summary=document["summary"],
        source=document["source"],
        url=document["url"],
        published_at=datetime_to_ns(document["published_at"]),
        sentiment=_judgement(document["sentiment"]),
        model=document["sentiment"]["model"],
        created_at=datetime_to_ns(document["created_at"]),
    )


def _judgement(stored: Document) -> Judgement:
    return Judgement(Label(stored["label"]), stored["score"], stored["confidence"])
