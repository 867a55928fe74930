"""Fixtures every test can ask for:

    io_loop        (session) the one event loop; ``async def test_…`` runs on it (pytest-tornasync), and a fixture that
                   must await writes ``io_loop.run_sync(function)``, since async fixtures are not run
    mongod         (session) the URI of a real mongod, a replica set of one that takes transactions; of the one that
                   QSUITE_TEST_MONGODB_URI names, where it does
    database       an empty ``Database`` on it under a fresh name, dropped afterwards; no indexes or validators yet
    memory_database  the mongomock fallback, empty
    settings       ``Settings`` of the test profile, without environment or .env
    api            (module) the whole application, started over a database of its own, with a logged-in client for each
                   role (``api.trader``, ``api.admin``, ``api.anonymous``, …) and ``await api.new_client(role)``; every
                   answer a client gets is checked against the OpenAPI document
    shared_data    the folder of real market data beside the checkout; the test is skipped where it is absent

Helpers to import: ``tests.support.waiting.eventually`` (await a condition), ``wait_until`` (without a loop).
"""

import asyncio
import inspect
import os
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from tornado.ioloop import IOLoop

from qsuite.repos.database import Database, connect, in_memory
from qsuite.settings import Settings, load_settings
from tests.support.mongod import running_mongod
from tests.support.running_app import Api, running_api

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: Any) -> None:
    """Give every asynchronous test the loop, whether or not it names it."""
    if inspect.iscoroutinefunction(obj) and getattr(collector, "funcnamefilter", lambda _: False)(name):
        pytest.mark.usefixtures("io_loop")(obj)


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """Fail whatever of ours sleeps or waits for a socket on the event loop: it holds everybody up.

    Small files are not counted: to read /proc or a page takes less than handing it to a thread.
    """
    blockbuster = BlockBuster("qsuite")
    watched = [each for name, each in blockbuster.functions.items() if name.startswith(("time.", "socket."))]
    for each in watched:
        each.activate()
    yield
    for each in watched:
        each.deactivate()


@pytest.fixture(scope="session")
def io_loop() -> Iterator[IOLoop]:
    loop = IOLoop()
    yield loop
    loop.run_sync(_cancel_leftovers)
    loop.asyncio_loop.run_until_complete(loop.asyncio_loop.shutdown_default_executor())  # type: ignore[attr-defined]
    loop.close(all_fds=True)


async def _cancel_leftovers() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture(scope="session")
def mongod() -> Iterator[str]:
    given = os.environ.get("QSUITE_TEST_MONGODB_URI")
    with nullcontext(given) if given else running_mongod() as uri:
        yield uri


@pytest.fixture
def database(mongod: str, io_loop: IOLoop) -> Iterator[Database]:
    found = connect(mongod, f"test_{uuid.uuid4().hex[:12]}", pool_size=8)
    yield found
    found.sync_client.drop_database(found.name)
    found.close()


@pytest.fixture
def memory_database(io_loop: IOLoop) -> Iterator[Database]:
    found = in_memory(f"test_{uuid.uuid4().hex[:12]}")
    yield found
    found.close()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load_settings({"QSUITE_PROFILE": "test"}, dotenv=None)


@pytest.fixture(scope="module")
def api(mongod: str, io_loop: IOLoop, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    database = connect(mongod, f"test_api_{uuid.uuid4().hex[:12]}", pool_size=16)
    try:
        context = running_api(settings, database, tmp_path_factory.mktemp("data"))
        yield io_loop.run_sync(context.__aenter__)
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the real market data is not beside this checkout (../shared/data)")
    return SHARED_DATA
