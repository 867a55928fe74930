"""Train a model of the market: bars read by reference, a walk-forward, a verdict, and the model kept whatever it is.

    bars ──> rows ──walk-forward──> forecasts ──> judgement ──┐
               └──all of them────> classifier ──skops──> file ┴──> models/

What is stored does not depend on the verdict: a model that beats nothing is kept with its figures and may not be used.
"""

import hashlib
import math
import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import numpy as np

from qsuite.domain.analytics.learning.bootstrap import Estimate
from qsuite.domain.analytics.learning.features import FEATURES
from qsuite.domain.analytics.learning.judgement import BASELINES, MODEL, Judgement, Scores, Terms, judge_forecasts
from qsuite.domain.analytics.learning.market_model import ALGORITHM
from qsuite.domain.analytics.learning.rows import Learnable, Rows, rows_of
from qsuite.domain.analytics.learning.training import MarketTraining, read_training
from qsuite.domain.analytics.series import Candles
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import bar_end
from qsuite.domain.models import Model, ModelKind, Score, TrainedOn
from qsuite.domain.times import floor_ms, format_rfc3339
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.repos.models import ModelsRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.indicators import candles_of
from qsuite.services.market_learner import Recipe, fit, foretell, learner_version, too_few
from qsuite.services.model_files import dump
from qsuite.services.models import ModelStore
from qsuite.services.price_history import BarsAsked, PriceHistory
from qsuite.services.tasks.work import Work

KIND = "train_market_model"
MAX_BARS = 2_000_000
"""Of all symbols together: their features then take 200 MB."""
READ, FORETOLD = 0.1, 0.9
"""How much is done when bars are read, and when all folds are foretold."""


async def train_market_model(work: Work, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Train, judge and store a model; return its id and whether it may be used.

    Invalid where there are too few bars, or more than ``MAX_BARS``.
    """
    store = ModelStore(models=ModelsRepo(work.database), files=ModelFilesRepo(work.database))
    known = await store.find(work.job)
    if known is None:
        asked = read_training(parameters)
        known, data = _trained(work, asked, await _bars(work, asked))
        await store.save(known, data)
    return {"model": str(known.id), "usable": known.usable, "reason": known.reason}


async def _bars(work: Work, asked: MarketTraining) -> dict[str, Candles]:
    """Return the closed bars of each symbol, adjusted: a split is no return."""
    database = work.database
    history = PriceHistory(database=database, ticks=TicksRepo(database), market_data=MarketDataRepo(database))
    found, count = {}, 0
    for number, symbol in enumerate(asked.symbols):
        batches = []
        wanted = BarsAsked(symbol, asked.interval, asked.start_ns, asked.end_ns, adjusted=True)
        async with aclosing(history.bar_batches(wanted)) as pieces:
            async for piece in pieces:
                batches.append(candles_of([bar for bar in piece if bar.final]))
                count += len(piece)
                if count > MAX_BARS:
                    raise Invalid(f"there are more than {MAX_BARS:,} bars: ask for fewer", code="model.too_many_bars")
                work.progress(READ * number / len(asked.symbols))
        if not batches:
            raise Invalid(f"there are no bars of {symbol} at {asked.interval} in that time", code="model.no_bars")
        found[symbol] = Candles(*(np.concatenate(columns) for columns in zip(*batches, strict=True)))
    return found


def _trained(work: Work, asked: MarketTraining, bars: Mapping[str, Candles]) -> tuple[Model, bytes]:
    work.progress(READ)
    learnable = rows_of(bars, asked.horizon)
    rows = learnable.rows
    if not len(rows):
        raise too_few(0)
    recipe = Recipe(asked.folds, asked.embargo, asked.seed)
    tested, forecasts = foretell(rows, recipe, lambda part: work.progress(READ + (FORETOLD - READ) * part))
    terms = Terms(
        horizon=asked.horizon,
        margin=asked.margin_percent / 100.0,
        cost_bps=asked.cost_bps,
        draws=asked.draws,
        generator=np.random.default_rng(asked.seed),
    )
    judged = judge_forecasts(tested, forecasts, terms)
    work.progress(FORETOLD)
    data = dump(fit(rows, recipe))
    return _model(work, asked, learnable, tested, judged, data), data


def _model(
    work: Work, asked: MarketTraining, learnable: Learnable, tested: Rows, judged: Judgement, data: bytes
) -> Model:
    axis, rows = learnable.axis_ns, learnable.rows
    first, last = format_rfc3339(int(axis[0])), bar_end(int(axis[-1]), asked.interval)
    description = f"{', '.join(asked.symbols)}: {asked.interval} bars from {first} to {format_rfc3339(last)}"
    facts = {
        # Nothing after this instant was seen: what is tried on bars before it is tried on what it learned.
        "trained_to": format_rfc3339(last),
        "tested_from": format_rfc3339(int(axis[tested.at[0]])),
        "tested_rows": len(tested),
        "features": list(FEATURES),
        "scikit_learn": learner_version(),
        "confidence": "calibrated probability of the side advised",
    }
    return Model(
        id=work.job,
        name=asked.name,
        kind=ModelKind.MARKET,
        algorithm=ALGORITHM,
        created_by=work.owner,
        created_at=floor_ms(time.time_ns()),
        trained_on=TrainedOn(description=description, rows=len(rows), sha256=_digest(rows)),
        parameters=asked.as_parameters() | facts,
        scores=_scores(judged.scores[MODEL]),
        baselines={
            name: _scores(judged.scores[name]) | _figures({"brier_worse_by": judged.better_by[name]})
            for name in BASELINES
        },
        usable=judged.usable,
        reason=judged.reason,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )


def _scores(scores: Scores) -> dict[str, Score]:
    return _figures(scores._asdict())


def _figures(estimates: Mapping[str, Estimate]) -> dict[str, Score]:
    """Return figures as they are stored; one that could not be reckoned is left out, for no number stands for it."""
    return {name: Score(*each) for name, each in estimates.items() if all(map(math.isfinite, each))}


def _digest(rows: Rows) -> str:
    """Return what tells whether two models learned from the same rows."""
    digest = hashlib.sha256()
    for column in (rows.features, rows.returns, rows.at, rows.until, rows.symbol):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
