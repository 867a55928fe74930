"""``qsuite import``: bars and ticks from files, with progress; can be stopped, gone on with, and repeated."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsuite.cli.connection import open_database
from qsuite.domain.errors import SetupError
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from qsuite.services.files import MarketFile
    from qsuite.services.importer import Importer, ImportReport

KINDS = ("bars", "quote bars", "trades", "quotes", "ticks")


def read_columns(pairs: Iterable[str]) -> dict[str, str]:
    """Read ``field=column`` pairs."""
    columns = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not (field and equals and column):
            raise click.BadParameter(f"{pair!r} is not FIELD=COLUMN, such as price=last", param_hint="--columns")
        columns[field] = column
    return columns


def file_options(command: Any) -> Any:
    """Add the options that say how files are read."""
    options = [
        click.option(
            "--symbol", help="The symbol of rows that name none; of a file that names several, the one to take."
        ),
        click.option("--interval", help="The length of bars, such as 1m or 1d, where the file does not show it."),
        click.option("--tz", help="The zone of times that do not say theirs, such as America/New_York or UTC-05."),
        click.option(
            "--columns", multiple=True, metavar="FIELD=COLUMN", help="Which column holds a field; may be repeated."
        ),
        click.option("--kind", type=click.Choice(KINDS), help="What a line is, where the columns leave that open."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@file_options
@click.option(
    "--quote-bars",
    type=click.Choice(("auto", "both", "quotes", "bars")),
    default="auto",
    help="What to keep of bid and ask bars: closing quotes, bars of one side, or both (auto: both where no sizes are).",
)
@click.option("--side", type=click.Choice(("bid", "ask")), default="bid", help="The side that such bars are made of.")
@click.option("--again", is_flag=True, help="Read files that were imported before, and compare every row.")
def import_(files: tuple[Path, ...], columns: tuple[str, ...], again: bool, **options: Any) -> None:
    """Load bars or ticks from FILES: CSV (plain or gzip), Parquet or Arrow.

    Beside a running server it uses that server's database. An import that was stopped goes on where it was, and one
    that is repeated changes nothing. Tickers that are missing are made.

    \b
    Example:  qsuite import trades.csv.gz --symbol IBM --tz America/New_York
    """
    failed = asyncio.run(_import(load_settings(), files, {**options, "columns": read_columns(columns)}, again))
    if failed:
        raise SetupError(f"{failed} of {len(files)} files could not be imported")


async def _import(settings: Settings, paths: Sequence[Path], options: dict[str, Any], again: bool) -> int:
    """Import files one after the other; return how many could not be."""
    from uuid_utils.compat import uuid7

    from qsuite.composition.importing import make_importer

    failed = 0
    async with open_database(settings) as database:
        importer = await make_importer(database, settings.trading.currency, uuid7)
        for path in paths:
            try:
                await _import_one(importer, path, options, again)
            except SetupError as error:
                if len(paths) == 1:
                    raise
                click.echo(f"Error: {error.detail}", err=True)
                failed += 1
    return failed


async def _import_one(importer: "Importer", path: Path, options: dict[str, Any], again: bool) -> None:
    file = await asyncio.to_thread(open_file, path, options)
    started_s = time.monotonic()
    with _progress() as bars:
        task = bars.add_task(path.name, total=1.0, rows=0, rate=0.0)

        def show(report: "ImportReport") -> None:
            rate = report.rows / max(time.monotonic() - started_s, 1e-3)
            bars.update(task, completed=report.done, rows=report.rows, rate=rate)

        report = await importer.run(file, progress=show, again=again)
    for line in summary(report, file, time.monotonic() - started_s):
        click.echo(line)


def open_file(path: Path, options: dict[str, Any]) -> "MarketFile":
    """Open a file as the options say. SetupError when it is not market data, or not as said."""
    from qsuite.services.files import FileKind, FileOptions, open_market_file

    wanted = dict(options)
    quote_bars = wanted.pop("quote_bars", "auto")
    kind = wanted.pop("kind", None)
    read = FileOptions(
        **wanted,
        kind=None if kind is None else FileKind(kind),
        quote_bars="both" if quote_bars == "auto" else quote_bars,
    )
    file = open_market_file(path, read)
    # Quotes with sizes are of an exchange, where trades make the bars; a dealer's quotes are all there is.
    if quote_bars == "auto" and file.kind is FileKind.QUOTE_BARS and "bid_size" in file.recipe.layout.at:
        file = open_market_file(path, FileOptions(**wanted, kind=file.kind, quote_bars="quotes"))
    return file


def summary(report: "ImportReport", file: "MarketFile", seconds: float) -> list[str]:
    """Say what an import did, in lines for a person."""
    if report.known:
        return [f"{report.file}: imported before, {report.unchanged:,} rows are there (--again compares them)"]
    rate = report.rows / max(seconds, 1e-3)
    resumed = ", gone on where it was stopped" if report.resumed else ""
    lines = [
        f"{report.file}: {report.created:,} stored, {report.unchanged:,} there already, {report.rejected:,} left out "
        f"({seconds:.1f} s, {rate:,.0f} rows/s{resumed})"
    ]
    lines += [f"  note: {note}" for note in file.notes]
    if report.new_tickers:
        shown = ", ".join(report.new_tickers[:10])
        more = len(report.new_tickers) - 10
        lines.append(f"  new tickers: {shown}{f' and {more} more' if more > 0 else ''}")
    lines += [f"  line {row.line}: {row.reason}" for row in report.bad]
    lines += [f"  {conflict}" for conflict in report.conflicts]
    untold = report.rejected - len(report.bad) - len(report.conflicts)
    if untold > 0:
        lines.append(f"  and {untold:,} more left out")
    return lines


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    # On standard error, so that standard output holds the answer alone; where that is no terminal nothing is drawn.
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
