"""``qsuite serve``: the API, the engine and the streams, on a database of one's own or a given one.

    lock the data directory ─> mongod ─> connect, migrate ─> recover ─> listen ─> (demo) ─> wait for a signal
                                 └── meanwhile the rest of QSuite is imported

Invariants: on SIGTERM or Ctrl-C it stops in order and exits with 0; a second signal ends it at once. Its own mongod
never outlives it.
"""

import asyncio
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from qsuite import __version__
from qsuite.cli.connection import own_database, prepare_database
from qsuite.domain.errors import SetupError
from qsuite.safe_start import loud
from qsuite.services.data_dir import DataDirLock, Runtime, lock_holder, write_runtime
from qsuite.settings import ROLES, Settings, load_settings

if TYPE_CHECKING:
    from qsuite.services.embedded_mongod import EmbeddedMongod

COLLECT_EVERY = (50_000, 20, 20)
SWITCH_S = 0.0005
"""How long the thread that commits a batch waits for a busy event loop to let go of the interpreter (docs/adr/0006)."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.option("--demo", is_flag=True, help="Load real daily prices, play a market from them, create a demo trader.")
@click.option("--role", type=click.Choice(ROLES), help="gateway: reads and streams only (QSUITE_ROLE, all).")
@click.option("--host", help="Address to listen on (QSUITE_HOST, 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on, 0 for any (QSUITE_PORT, 8000).")
def serve(demo: bool, role: str | None, host: str | None, port: int | None) -> None:
    """Run the API, the engine and the streams until stopped by Ctrl-C or SIGTERM.

    Without QSUITE_MONGODB_URI it starts a mongod of its own under the data directory, and stops it in the end.

    Any number of gateways serve reads and streams beside it, on the same QSUITE_MONGODB_URI and QSUITE_REDIS_URL.

    \b
    Example:  qsuite serve --demo --port 9000
              qsuite serve --role gateway --port 9001
    """
    started_s = time.monotonic()
    settings = load_settings(os.environ if role is None else {**os.environ, "QSUITE_ROLE": role})
    if demo and settings.role == "gateway":
        raise SetupError("a gateway plays no demo: give --demo to the process with the engine")
    settings = replace(settings, host=host or settings.host, port=settings.port if port is None else port)
    gc.disable()  # a start makes objects to keep; calm_collector() ends this
    signal.signal(signal.SIGTERM, _end)  # until the loop has its own: a start can be stopped in order, too
    with database_of(settings) as (uri, mongod):
        try:
            asyncio.run(_serve(settings, uri, mongod, demo=demo, started_s=started_s))
        except asyncio.CancelledError:
            raise click.Abort from None


@contextmanager
def database_of(settings: Settings) -> "Iterator[tuple[str | None, EmbeddedMongod | None]]":
    """Yield the address of the database to serve from, None for in memory, and our own mongod if it is one.

    With a given database several servers may share the data directory; the first of them is what commands find.
    """
    if settings.mongodb_uri is None:
        loading = threading.Thread(target=_load, name="qsuite-load")
        try:
            with own_database(settings, meanwhile=loading.start) as mongod:
                loading.join()
                yield (None if mongod is None else mongod.uri), mongod
        finally:
            if loading.is_alive():  # mongod did not start; half an import cannot be left behind
                loading.join()
        return
    lock = DataDirLock(settings.data_dir)
    with suppress(SetupError):  # another server's, or read-only: nothing that this one needs is kept there
        lock.acquire()
    try:
        yield settings.mongodb_uri, None
    finally:
        lock.release()


def _load() -> None:
    """Import what takes half a second while mongod starts."""
    import qsuite.app  # noqa: F401


def _end(*_: object) -> None:
    sys.exit(0)


async def _serve(
    settings: Settings, uri: str | None, mongod: "EmbeddedMongod | None", *, demo: bool, started_s: float
) -> None:
    import structlog

    from qsuite.app import build
    from qsuite.cli.demo import start_demo
    from qsuite.services.logging import configure_logging
    from qsuite.services.secrets import secrets_of

    reports = configure_logging(settings, extra_secrets=secrets_of(settings).all)
    for warning in loud(settings):
        structlog.get_logger(__name__).warning("start.unsafe", reason=warning)
    stopping = _stop_on_signals()
    async with prepare_database(settings, uri, migrated=False) as database:
        app = await build(settings, database)
        if mongod is not None:
            app.keep_alive(mongod)
        await app.start()
        calm_collector()
        sys.setswitchinterval(SWITCH_S)
        try:
            address = f"http://{_shown(settings.host)}:{app.listen()}"
            _tell_commands(settings, uri, address)
            state = "is ready" if app.services.health.ready else "stands by"  # where another process has the engine
            state = "is a gateway" if settings.role == "gateway" else state
            click.echo(f"QSuite {__version__} {state} at {address} ({time.monotonic() - started_s:.1f} s)")
            if demo:
                await _unless(stopping, start_demo(app, address))
            await stopping.wait()
            click.echo("Stopping", err=True)
        finally:
            await app.stop()
            if reports is not None:
                await asyncio.to_thread(reports.stop)


def calm_collector() -> None:
    """Let Python look for garbage cycles seldom, and never again among what a started server keeps for ever.

    Its default, a look at every 700 new objects, took a tenth of an order's time and paused for 0.13 s (docs/adr/0002).
    """
    gc.freeze()  # without collecting first: 2 % of it is garbage, and looking for that holds the loop for 0.1 s
    gc.set_threshold(*COLLECT_EVERY)
    gc.enable()


def _stop_on_signals() -> asyncio.Event:
    """Return the event that the first signal sets. The second cancels what is still being done, the third kills."""
    loop, serving, stopping = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
    assert serving is not None

    def on_signal() -> None:
        if stopping.is_set():
            for one in SIGNALS:
                loop.remove_signal_handler(one)
            serving.cancel()
        stopping.set()

    for one in SIGNALS:
        loop.add_signal_handler(one, on_signal)
    return stopping


async def _unless(stopping: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do a piece of work, but give it up when it is time to stop."""
    task, end = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if task.done():
        task.result()
    else:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tell_commands(settings: Settings, uri: str | None, address: str) -> None:
    """Write down which database this server uses, unless another server of the directory did before."""
    if lock_holder(settings.data_dir) == os.getpid():
        write_runtime(settings.data_dir, Runtime(os.getpid(), uri or "", address))


def _shown(host: str) -> str:
    """Return the address that a browser on this machine can use."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104  recognised, not bound  # nosec B104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
