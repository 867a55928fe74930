"""What texts say: judged by the models in the store, and kept with the news."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from qsuite.composition.market import Market
from qsuite.repos.database import Database
from qsuite.repos.news import NewsRepo
from qsuite.services.models import ModelStore
from qsuite.services.news import NewsService
from qsuite.services.sentiment.service import SentimentService
from qsuite.services.workers import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentiment:
    """What judges texts, and what keeps news."""

    service: SentimentService
    news: NewsService


def make_sentiment(
    *,
    database: Database,
    models: ModelStore,
    market: Market,
    workers: WorkerPool,
    new_id: Callable[[], UUID],
    clock: Callable[[], int],
) -> Sentiment:
    """Make what reads texts."""
    repo = NewsRepo(database)
    service = SentimentService(models=models, news=repo, workers=workers, clock=clock)
    news = NewsService(news=repo, sentiment=service, reference=market.reference, new_id=new_id, clock=clock)
    return Sentiment(service=service, news=news)
