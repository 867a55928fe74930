"""``qsuite models train-market``: a model of the market from stored bars, trained in this process.

What it is worth is printed whatever it is, and a model that beats nothing is no error: it is kept, and not used.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from qsuite.cli.connection import open_database
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from qsuite.domain.analytics.learning.training import MarketTraining
    from qsuite.domain.models import Model, Scores
    from qsuite.repos.database import Database

NOBODY = UUID(int=0)
"""Who trains on the command line is no user."""


@dataclass(frozen=True, slots=True)
class Here:
    """A training without a job's worker."""

    job: UUID
    owner: UUID
    database: "Database"
    progress: Callable[[float], None]


@click.command("train-market")
@click.argument("symbols", nargs=-1, required=True)
@click.option("--interval", default="1d", show_default=True, help="The length of the bars.")
@click.option("--start", help="The first instant to learn from, such as 2010-01-01T00:00:00Z.")
@click.option("--end", help="The instant to stop before.")
@click.option("--horizon", type=int, help="How many bars ahead to foretell (1).")
@click.option("--folds", type=int, help="How many parts to try it on, each after what it learned from (6).")
@click.option("--embargo", type=int, help="Bars to leave out before each of them (5).")
@click.option("--seed", type=int, help="Where its chance comes from (1).")
@click.option("--margin-percent", type=float, help="How far from 50 % a probability must be to be traded on (2).")
@click.option("--cost-bps", type=float, help="What turning the money over costs (5).")
@click.option("--name", help="What to call it; by default the symbols and the interval.")
def train_market(symbols: tuple[str, ...], **options: Any) -> None:
    """Learn from the stored bars of SYMBOLS whether prices will rise, and try that on what was not learned from.

    \b
    Example:  qsuite models train-market IBM SPY --horizon 5
    """
    from qsuite.domain.analytics.learning.training import read_training

    given = {name: value for name, value in options.items() if value is not None}
    asked = read_training(checked({"symbols": list(symbols), **given}))
    model = asyncio.run(_train(load_settings(), asked))
    for line in summary(model):
        click.echo(line)


async def _train(settings: Settings, asked: "MarketTraining") -> "Model":
    from rich.console import Console
    from rich.progress import Progress

    # On standard error, so that standard output holds the answer alone; where that is no terminal nothing is drawn.
    console = Console(stderr=True)
    async with open_database(settings) as database:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
            task = bars.add_task("training", total=1.0)
            return await train(database, asked, lambda part: bars.update(task, completed=part))


async def train(database: "Database", asked: "MarketTraining", told: Callable[[float], None]) -> "Model":
    """Train in this process and return what was stored."""
    from uuid_utils.compat import uuid7

    from qsuite.composition.models import make_models
    from qsuite.services.tasks.train_market_model import train_market_model

    work = Here(uuid7(), NOBODY, database, told)
    await train_market_model(work, asked.as_parameters())
    return await make_models(database).get(work.job)


def checked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with its interval and times read. A usage error says what is wrong."""
    from qsuite.domain.intervals import parse_interval
    from qsuite.domain.times import parse_rfc3339

    readers: dict[str, Callable[[str], Any]] = {
        "interval": lambda text: parse_interval(text).name,
        "start": parse_rfc3339,
        "end": parse_rfc3339,
    }
    read = dict(asked)
    for name in readers.keys() & asked.keys():
        try:
            read[name] = readers[name](asked[name])
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=f"--{name}") from None
    return read


def summary(model: "Model") -> list[str]:
    """Say what a model is worth, in lines for a person."""
    columns = {"model": model.scores, **model.baselines}
    lines = [
        f"{model.id}  {model.name}: learned from {model.trained_on.rows:,} rows, "
        f"tried on {model.parameters['tested_rows']:,} that it never saw",
        " " * 18 + "".join(f"{name:<30}" for name in columns),
    ]
    for figure in model.scores:
        lines.append(f"  {figure:<16}" + "".join(_cell(scores, figure) for scores in columns.values()))
    verdict = "may be used" if model.usable else "is kept, and will not be used"
    return [*(line.rstrip() for line in lines), f"  it {verdict}: {model.reason}"]


def _cell(scores: "Scores", name: str) -> str:
    if name not in scores:
        return " " * 30
    score = scores[name]
    return f"{f'{score.value:.4f} ({score.low:.4f} … {score.high:.4f})':<30}"
