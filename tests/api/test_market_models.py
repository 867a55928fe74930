"""Trained models at work, as a client sees them: they judge while they beat their baselines, and no longer."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tornado.ioloop import IOLoop
from uuid_utils.compat import uuid7

from qsuite.domain.analytics.learning.features import FEATURES, features_of
from qsuite.domain.analytics.series import Candles
from qsuite.domain.backtests.record import Backtest
from qsuite.domain.errors import Invalid
from qsuite.domain.models import Model
from qsuite.domain.times import DAY_NS, format_rfc3339, parse_rfc3339
from qsuite.repos.backtests import BacktestsRepo
from qsuite.services.market_learner import opened
from qsuite.services.tasks.backtest import backtest
from tests.support.bars import new_symbol
from tests.support.client import ApiClient
from tests.support.here import Here
from tests.support.learnable import market
from tests.support.running_app import Api
from tests.support.training import QUICK, SmallWork, daily, store_bars, train
from tests.support.waiting import eventually

STRATEGIES, MODELS, GENERATE = "/api/v1/strategies/", "/api/v1/models/", "/api/v1/signals/generate/"


@pytest.fixture(scope="module")
def learned(api: Api, io_loop: IOLoop) -> Iterator[tuple[Model, Candles]]:
    """A usable model and what it learned from, judging in this process."""
    patched = pytest.MonkeyPatch()
    patched.setattr(api.services.signals._models, "_workers", Here())
    yield io_loop.run_sync(lambda: trained(api, 0.6))
    patched.undo()


async def trained(api: Api, edge: float, bars: int = 1_200, later: int = 0) -> tuple[Model, Candles]:
    """Store bars of a new symbol until yesterday and train a model on all but ``later`` ones."""
    symbol = new_symbol()
    ticker = await api.services.reference.ensure_ticker(symbol, {"name": symbol})
    candles = market(11, bars=bars, edge=edge)
    yesterday = time.time_ns() // DAY_NS * DAY_NS - DAY_NS
    candles = candles._replace(starts_ns=candles.starts_ns - candles.starts_ns[-1] + yesterday)
    await store_bars(api.database, ticker.id, daily(symbol, candles))
    end_ns = int(candles.starts_ns[-1]) + DAY_NS - later * DAY_NS
    return await train(api.database, [symbol], end=format_rfc3339(end_ns)), candles


async def refused(client: ApiClient, **changed: Any) -> tuple[int, str]:
    given = {"name": "mine", "risk_limit": "50000", "algorithm": "market_model"}
    answer = await client.post(STRATEGIES, given | changed)
    return answer.status, answer.json.get("code", "")


def symbol_of(model: Model) -> str:
    return str(model.parameters["symbols"][0])


async def test_a_strategy_goes_by_a_model_and_its_signal_names_it(api: Api, learned: tuple[Model, Candles]) -> None:
    model, candles = learned
    given = {
        "name": "by a model",
        "risk_limit": "50000",
        "algorithm": "market_model",
        "symbols": [symbol_of(model)],
        "parameters": {"model": str(model.id), "margin_percent": 1},
    }
    answer = await api.trader.post(STRATEGIES, given)
    assert answer.status == 201, answer
    answer = await api.trader.post(f"{STRATEGIES}{answer.json['id']}/run/")
    assert answer.status == 200, answer
    (signal,) = answer.json["results"]
    assert (signal["model"], signal["algorithm"]) == (str(model.id), "market_model")
    # The same from the whole series, which is what the model learned from.
    data = await api.services.models.file(model)
    features = features_of(candles)
    (chance,) = opened(data, model.sha256, model.parameters["scikit_learn"])(features[-1:])
    assert signal["features"]["probability_up"] == pytest.approx(chance, abs=1e-9)
    for name, value in zip(FEATURES, features[-1], strict=True):
        assert signal["features"][name] == pytest.approx(value, rel=1e-6)
    side, sure = ("BUY", chance) if chance > 0.5 else ("SELL", 1.0 - chance)
    assert abs(chance - 0.5) > 0.01, "a market that is known to be learned leaves no doubt here"
    assert (signal["signal"], signal["confidence"]) == (side, np.floor(100 * sure) / 100)


async def test_public_signals_come_of_the_newest_usable_model_of_each_symbol(
    api: Api, learned: tuple[Model, Candles]
) -> None:
    model, _ = learned
    other = await api.services.reference.ensure_ticker(new_symbol(), {"name": "no model"})
    asked = {"symbols": [other.symbol, symbol_of(model)], "algorithm": "market_model"}
    answer = await api.trader.post(GENERATE, asked)
    assert answer.status == 200, answer
    assert [each["model"] for each in answer.json["results"]] == [str(model.id)]
    assert [(each["symbol"], each["code"]) for each in answer.json["missed"]] == [(other.symbol, "model.unknown")]
    again = (await api.trader.post(GENERATE, asked)).json
    assert again["results"] == answer.json["results"], "one for each bar"


async def test_a_model_of_a_market_that_nothing_tells_is_kept_and_never_used(
    api: Api, learned: tuple[Model, Candles]
) -> None:
    model, _ = await trained(api, 0.0, bars=900)
    shown = (await api.viewer.get(f"{MODELS}{model.id}/")).json
    assert shown["usable"] is False
    assert shown["scores"]["auc"]["low"] < 0.5
    symbol = symbol_of(model)
    asked = {"symbols": [symbol], "parameters": {"model": str(model.id)}}
    assert await refused(api.trader, **asked) == (409, "model.not_usable")
    assert await refused(api.trader, symbols=[symbol]) == (422, "model.unknown")
    answer = await api.trader.post(GENERATE, {"symbols": [symbol], "algorithm": "market_model"})
    assert (answer.json["count"], answer.json["missed"][0]["code"]) == (0, "model.unknown")


async def test_a_strategy_stops_being_judged_when_its_model_trained_again_is_worse(
    api: Api, learned: tuple[Model, Candles]
) -> None:
    model, _ = learned
    data = await api.services.models.file(model)
    named = replace(model, id=uuid7(), name="again and again")
    await api.services.models.save(named, data)
    given = {
        "name": "by name",
        "risk_limit": "50000",
        "algorithm": "market_model",
        "symbols": [symbol_of(model)],
        "parameters": {"model": "again and again"},
    }
    address = f"{STRATEGIES}{(await api.trader.post(STRATEGIES, given)).json['id']}/"
    assert (await api.trader.post(f"{address}run/")).json["results"][0]["model"] == str(named.id)
    worse = replace(named, id=uuid7(), created_at=named.created_at + 10**9, usable=False, reason="it got worse")
    await api.services.models.save(worse, data)
    answer = await api.trader.post(f"{address}run/")
    assert (answer.status, answer.json["code"]) == (409, "model.not_usable")
    assert "it got worse" in answer.json["detail"]
    # What it goes by cannot be chosen again, but it can be switched off.
    answer = await api.trader.patch(address, {"parameters": given["parameters"]})
    assert (answer.status, answer.json["code"]) == (409, "model.not_usable")
    assert (await api.trader.patch(address, {"is_active": False})).status == 200


async def test_a_model_judges_only_what_it_was_tried_on(api: Api, learned: tuple[Model, Candles]) -> None:
    model, _ = learned
    by_it = {"parameters": {"model": model.name}}
    other = await api.services.reference.ensure_ticker(new_symbol(), {"name": "another"})
    assert await refused(api.trader, symbols=[other.symbol], **by_it) == (409, "model.other_symbol")
    assert await refused(api.trader, symbols=[symbol_of(model)], interval="1h", **by_it) == (
        409,
        "model.other_interval",
    )
    assert await refused(api.trader, symbols=[], parameters={"model": "nobody's"}) == (422, "model.unknown")
    assert await refused(api.trader, symbols=[], parameters={"model": str(uuid7())}) == (422, "model.unknown")
    assert await refused(api.trader, symbols=[], parameters={"model": 7}) == (422, "validation")
    assert await refused(api.trader, symbols=[], parameters={"margin_percent": 15.1}) == (422, "validation")
    old = replace(model, id=uuid7(), algorithm="boosted_trees_v0")
    await api.services.models.save(old, await api.services.models.file(model))
    assert await refused(api.trader, parameters={"model": str(old.id)}) == (409, "model.outdated")


async def test_a_backtest_by_a_model_runs_over_bars_that_it_does_not_know(api: Api) -> None:
    model, candles = await trained(api, 1.0, bars=1_000, later=150)
    knows_to = model.parameters["trained_to"]
    assert parse_rfc3339(knows_to) == candles.starts_ns[850]

    async def played(start: str) -> Backtest:
        plan = api.services.backtests.plan(
            {
                "strategy": "market_model",
                "symbols": [symbol_of(model)],
                "interval": "1d",
                "start": parse_rfc3339(start),
                "parameters": {"model": str(model.id), "quantity": 10, "allow_short": True},
            }
        )
        work = SmallWork(api.database)
        await backtest(work, plan.plain())
        return await BacktestsRepo(api.database).get(work.job)

    found = await played(knows_to)
    assert found.figures.total_trades > 5
    # Of 150 bars the fiftieth is the first with features, and what it advises trades at the next one's open.
    first = min(trade.entry_ts for trade in found.trades)
    assert first >= candles.starts_ns[850 + 50]
    with pytest.raises(Invalid) as known:
        await played("2020-01-01T00:00:00Z")
    assert known.value.code == "model.knows_the_bars"


async def test_a_model_is_trained_by_a_job_in_another_process(api: Api, learned: tuple[Model, Candles]) -> None:
    model, _ = learned
    asked = {"kind": "market", "symbols": [symbol_of(model)], **QUICK, "name": "by a job", "margin_percent": "1.5"}
    answer = await api.trader.post(MODELS, asked)
    assert answer.status == 202, answer
    address = answer.headers["Location"]

    async def ended() -> Any:
        job = (await api.trader.get(address)).json
        return job if job["state"] in ("done", "failed") else None

    job = await eventually(ended, timeout_s=100)
    assert job["state"] == "done", job
    again = (await api.trader.get(f"{MODELS}{job['result']['model']}/")).json
    assert (again["name"], again["created_by"]) == ("by a job", api.trader.user["id"])
    assert again["parameters"]["margin_percent"] == 1.5
    # Of the same bars and seed, so that it knows the same: only what is traded on differs.
    assert again["trained_on"]["sha256"] == model.trained_on.sha256
    assert again["scores"]["auc"]["value"] == model.scores["auc"].value
    assert again["usable"] is job["result"]["usable"] is True


async def test_what_cannot_be_trained_is_said_at_once(api: Api, learned: tuple[Model, Candles]) -> None:
    symbol = symbol_of(learned[0])

    async def wrong(**changed: Any) -> list[str]:
        answer = await api.trader.post(MODELS, {"kind": "market", "symbols": [symbol]} | changed)
        assert answer.status == 422, answer
        return list(answer.json["errors"])

    assert await wrong(symbols=["NOBODY"]) == ["symbols"]
    assert await wrong(symbols=[]) == ["symbols"]
    assert await wrong(horizon=0) == ["horizon"]
    assert await wrong(margin_percent=16) == ["margin_percent"]
    assert await wrong(kind="magic") == ["kind"]
    assert await wrong(start="2020-01-01T00:00:00Z", end="2020-01-01T00:00:00Z") == ["end"]


async def test_each_kind_of_model_takes_its_own_fields_and_who_may_train_it(api: Api) -> None:
    rows = [{"text": "Good", "label": 1}]
    for client, asked, status, fields in (
        (api.admin, {"kind": "sentiment", "rows": rows}, 422, ["name"]),
        (api.admin, {"kind": "sentiment", "name": "x", "rows": rows, "symbols": ["A"]}, 422, ["symbols"]),
        (api.trader, {"kind": "market"}, 422, ["symbols"]),
        (api.trader, {"kind": "market", "symbols": ["A"], "rows": rows}, 422, ["rows"]),
        (api.trader, {"kind": "sentiment", "name": "x", "rows": rows}, 403, []),
    ):
        answer = await client.post(MODELS, asked)
        assert (answer.status, list(answer.json.get("errors", {}))) == (status, fields), answer
