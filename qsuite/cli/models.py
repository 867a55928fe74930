"""``qsuite models``: train a model on a file of one's own or on stored bars, and see what was trained.

a server has the data directory    the rows go into its database and a job of its own workers learns from them
none does                          the same task runs right here, on the same rows, and stores the same model
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from qsuite.cli.connection import open_database
from qsuite.cli.train_market import train_market
from qsuite.domain.errors import SetupError
from qsuite.domain.jobs import Job, JobState
from qsuite.domain.listing import Listing
from qsuite.domain.roles import Caller, Role
from qsuite.services.data_dir import lock_holder
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from qsuite.repos.database import Database
    from qsuite.services.sentiment.labelled import Labelled

COMMAND_LINE = Caller(UUID(int=0), "command line", Role.ADMIN)
"""Who trains from here: nobody who could log in."""
POLL_S = 0.25
SHOWN = ("macro_f1", "accuracy")


@click.group()
def models() -> None:
    """Train models and list them.

    \b
    Example:  qsuite models list
    """


models.add_command(train_market)


@models.command("train-sentiment")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--text-column", help="Where the texts are; by default text, sentence, headline, title, tweet or content."
)
@click.option("--label-column", help="Where the labels are; by default label, sentiment, polarity or score.")
@click.option("--name", default="sentiment", show_default=True, help="What the model is called.")
def train_sentiment(file: Path, text_column: str | None, label_column: str | None, name: str) -> None:
    """Train a classifier of texts from FILE: CSV with a header (plain or gzip), or JSON lines.

    A label is positive, neutral or negative, or a number from -1 to 1. A fifth of the texts is held out and measured
    beside the lexicon; the model is used from then on if it is better.

    \b
    Example:  qsuite models train-sentiment headlines.csv --text-column title
    """
    from qsuite.services.sentiment.labelled import read_labelled

    rows = read_labelled(file, text_column, label_column)
    result = asyncio.run(_train(load_settings(), rows, file.name, name))
    for line in summary(result):
        click.echo(line)


@models.command("list")
def list_() -> None:
    """List the models, newest first, with how they do on what they never saw.

    \b
    Example:  qsuite models list
    """
    for line in asyncio.run(_list(load_settings())):
        click.echo(line)


def summary(result: Mapping[str, Any]) -> list[str]:
    """Say what came of a training, in lines for a person."""
    lines = [f"model {result['model']}: {'usable' if result['usable'] else 'NOT used'}, {result['reason']}"]
    for figure in SHOWN:
        own = result["scores"][figure]
        others = ", ".join(f"{name} {scores[figure]['value']:.3f}" for name, scores in result["baselines"].items())
        lines.append(f"  {figure} {own['value']:.3f} ({own['low']:.3f} to {own['high']:.3f}); {others}")
    return lines


async def _train(settings: Settings, rows: "list[Labelled]", description: str, name: str) -> Mapping[str, Any]:
    has_server = lock_holder(settings.data_dir) is not None  # asked before a database of our own takes the lock
    async with open_database(settings) as database:
        return await train_rows(database, settings, rows, description, name, has_server=has_server)


async def train_rows(
    database: "Database",
    settings: Settings,
    rows: "list[Labelled]",
    description: str,
    name: str,
    *,
    has_server: bool,
) -> Mapping[str, Any]:
    """Train in the server's workers where there is a server, else here; return what the task returned.

    SetupError when the job failed.
    """
    from uuid_utils.compat import uuid7

    from qsuite.repos.model_files import ModelFilesRepo
    from qsuite.services.model_training import store_rows

    files, now = ModelFilesRepo(database), time.time_ns()
    parameters = await store_rows(files, name, description, rows, new_id=uuid7, now=now)
    return await (_by_job(database, settings, parameters) if has_server else _here(database, parameters))


async def _by_job(database: "Database", settings: Settings, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    from uuid_utils.compat import uuid7

    from qsuite.repos.audit_access import AuditAccessRepo
    from qsuite.repos.jobs import JobsRepo
    from qsuite.services.audit_trail import AuditTrail
    from qsuite.services.jobs import JobService
    from qsuite.services.models import TRAINING_ASKED
    from qsuite.services.tasks.train_sentiment import KIND

    repo = JobsRepo(database)
    jobs = JobService(
        repo=repo,
        trail=AuditTrail(AuditAccessRepo(database)),
        most_queued=settings.workers.jobs_queued,
        reachable=True,
        new_id=uuid7,
        clock=time.time_ns,
    )
    job = await jobs.submit(COMMAND_LINE, KIND, parameters, recorded_as=TRAINING_ASKED)
    click.echo(f"job {job.id} waits for the server's workers", err=True)
    return _result(await _end_of(repo, job))


async def _end_of(repo: Any, job: Job) -> Job:
    while not job.ended:
        await asyncio.sleep(POLL_S)
        job = await repo.get(job.id)
    return job


def _result(job: Job) -> Mapping[str, Any]:
    if job.state is JobState.DONE and job.result is not None:
        return job.result
    raise SetupError(f"the job {job.id} {job.state.value}: {(job.error or {}).get('detail', 'it was stopped')}")


async def _here(database: "Database", parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    from uuid_utils.compat import uuid7

    from qsuite.services.tasks.train_sentiment import train_sentiment as task

    return await task(LocalWork(uuid7(), COMMAND_LINE.user, database), parameters)


async def _list(settings: Settings) -> list[str]:
    from qsuite.composition.models import make_models

    async with open_database(settings) as database:
        page = await make_models(database).page(Listing(order=(("created_at", True),), page_size=1_000))
    return [
        f"{model.id}  {model.kind.value}  {model.name}  {'usable' if model.usable else 'not used'}  {model.reason}"
        for model in page.items
    ]


@dataclass(frozen=True, slots=True)
class LocalWork:
    """A task's work in this process, which nobody cancels but Ctrl-C."""

    job: UUID
    owner: UUID
    database: "Database"

    def progress(self, part: float) -> None:
        """Hear how far it is."""
