"""News and sentiment as a client sees them: judged when stored, stored once, never looked at ahead of their time."""

import uuid
from typing import Any

import pytest

from qsuite.domain.models import Model
from qsuite.domain.times import parse_rfc3339
from qsuite.services.sentiment import service
from qsuite.services.sentiment.text_models import write_model
from tests.support.bars import new_symbol
from tests.support.client import ApiClient
from tests.support.models import a_model
from tests.support.running_app import Api
from tests.support.turns import TurnGauge
from tests.unit.test_sentiment import a_text_model

NEWS = "/api/v1/news/"
NOON = parse_rfc3339("2026-11-20T12:00:00Z")
SENTIMENT = "/api/v1/sentiment/"


def article(symbol: str | None = None, **changed: Any) -> dict[str, Any]:
    found = {"headline": "Profit rose", "source": f"wire-{uuid.uuid4()}", "published_at": "2026-11-20T12:00:00Z"}
    return found | ({} if symbol is None else {"symbols": [symbol]}) | changed


async def a_ticker(api: Api, name: str = "") -> str:
    symbol = new_symbol()
    await api.services.reference.ensure_ticker(symbol, {"name": name or symbol})
    return symbol


async def judged(client: ApiClient, texts: list[str], **more: Any) -> list[Any]:
    answer = await client.post(SENTIMENT, {"texts": texts} | more)
    assert answer.status == 200, answer
    return list(answer.json["results"])


async def use(api: Api, temperature: float = 2.0, **changed: Any) -> Model:
    data = write_model(a_text_model(temperature))
    model = a_model(data, **changed)
    await api.services.models.save(model, data)
    return model


# -- texts ------------------------------------------------------------------------------------------------------------


async def test_texts_are_judged_by_the_lexicon_where_nothing_was_trained(api: Api) -> None:
    texts = ["Shares surge after record profit", "Not a good quarter", "The meeting is in June"]
    found = await judged(api.viewer, texts)
    assert [(each["text"], each["label"]) for each in found] == list(
        zip(texts, ("positive", "negative", "neutral"), strict=True)
    )
    assert {each["model"] for each in found} == {"lexicon_v1"}
    assert all(-1 <= each["score"] <= 1 and 0 <= each["confidence"] <= 1 for each in found)


async def test_the_newest_usable_model_is_used_until_it_goes(api: Api) -> None:
    model, worse = await use(api), await use(api, usable=False, reason="it is not better", created_at=2 * 10**18)
    try:
        (found,) = await judged(api.trader, ["good"])
        # By hand: the idf and length cancel; (-1, 0.5, 2) and a compound of 0.4404, over 2:
        # e^1.2202 / (e^-0.7202 + e^0.25 + e^1.2202).
        assert (found["label"], found["model"]) == ("positive", str(model.id))
        assert found["confidence"] == pytest.approx(0.65675, abs=1e-5)
        assert (await judged(api.trader, ["good"], model=str(model.id))) == [found]
        (plain,) = await judged(api.trader, ["good"], model="lexicon_v1")
        assert plain["model"] == "lexicon_v1"
        answer = await api.trader.post(SENTIMENT, {"texts": ["good"], "model": str(worse.id)})
        assert (answer.status, answer.code) == (409, "model.not_usable")
        stored = await api.admin.post(NEWS, article())
        assert stored.json["results"][0]["sentiment"]["model"] == str(model.id)
    finally:
        await api.admin.delete(f"/api/v1/models/{model.id}/")
    assert (await judged(api.trader, ["good"]))[0]["model"] == "lexicon_v1"


