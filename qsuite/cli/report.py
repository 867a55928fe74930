"""``qsuite report``: a report of everybody's trading, read from the database, in a file or on standard output."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

import click

from qsuite.cli.backtest import read_instant
from qsuite.cli.connection import open_database
from qsuite.domain.errors import SetupError
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from qsuite.repos.database import Database
    from qsuite.services.reports.service import Asked, Batches

REPORTS = ("trades", "positions", "pnl", "orders", "execution", "daily")
FORMATS = ("json", "csv", "parquet", "ndjson", "arrow")
BINARY = ("parquet", "arrow")


@click.command()
@click.argument("name", metavar="REPORT", type=click.Choice((*REPORTS, "statement")))
@click.option("--from", "from_", metavar="TIME", help="From when on, such as 2026-11-01.")
@click.option("--to", metavar="TIME", help="Before when; positions are those just before it.")
@click.option("--account", type=click.UUID, help="Of this account alone.")
@click.option("--symbol", help="Of this symbol alone.")
@click.option("--strategy", type=click.UUID, help="Of this strategy alone.")
@click.option(
    "--group-by", metavar="WORD", help="pnl: symbol, strategy, day, account. execution: symbol, strategy, order."
)
@click.option(
    "--format", "format_", type=click.Choice((*FORMATS, "html")), help="By default as the file's name ends, else csv."
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; without it, standard output."
)
def report(name: str, **options: Any) -> None:
    """Write REPORT: trades, positions, pnl, orders, execution, daily, or the statement of one account and day.

    It reads the ledger in the database, of all accounts, and may be run beside a server. `statement` takes --account
    and the day as --from, and writes a page to print.

    \b
    Example:  qsuite report pnl --from 2026-11-01 --to 2026-12-01 --group-by day --output pnl.parquet
    """
    output: Path | None = options["output"]
    format_ = options["format_"] or _format_of(output, name)
    if (format_ == "html") != (name == "statement"):
        raise click.BadParameter("a statement is a page of html, and nothing else is", param_hint="--format")
    if output is None and format_ in BINARY and sys.stdout.isatty():
        raise click.BadParameter(f"{format_} is nothing for a terminal: name a file", param_hint="--output")
    settings = load_settings()
    if name == "statement":
        asyncio.run(_statement(settings, output, options))
        return
    asyncio.run(_report(settings, name, format_, output, options))


def _format_of(output: Path | None, name: str) -> str:
    if name == "statement":
        return "html"
    ending = "" if output is None else output.suffix.removeprefix(".")
    return ending if ending in FORMATS else "csv"


async def _report(settings: Settings, name: str, format_: str, output: Path | None, options: dict[str, Any]) -> None:
    asked = _asked(name, options)
    async with open_database(settings, migrated=False) as database:
        await _record(database, f"report:{name}", asked.facts | {"format": format_})
        await asyncio.to_thread(_write, database, asked, format_, output)


async def _record(database: "Database", subject: str, facts: dict[str, Any]) -> None:
    """Record that somebody at this machine takes a report away, before it is given."""
    from qsuite.repos.audit_access import AuditAccessRepo
    from qsuite.services.audit_trail import AuditTrail

    who = os.environ.get("USER") or f"user {os.getuid()}"  # a container may know no names
    trail = AuditTrail(AuditAccessRepo(database))
    await trail.record("export.taken", actor_name=f"{who} (command line)", subject=subject, facts=facts)


def _asked(name: str, options: dict[str, Any]) -> "Asked":
    from qsuite.services.reports.service import GROUPS, Asked

    group, groups = options["group_by"], GROUPS.get(name, ("",))
    if group is not None and group not in groups:
        raise click.BadParameter(
            f"{name} is grouped by {', '.join(groups)}" if any(groups) else f"not of {name}", param_hint="--group-by"
        )
    from_ns, to_ns = (None if options[edge] is None else read_instant(options[edge]) for edge in ("from_", "to"))
    if from_ns is not None and to_ns is not None and from_ns >= to_ns:
        raise click.BadParameter("must be after --from", param_hint="--to")
    account: UUID | None = options["account"]
    return Asked(
        report=name,
        accounts=None if account is None else (account,),
        symbol=options["symbol"],
        strategy=options["strategy"],
        from_ns=from_ns,
        to_ns=to_ns,
        group_by=group or groups[0],
        at_ns=time.time_ns(),
    )


def _write(database: "Database", asked: "Asked", format_: str, output: Path | None) -> None:
    """Write a report piece by piece; a file that could not be finished is not left behind."""
    from qsuite.repos.market_data import MarketDataRepo
    from qsuite.repos.past_prices import PastPrices
    from qsuite.repos.ticks import TicksRepo
    from qsuite.services.reports.service import ReportRows

    ticks = TicksRepo(database)
    rows = ReportRows(database=database, ticks=ticks, prices=PastPrices(ticks, MarketDataRepo(database)))
    _to_file(output, partial(_stream, asked, format_, partial(rows.rows, asked)))


def _stream(asked: "Asked", format_: str, rows: "Callable[[], Batches]", file: BinaryIO) -> None:
    from qsuite.handlers.report_tables import TABLES
    from qsuite.handlers.reports import MEDIA, report_writer

    writer = report_writer(MEDIA[format_], TABLES[asked.report, asked.group_by], rows)
    file.write(writer.head())
    for batch in rows():
        file.write(writer.rows(batch))
    file.write(writer.end())


def _to_file(output: Path | None, write: Callable[[BinaryIO], None]) -> None:
    if output is None:
        write(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    partial_ = output.with_name(output.name + ".part")
    try:
        with partial_.open("wb") as file:
            write(file)
        partial_.replace(output)
    finally:
        partial_.unlink(missing_ok=True)
    click.echo(f"{output}", err=True)


async def _statement(settings: Settings, output: Path | None, options: dict[str, Any]) -> None:
    from qsuite.domain.reports.statement import day_of_date
    from qsuite.repos.statements import StatementsRepo
    from qsuite.services.reports.statement_page import statement_page

    if options["account"] is None or options["from_"] is None:
        raise SetupError("a statement is of one --account and one day, given as --from")
    try:
        day = day_of_date(options["from_"])
    except ValueError as error:
        raise click.BadParameter(f"{options['from_']!r}: {error}", param_hint="--from") from None
    async with open_database(settings, migrated=False) as database:
        made = await StatementsRepo(database).get(options["account"], day)
        await _record(database, f"statement:{made.account}:{options['from_']}", {"format": "html"})

    def write(file: BinaryIO) -> None:
        file.write(statement_page(made).encode())

    await asyncio.to_thread(_to_file, output, write)
