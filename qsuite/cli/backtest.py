"""``qsuite backtest``: an algorithm over the past in the database, at once and in this process."""

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsuite.cli.connection import open_database
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import parse_interval
from qsuite.domain.money import parse_decimal, show
from qsuite.domain.times import format_rfc3339, parse_rfc3339
from qsuite.settings import Settings, load_settings

if TYPE_CHECKING:
    from qsuite.domain.backtests.plan import Plan
    from qsuite.repos.database import Database
    from qsuite.services.backtest_runs import Ran

SHOWN_REFUSED = 5
PERCENT = ("total_return", "benchmark_return", "cagr", "volatility", "max_drawdown", "win_rate", "exposure")
RATIOS = ("sharpe_ratio", "sortino_ratio", "calmar_ratio", "profit_factor", "turnover")


def read_amount(text: str) -> Decimal:
    """Read a decimal. BadParameter says what is wrong with it."""
    try:
        return parse_decimal(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from None


def read_commission(text: str) -> dict[str, str]:
    """Read ``0.1%`` as a part of the value, ``0.005`` as an amount for each unit."""
    rate = show(read_amount(text.removesuffix("%")))
    return {"model": "percent", "percent": rate} if text.endswith("%") else {"model": "per_share", "per_share": rate}


def read_parameters(pairs: Iterable[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs: whole numbers, true and false, else text that is read as a decimal later."""
    read: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE, such as fast=10", param_hint="--param")
        words = {"true": True, "false": False}
        read[name] = words[value] if value in words else int(value) if value.removeprefix("-").isdecimal() else value
    return read


def read_instant(text: str) -> int:
    """Read a date, or a date and time with a zone. BadParameter says what is wrong with it."""
    try:
        return parse_rfc3339(text if "T" in text else f"{text}T00:00:00Z")
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(f"{text!r}: {error}") from None


def read_interval(text: str) -> str:
    """Read the length of a bar. BadParameter says what is wrong with it."""
    try:
        return parse_interval(text).name
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from None


@click.command()
@click.argument("strategy")
@click.argument("symbols", nargs=-1, required=True)
@click.option("--start", metavar="TIME", help="The first bar's start, such as 2015-01-01.")
@click.option("--end", metavar="TIME", help="Bars start before this.")
@click.option("--interval", default="1d", show_default=True, help="The length of the bars.")
@click.option("--cash", default="100000", show_default=True, help="What the account begins with.")
@click.option("--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--commission", metavar="RATE", help="0.1% of the value, or 0.005 for each unit; else as configured.")
@click.option("--slippage-bps", metavar="BPS", help="Slippage of market orders in basis points; else as configured.")
@click.option("--participation", metavar="PART", help="The part of a bar's volume that an order may take, such as 0.1.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What draws are made from.")
@click.option("--source", type=click.Choice(("bars", "ticks")), default="bars", show_default=True, help="What to play.")
@click.option("--unadjusted", is_flag=True, help="Play prices as they were, without later splits and dividends.")
@click.option(
    "--finish",
    type=click.Choice(("leave", "last_open", "last_close")),
    default="leave",
    show_default=True,
    help="What becomes of positions at the end.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a page with charts to this file.",
)
def backtest(strategy: str, symbols: tuple[str, ...], **options: Any) -> None:
    """Play an algorithm to the past of SYMBOLS, on the engine that trades on paper.

    STRATEGY is one of technical_indicators_v1, sma_cross, mean_reversion, rsi_reversal, breakout, or market_model with
    --param model=ID and a --start that the model does not know. Without a size (quantity, order_value,
    equity_fraction) each symbol gets an even part of the equity.

    \b
    Example:  qsuite backtest sma_cross AAPL IBM --start 2010-01-01 --param fast=10 --param slow=30
    """
    asked = {
        "strategy": strategy,
        "symbols": list(dict.fromkeys(symbols)),
        "interval": read_interval(options["interval"]),
        "initial_cash": read_amount(options["cash"]),
        "parameters": read_parameters(options["parameters"]),
        "seed": options["seed"],
        "source": options["source"],
        "adjusted": not options["unadjusted"],
        "finish": options["finish"],
    }
    given = {
        "start": (read_instant, options["start"]),
        "end": (read_instant, options["end"]),
        "commission": (read_commission, options["commission"]),
        "slippage_bps": (read_amount, options["slippage_bps"]),
        "participation": (read_amount, options["participation"]),
    }
    asked |= {name: read(text) for name, (read, text) in given.items() if text is not None}
    plan, ran = asyncio.run(_backtest(load_settings(), asked))
    for line in summary(plan, ran):
        click.echo(line)
    if options["report"] is not None:
        _write(options["report"], plan, ran)


def _write(path: Path, plan: "Plan", ran: "Ran") -> None:
    from qsuite.services.backtest_pages import page_of_run

    path.write_text(page_of_run(plan, ran), encoding="utf-8")
    click.echo(f"  the report is in {path}")


async def _backtest(settings: Settings, asked: dict[str, Any]) -> "tuple[Plan, Ran]":
    from qsuite.services.backtest_runs import run_plan

    async with open_database(settings) as database:
        plan = await _plan(settings, database, asked)
        return plan, await run_plan(database, plan, lambda part: None)


async def _plan(settings: Settings, database: "Database", asked: dict[str, Any]) -> "Plan":
    from qsuite.domain.analytics.known import KNOWN
    from qsuite.repos.tickers import TickersRepo
    from qsuite.services.backtests import make_plan
    from qsuite.services.fill_rules import rules_from

    if asked["strategy"] not in KNOWN:
        raise Invalid(f"there is no algorithm {asked['strategy']}; there are {', '.join(KNOWN)}")
    tickers = {ticker.symbol: ticker for ticker in await TickersRepo(database).of_symbols(asked["symbols"])}
    return make_plan(asked, tickers.get, rules_from(settings.trading))


def summary(plan: "Plan", ran: "Ran") -> list[str]:
    """Say what came of it, in lines for a person."""
    marks, figures, trades = ran.result.marks, ran.outcome.figures, ran.outcome.trades
    lines = [
        f"{plan.strategy} on {', '.join(plan.symbols)}, {len(marks):,} bars of {plan.interval}, "
        f"{format_rfc3339(marks[0].ts_ns)[:10]} to {format_rfc3339(marks[-1].ts_ns)[:10]}",
        f"  {'final equity':<22}{marks[-1].equity:>16,.2f}   of {plan.initial_cash:,.2f}",
    ]
    lines += [f"  {name.replace('_', ' '):<22}{_shown(getattr(figures, name), 100, ' %'):>18}" for name in PERCENT]
    lines += [f"  {name.replace('_', ' '):<22}{_shown(getattr(figures, name), 1, ''):>16}" for name in RATIOS]
    lines += [
        f"  {'drawdown in days':<22}{_shown(figures.max_drawdown_days, 1, ''):>16}",
        f"  {'round trips':<22}{figures.total_trades:>16,}   {len(trades.open)} still open",
        f"  {'costs':<22}{figures.costs:>16,.2f}",
    ]
    refused = ran.result.refused
    if refused:
        lines.append(f"  {len(refused):,} orders were refused:")
        lines += [f"    {format_rfc3339(each.ts)[:16]} {each.symbol} {each.code}" for each in refused[:SHOWN_REFUSED]]
    return lines


def _shown(value: float | None, factor: float, unit: str) -> str:
    return f"-{' ' * len(unit)}" if value is None else f"{value * factor:,.2f}{unit}"