async def test_a_model_whose_file_was_changed_is_not_used(api: Api) -> None:
    model = await use(api, 3.0, created_at=3 * 10**18)
    api.database.sync.model_files.update_one({"file": model.id}, {"$set": {"data": b"{}"}})
    try:
        answer = await api.viewer.post(SENTIMENT, {"texts": ["bad"], "model": str(model.id)})
        assert (answer.status, answer.code) == (503, "model.damaged")
    finally:
        await api.admin.delete(f"/api/v1/models/{model.id}/")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "texts"),
        ({"texts": ["a"], "symbols": ["IBM"]}, "texts"),
        ({"texts": []}, "texts"),
        ({"texts": ["a"] * 1_001}, "texts"),
        ({"texts": ["a" * 4_001]}, "texts"),
        ({"texts": [""]}, "texts"),
        ({"texts": ["a"], "half_life_hours": 3}, "half_life_hours"),
        ({"texts": ["a"], "model": "oracle"}, "model"),
        ({"texts": ["a"], "model": str(uuid.uuid4())}, "model"),
        ({"symbols": ["NOSUCH"]}, "symbols"),
        ({"symbols": ["A", "A"]}, "symbols"),
        ({"symbols": ["A"], "half_life_hours": 0}, "half_life_hours"),
        ({"symbols": ["A"], "model": "lexicon_v1"}, "model"),
        ({"symbols": ["A"], "as_of": "yesterday"}, "as_of"),
    ],
)
async def test_what_cannot_be_judged_is_refused_by_name(api: Api, wrong: dict[str, Any], field: str) -> None:
    answer = await api.viewer.post(SENTIMENT, wrong)
    assert (answer.status, answer.code) == (422, "validation")
    assert any(name.split(".")[0] == field for name in answer.json["errors"]), answer


# -- news -------------------------------------------------------------------------------------------------------------


async def test_an_article_is_stored_with_its_sentiment_and_shown_again_when_it_is_sent_again(api: Api) -> None:
    sent = article("IBM", headline="IBM shares surge", summary="More below.", url="https://news.example/1")
    first = await api.admin.post(NEWS, sent)
    assert (first.status, first.json["count"], first.json["created"]) == (201, 1, 1)
    (stored,) = first.json["results"]
    assert stored["sentiment"]["label"] == "positive"
    assert {name: stored[name] for name in sent} == sent | {"published_at": "2026-11-20T12:00:00.000Z"}
    calls = api.services.workers.calls
    again = await api.admin.post(NEWS, [sent, sent | {"headline": "The same address, another headline"}])
    assert (again.status, again.json["created"], again.json["results"]) == (200, 0, [stored, stored])
    assert api.services.workers.calls == calls  # what is known is not judged again
    assert (await api.viewer.get(f"{NEWS}{stored['id']}/")).json == stored
    assert (await api.viewer.get(NEWS, query={"source": sent["source"]})).json["count"] == 1


async def test_articles_without_address_are_the_same_by_headline_source_and_time(api: Api) -> None:
    sent = article()
    others = [sent, sent | {"headline": "Profit fell"}, sent | {"published_at": "2026-11-20T12:00:00.001Z"}, sent]
    answer = await api.admin.post(NEWS, {"articles": others})
    assert (answer.status, answer.json["count"], answer.json["created"]) == (201, 4, 3)
    assert answer.json["results"][0] == answer.json["results"][3]


async def test_symbols_are_found_where_they_are_not_given(api: Api) -> None:
    symbol = await a_ticker(api, "Quarxbolt Industries Inc.")
    answer = await api.admin.post(
        NEWS, [article(headline=f"${symbol} up"), article(summary="Quarxbolt Industries fell")]
    )
    assert [each["symbols"] for each in answer.json["results"]] == [[symbol], [symbol]]
    none = await api.admin.post(NEWS, article(headline="Quarxbolt Industries again", symbols=[]))
    assert none.json["results"][0]["symbols"] == []


async def test_one_wrong_article_is_named_and_none_is_stored(api: Api) -> None:
    good = article()
    answer = await api.admin.post(NEWS, [good, article(published_at="2026-11-20T12:00:00"), 7])
    assert (answer.status, list(answer.json["errors"])) == (422, ["articles.1.published_at"])
    assert (await api.viewer.get(NEWS, query={"source": good["source"]})).json["count"] == 0
    for wrong in ([], [None], [article(headline=" ")], [article(source="")], [article(symbols=["no symbol"])], {}):
        assert (await api.admin.post(NEWS, wrong)).status == 422


async def test_news_are_listed_by_symbol_time_label_and_words(api: Api) -> None:
    symbol, source = new_symbol(), f"wire-{uuid.uuid4()}"
    sent = [
        article(symbol, source=source, headline=headline, published_at=f"2026-11-2{day}T00:00:00Z")
        for day, headline in enumerate(("Sales surge", "Sales plunge", "Meeting in June"))
    ]
    await api.admin.post(NEWS, sent)

    async def headlines(**query: str) -> list[str]:
        answer = await api.viewer.get(NEWS, query={"source": source} | query)
        assert answer.status == 200, answer
        return [each["headline"] for each in answer.json["results"]]

    assert await headlines() == ["Meeting in June", "Sales plunge", "Sales surge"]
    assert await headlines(symbol=symbol, ordering="published_at") == ["Sales surge", "Sales plunge", "Meeting in June"]
    assert await headlines(label="negative") == ["Sales plunge"]
    assert await headlines(search="sales", published_at__gte="2026-11-21T00:00:00Z") == ["Sales plunge"]
    assert await headlines(symbol="OTHER") == []
    page = (await api.viewer.get(NEWS, query={"source": source, "cursor": "", "page_size": "2"})).json
    rest = (await api.viewer.get(page["next"])).json
    assert [each["headline"] for each in page["results"] + rest["results"]] == await headlines()


