"""Training a model of the market from stored bars: what is kept of it, whatever it is worth."""

import hashlib
import uuid
from pathlib import Path

import numpy as np
import pytest

from qsuite.composition.models import make_models
from qsuite.domain.adjusted import adjusted
from qsuite.domain.analytics.algorithms import ALGORITHMS, with_defaults
from qsuite.domain.analytics.learning.features import FEATURES, features_of
from qsuite.domain.analytics.learning.rows import rows_of
from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.errors import Invalid, Unavailable
from qsuite.domain.models import ModelKind
from qsuite.domain.times import parse_rfc3339
from qsuite.repos.database import Database
from qsuite.services.bound_algorithms import algorithm_for
from qsuite.services.indicators import candles_of
from qsuite.services.market_learner import TRUSTED, Recipe, chances, fit, learner_version, opened
from qsuite.services.model_files import dump, load
from qsuite.services.tasks.catalogue import TASKS
from qsuite.services.tasks.train_market_model import KIND
from tests.support.learnable import market
from tests.support.training import QUICK, SmallWork, daily, real_bars, store_bars, train


async def learnable(database: Database, edge: float = 0.6, bars: int = 1_200) -> None:
    await store_bars(database, uuid.uuid4(), daily("A", market(11, bars=bars, edge=edge)))


async def test_a_model_that_beats_its_baselines_is_kept_with_all_it_was_judged_by(database: Database) -> None:
    await learnable(database)
    model = await train(database, ["A"], horizon=1)
    assert (model.kind, model.algorithm, model.name) == (ModelKind.MARKET, "boosted_trees_v1", "A 1d")
    assert model.usable
    assert "beats both baselines" in model.reason
    assert set(model.scores) == {"auc", "brier", "hit_rate", "net_return_bps", "turnover"}
    for name in ("majority", "yesterday_sign"):
        assert set(model.baselines[name]) == {*model.scores, "brier_worse_by"}
        better = model.baselines[name]["brier_worse_by"]
        assert better.value == pytest.approx(model.baselines[name]["brier"].value - model.scores["brier"].value)
        assert better.low is not None
        assert better.low > 0.0
    assert model.trained_on.description == "A: 1d bars from 1970-01-01T00:00:00.000Z to 1973-04-15T00:00:00.000Z"
    # The first features are at the 50th bar, the last outcome is that of the third bar from the end.
    assert model.trained_on.rows == 1_200 - 49 - 2
    assert model.parameters["trained_to"] == "1973-04-15T00:00:00.000Z"
    assert model.parameters["features"] == list(FEATURES)
    assert {name: model.parameters[name] for name in QUICK} == QUICK
    data = await make_models(database).file(model)
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (model.sha256, model.size_bytes)


async def test_a_job_that_runs_twice_trains_once_and_tells_how_far_it_is(database: Database) -> None:
    await learnable(database, bars=900)
    work = SmallWork(database)
    asked = {"symbols": ["A"], "interval": "1d", **QUICK}
    once = await TASKS[KIND](work, asked)
    assert work.told == sorted(work.told)
    assert work.told[-1] == pytest.approx(0.9)
    assert len(work.told) > QUICK["folds"]
    work.told.clear()
    assert await TASKS[KIND](work, asked) == once
    assert work.told == []


async def test_the_same_bars_and_seed_give_the_same_figures_and_chances(database: Database) -> None:
    await learnable(database, edge=0.0, bars=900)
    store = make_models(database)
    one, two = [await train(database, ["A"]) for _ in range(2)]
    assert (one.scores, one.baselines, one.reason) == (two.scores, two.baselines, two.reason)
    assert one.trained_on == two.trained_on
    features = rows_of({"A": market(12, bars=200)}, 1).rows.features
    told = [
        opened(await store.file(each), each.sha256, each.parameters["scikit_learn"])(features) for each in (one, two)
    ]
    assert np.array_equal(*told)


