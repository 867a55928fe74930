"""News in storage: one of each article whoever sends it, on a real database and in memory."""

import asyncio

import pytest
from uuid_utils.compat import uuid7

from qsuite.domain.analytics.sentiment import Judgement, Label
from qsuite.domain.errors import Invalid, NotFound
from qsuite.domain.models import ModelKind
from qsuite.domain.news import News
from qsuite.domain.times import NS_PER_S
from qsuite.repos import news as news_module
from qsuite.repos.database import Database
from qsuite.repos.models import ModelsRepo
from qsuite.repos.news import NewsRepo
from qsuite.repos.schema import migrate

NOW = 1_700_000_000 * NS_PER_S


def a_piece(symbol: str = "IBM", *, at: int = NOW, headline: str = "Profit rose", score: float = 0.5) -> News:
    return News(
        id=uuid7(),
        symbols=(symbol,),
        headline=headline,
        summary="",
        source="wire",
        url=None,
        published_at=at,
        sentiment=Judgement(Label.POSITIVE, score, 0.5),
        model="lexicon_v1",
        created_at=NOW,
    )


@pytest.fixture(params=["database", "memory_database"])
def anywhere(request: pytest.FixtureRequest) -> Database:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Database)
    return found


async def test_an_article_comes_back_as_it_was(anywhere: Database) -> None:
    await migrate(anywhere, (news_module.SPEC,))
    repo, news = NewsRepo(anywhere), a_piece()
    await repo.add_new([news])
    assert await repo.get(news.id) == news
    assert await repo.known([news.digest, "other"]) == {news.digest: news}
    await repo.remove(news.id)
    with pytest.raises(NotFound):
        await repo.remove(news.id)


async def test_the_same_article_sent_by_two_at_once_is_stored_once_beside_the_others(anywhere: Database) -> None:
    await migrate(anywhere, (news_module.SPEC,))
    repo = NewsRepo(anywhere)
    both = [[a_piece(), a_piece(headline=f"Only here {number}")] for number in range(2)]
    await asyncio.gather(*(repo.add_new(articles) for articles in both))
    stored = await repo.known([news.digest for articles in both for news in articles])
    assert len(stored) == 3
    assert stored[both[0][0].digest].id in {articles[0].id for articles in both}


async def test_a_symbols_articles_are_those_of_a_span_newest_first(anywhere: Database) -> None:
    repo = NewsRepo(anywhere)
    times = [NOW + second * NS_PER_S for second in range(5)]
    await repo.add_new([a_piece(at=at) for at in times] + [a_piece("AAPL", at=times[2])])
    found = await repo.of_symbol("IBM", times[1], times[3], limit=2)
    assert [article.published_at for article in found] == [times[3], times[2]]
    assert len(await repo.of_symbol("IBM", times[1], times[3], limit=10)) == 3


async def test_where_nothing_was_trained_there_is_no_usable_model(anywhere: Database) -> None:
    assert await ModelsRepo(anywhere).newest_usable(ModelKind.SENTIMENT) is None


async def test_an_article_that_does_not_fit_is_refused_and_said_so(database: Database) -> None:
    await migrate(database, (news_module.SPEC,))
    with pytest.raises(Invalid):
        await NewsRepo(database).add_new([a_piece(score=2.0)])