async def test_a_deleted_article_is_gone(api: Api) -> None:
    stored = (await api.admin.post(NEWS, article())).json["results"][0]
    assert (await api.admin.delete(f"{NEWS}{stored['id']}/")).status == 204
    assert (await api.admin.delete(f"{NEWS}{stored['id']}/")).status == 404
    assert (await api.viewer.get(f"{NEWS}{stored['id']}/")).status == 404


async def test_a_thousand_texts_and_articles_keep_nobody_from_the_event_loop(api: Api) -> None:
    headlines = [f"Headline {number} of a thousand that rise and do not fall" for number in range(1_000)]
    sent = [
        {"headline": each, "summary": "", "source": "many", "url": None, "published_at": NOON, "symbols": None}
        for each in headlines
    ]
    await api.services.sentiment.judge(headlines[:1])  # there is a worker
    gauge = TurnGauge()
    with gauge:
        judged = await api.services.sentiment.judge(headlines)
    assert len(judged.judgements) == 1_000
    assert gauge.longest_s < 0.010, gauge.longest
    with gauge:
        _, created = await api.services.news.add(sent)
    assert created == 1_000
    assert gauge.longest_s < 0.010, gauge.longest


# -- symbols ----------------------------------------------------------------------------------------------------------


async def test_the_news_of_a_symbol_fade_and_later_ones_are_not_known_yet(api: Api) -> None:
    symbol, quiet = await a_ticker(api), await a_ticker(api)
    days = {"Shares surge": 19, "Shares plunge": 20, "Shares soar and soar": 22}
    sent = [article(symbol, headline=text, published_at=f"2026-11-{day}T00:00:00Z") for text, day in days.items()]
    up, down, _ = [each["sentiment"] for each in (await api.admin.post(NEWS, sent)).json["results"]]
    asked = {"symbols": [symbol, quiet], "half_life_hours": 12, "as_of": "2026-11-21T00:00:00Z"}
    answer = await api.viewer.post(SENTIMENT, asked)
    assert (answer.status, answer.json["as_of"], answer.json["half_life_hours"]) == (
        200,
        "2026-11-21T00:00:00.000Z",
        12,
    )
    found, nothing = answer.json["results"]
    # Two days and one day old: two half lives apart.
    weights = up["confidence"] / 16, down["confidence"] / 4
    score = (weights[0] * up["score"] + weights[1] * down["score"]) / sum(weights)
    assert found["score"] == pytest.approx(score)
    assert (found["label"], found["articles"]) == ("negative", 2)
    assert found["confidence"] == pytest.approx(weights[1] / sum(weights))
    assert found["newest"] == "2026-11-20T00:00:00.000Z"
    assert nothing == {"symbol": quiet, "label": None, "score": None, "confidence": None, "articles": 0, "newest": None}
    now = (await api.viewer.post(SENTIMENT, {"symbols": [symbol]})).json
    assert (now["half_life_hours"], now["results"][0]["symbol"]) == (24, symbol)


async def test_of_many_news_the_newest_known_by_then_count(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_ARTICLES", 2)
    symbol = await a_ticker(api)
    sent = [article(symbol, published_at=f"2026-11-{day}T00:00:00Z") for day in (17, 18, 19, 20)]
    await api.admin.post(NEWS, sent)
    answer = await api.viewer.post(SENTIMENT, {"symbols": [symbol], "as_of": "2026-11-19T00:00:00Z"})
    (found,) = answer.json["results"]
    assert (found["articles"], found["newest"]) == (2, "2026-11-19T00:00:00.000Z")
    earlier = await api.viewer.post(SENTIMENT, {"symbols": [symbol], "as_of": "2026-11-16T23:59:59.999999999Z"})
    assert earlier.json["results"][0]["articles"] == 0
