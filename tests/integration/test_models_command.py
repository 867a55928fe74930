"""``qsuite models train-market`` as a person runs it, beside a server's database."""

import uuid

from click.testing import CliRunner, Result

from qsuite.cli import cli
from qsuite.cli.train_market import summary, train
from qsuite.domain.analytics.learning.training import read_training
from qsuite.domain.errors import Invalid
from qsuite.repos.database import Database
from qsuite.repos.models import ModelsRepo
from tests.support.learnable import market
from tests.support.training import daily, store_bars


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["models", "train-market", *arguments])


async def test_a_model_that_beats_nothing_is_kept_and_its_figures_are_told(database: Database) -> None:
    await store_bars(database, uuid.uuid4(), daily("WALK", market(1, bars=900)))
    told: list[float] = []
    asked = read_training({"symbols": ["WALK"], "interval": "1d", "folds": 2, "name": "a walk"})
    lines = summary(await train(database, asked, told.append))
    head, names, *figures, verdict = lines
    model = await ModelsRepo(database).get(uuid.UUID(head.split()[0]))
    assert (model.name, model.usable, model.created_by) == ("a walk", False, uuid.UUID(int=0))
    assert head.endswith(f"learned from 849 rows, tried on {model.parameters['tested_rows']} that it never saw")
    assert names.split() == ["model", "majority", "yesterday_sign"]
    assert told[-1] == 0.9
    auc, *_ = figures
    score = model.scores["auc"]
    assert auc.startswith(f"  auc             {score.value:.4f} ({score.low:.4f} … {score.high:.4f})")
    assert verdict == f"  it is kept, and will not be used: {model.reason}"


def test_what_cannot_be_understood_is_said_in_one_line() -> None:
    for wrong in (("--interval", "7m"), ("--start", "yesterday"), ("--end", "2020-01-01")):
        result = run("X", *wrong)
        assert result.exit_code == 2
        assert f"Invalid value for {wrong[0]}" in result.stderr
    bound = run("X", "--horizon", "0")
    assert isinstance(bound.exception, Invalid)
    assert list(bound.exception.errors) == ["horizon"]