async def test_figures_of_real_prices_are_kept_whatever_they_are(database: Database, shared_data: Path) -> None:
    bars = real_bars(shared_data, "IBM")
    await store_bars(database, uuid.uuid4(), bars)
    model = await train(database, ["IBM"])
    # Thirteen years of one share tell nothing that is sure by this: so it says, and it is kept all the same.
    assert not model.usable
    assert "majority" in model.reason
    assert model.trained_on.rows == len(bars) - 49 - 2
    assert 0.45 < model.scores["auc"].value < 0.55
    assert model.scores["auc"].low is not None
    assert model.scores["auc"].low < 0.5
    assert (await make_models(database).file(model))[:2] == b"PK"


def test_a_stored_classifier_foretells_as_it_did_bit_for_bit_and_a_tampered_one_nothing() -> None:
    rows = rows_of({"A": market(3, bars=500)}, horizon=2).rows
    classifier = fit(rows, Recipe(folds=2, embargo=1, seed=3))
    data = dump(classifier)
    digest = hashlib.sha256(data).hexdigest()
    assert np.array_equal(opened(data, digest, learner_version())(rows.features), chances(classifier, rows.features))
    changed = data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]
    with pytest.raises(Unavailable) as damaged:
        opened(changed, digest, learner_version())
    assert damaged.value.code == "model.damaged"
    with pytest.raises(Unavailable) as other:
        opened(data, digest, "0.1")
    assert other.value.code == "model.other_version"
    with pytest.raises(Unavailable) as untrusted:
        load(data, digest, TRUSTED - {"sklearn.calibration.CalibratedClassifierCV"})
    assert untrusted.value.code == "model.untrusted"


async def test_bars_that_are_not_there_or_too_few_are_refused_by_name(database: Database) -> None:
    with pytest.raises(Invalid) as none:
        await train(database, ["A"])
    assert none.value.code == "model.no_bars"
    await learnable(database, bars=100)
    with pytest.raises(Invalid) as few:
        await train(database, ["A"])
    assert few.value.code == "model.too_few_bars"
    with pytest.raises(Invalid) as outside:
        await train(database, ["A"], start="1971-01-01T00:00:00Z")
    assert outside.value.code == "model.no_bars"
    with pytest.raises(Invalid) as wrong:
        await train(database, ["A"], horizon=0)
    assert wrong.value.errors == {"horizon": ["a whole number from 1 to 50"]}


def test_prices_before_a_split_are_learned_from_as_if_it_had_been(shared_data: Path) -> None:
    # AAPL split two for one on 2005-02-28: the raw close halves, the adjusted one rises by 0.8 per cent.
    bars = real_bars(shared_data, "AAPL")
    place = next(at for at, bar in enumerate(bars) if bar.ts_ns == parse_rfc3339("2005-02-28T00:00:00Z"))
    raw, whole = (features_of(candles_of(each))[place, 0] for each in (bars, [adjusted(bar) for bar in bars]))
    assert raw == pytest.approx(-0.49, abs=0.01)
    assert abs(whole) < 0.02


async def test_a_model_is_tried_on_no_bar_that_it_knows(database: Database) -> None:
    await learnable(database)
    model = await train(database, ["A"])
    store, named = make_models(database), {"model": str(model.id)}
    knows_to = parse_rfc3339(model.parameters["trained_to"])
    for start_ns in (None, 0, knows_to - 1):
        with pytest.raises(Invalid) as known:
            await algorithm_for(store, "market_model", named, ["A"], "1d", start_ns)
        assert known.value.code == "model.knows_the_bars"
    with pytest.raises(Invalid) as unnamed:
        await algorithm_for(store, "market_model", {}, ["A"], "1d", knows_to)
    assert "parameters.model" in unnamed.value.errors
    algorithm = await algorithm_for(store, "market_model", named, ["A"], "1d", knows_to)
    # Another year of the same market, which it was never shown: it is right more often than not on what it is sure of.
    later = market(12, bars=365, edge=0.6)
    bars = BarSeries(later.closes, later.volumes, later.highs, later.lows)
    scores = algorithm.score(bars, with_defaults(algorithm, {})).scores[49:-2]
    rose = later.opens[51:] > later.opens[50:-1]
    sure = np.abs(scores) > 50
    assert sure.sum() > 100
    assert ((scores > 0) == rose)[sure].mean() > 0.65
    assert await algorithm_for(store, "sma_cross", {}, ["A"], "1d", None) is ALGORITHMS["sma_cross"]
