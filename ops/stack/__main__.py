"""``python -m ops.stack``: run the local stack until Ctrl-C, and say where it is and who may log in."""

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from ops.stack.kept import Kept
from ops.stack.scratch import scratch
from ops.stack.stack import OPERATOR, TRADER, Plan, Stack
from qsuite.domain.errors import SetupError

FOLDER = Path("data/stack")
SYMBOLS = "ALFA,BETA"
LOOK_S = 1.0


@click.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=FOLDER, show_default=True)
@click.option("--temporary", is_flag=True, help="Keep nothing: a folder that is gone in the end, in memory if it fits.")
@click.option("--members", type=click.IntRange(1, 7), default=3, show_default=True, help="mongods in the set.")
@click.option("--redis/--no-redis", default=True, show_default=True)
@click.option("--standby/--no-standby", default=True, show_default=True, help="A second engine, which waits.")
@click.option("--gateways", type=click.IntRange(0), default=2, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True, help="Dask workers; 0 for no grid.")
@click.option("--port", type=click.IntRange(0, 65_000), default=0, help="Engine here, standby and gateways behind it.")
@click.option("--symbols", default=SYMBOLS, show_default=True, help="What the made-up market trades; '' for none.")
def main(
    folder: Path,
    temporary: bool,
    members: int,
    redis: bool,
    standby: bool,
    gateways: int,
    workers: int,
    port: int,
    symbols: str,
) -> None:
    """Run QSuite as a cluster of local processes, without Docker: a MongoDB replica set, Redis, an engine, a standby
    that takes over when it dies, gateways for clients, a Dask scheduler and workers; all on 127.0.0.1.

    Ctrl-C stops all of it, and nothing outlives this command. Ports, users and data are the same at the next start on
    the same folder. Logs are in the folder, one file a process. To see a failure, send a process kill -9, -STOP or
    -CONT by the id that is printed.

    \b
    Example:  python -m ops.stack --temporary --port 8000
              make stack ARGS="--no-standby --gateways 1 --workers 0"
    """
    started_s = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as ends:
        place = Path(ends.enter_context(scratch())) if temporary else folder
        place.mkdir(parents=True, exist_ok=True)
        feed = {"FEED__KIND": "synthetic", "FEED__SYMBOLS": symbols} if symbols else {}
        kept = Kept(place)
        people = [one._replace(password=kept.secret(f"password of {one.username}")) for one in (OPERATOR, TRADER)]
        kept.save()
        plan = Plan(members, redis, standby, gateways, workers, profile="local", port=port, users=people, settings=feed)
        try:
            stack = Stack(place.absolute(), plan)
            ends.callback(stack.end)
            stack.start()
            click.echo(described(stack))
            click.echo(f"Started in {time.monotonic() - started_s:.1f} s. Ctrl-C stops all of it.")
            watch(stack)
        except SetupError as error:
            raise click.ClickException(error.detail) from None
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends it at once, and all with it
            click.echo("Stopping", err=True)
            stack.stop()


def described(stack: Stack) -> str:
    """Write what runs where, who may log in, and what commands need."""
    processes = "\n".join(f"  {one.name:<12}{_address(one.port):<26}pid {one.pid}" for one in stack.processes[::-1])
    users = "\n".join(f"  {user.username:<12}{user.password}  ({user.role})" for user in stack.plan.users)
    settings = " \\\n  ".join(f"QSUITE_{name}='{stack.settings[name]}'" for name in ("MONGODB_URI", "DATA_DIR"))
    return f"""
{processes}

Users:
{users}

Console:       {stack.engine.url}/
Health:        curl -s {stack.engine.url}/health
Commands:      {settings} \\
  qsuite user list
Logs:          {stack.folder}/*.log
"""


def watch(stack: Stack) -> None:
    """Say which process ends or begins, until interrupted."""
    running = {one.name: True for one in stack.processes}
    while True:
        time.sleep(LOOK_S)
        for one in stack.processes:
            now = one.exit_code is None
            if running[one.name] and not now:
                click.echo(f"{one.name} has ended ({one.exit_code}); its log is {one.log}", err=True)
            running[one.name] = now


def _address(port: int) -> str:
    return f"127.0.0.1:{port}" if port else ""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
