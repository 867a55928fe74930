"""The command line: ``qsuite COMMAND``. One module a command, imported only when that command runs.

Invariant: what a person did wrong is answered by one line on standard error and a non-zero exit, never by a traceback;
a traceback means a fault of ours. Commands print what they answer on standard output, and log on standard error.

    0  done        1  could not be done (``Error: …``)        2  not understood (usage)        130  interrupted
"""

import importlib
import os
import sys
from typing import Final

import click

from qsuite import __version__
from qsuite.domain.errors import Invalid, QSuiteError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("qsuite.cli.serve:serve", "Run the API, the engine and the streams."),
    "import": ("qsuite.cli.import_:import_", "Load bars or ticks from files."),
    "replay": ("qsuite.cli.replay:replay", "Play a recorded market, live."),
    "backtest": ("qsuite.cli.backtest:backtest", "Play an algorithm to the past."),
    "models": ("qsuite.cli.models:models", "Train models and list them."),
    "report": ("qsuite.cli.report:report", "Write trades, positions, profit or statements to a file."),
    "user": ("qsuite.cli.user:user", "Create and list users, set passwords."),
    "keys": ("qsuite.cli.keys:keys", "List, rotate and revoke what signs tokens."),
    "check": ("qsuite.cli.check:check", "Verify that the books agree."),
    "audit": ("qsuite.cli.audit:audit", "Export and verify the record of who did what."),
    "backup": ("qsuite.cli.backup:backup", "Write the whole database to a file, while it is in use."),
    "restore": ("qsuite.cli.restore:restore", "Fill a database from a backup."),
    "state-hash": ("qsuite.cli.state_hash:state_hash", "Print one hash over all that is kept."),
    "migrate": ("qsuite.cli.migrate:migrate", "Bring validators and indexes up to date."),
    "doctor": ("qsuite.cli.doctor:doctor", "Look for what would keep QSuite from running."),
}
"""Name to where it is and what it does; the line stands here so that ``qsuite --help`` imports no command."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qsuite")
def cli() -> None:
    """QSuite, a self-hosted trading platform.

    \b
    Start it with a demo market:    qsuite serve --demo
    See what a command takes:       qsuite COMMAND --help

    Settings come from the environment (QSUITE_…), from .env, and from config/<profile>.toml.
    """


def main() -> None:
    """Run the command line; the entry point of the ``qsuite`` program."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("Interrupted", err=True)
        code = 130
    except QSuiteError as error:
        code = _tell(_sentence(error))
    except BrokenPipeError:  # `qsuite … | head`: who read has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        code = _tell(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    sys.exit(code if isinstance(code, int) else 0)


def _tell(reason: str) -> int:
    click.echo(f"Error: {reason}", err=True)
    return 1


def _sentence(error: QSuiteError) -> str:
    """Put an error into one line, with the fields of a validation error behind it."""
    fields = error.errors if isinstance(error, Invalid) else {}
    named = "; ".join(f"{name}: {', '.join(messages)}" for name, messages in fields.items())
    return " ".join(f"{error.detail}{f' ({named})' if named else ''}".split())
