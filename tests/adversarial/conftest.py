"""One application for all of these tests: it must serve the next attack as if the one before had not been."""

import uuid
from collections.abc import Iterator

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.database import connect
from qsuite.settings import Settings
from tests.support.running_app import Api, running_api


@pytest.fixture(scope="package")
def api(mongod: str, io_loop: IOLoop, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    database = connect(mongod, f"test_adversarial_{uuid.uuid4().hex[:12]}", pool_size=16)
    try:
        context = running_api(settings, database, tmp_path_factory.mktemp("data"))
        yield io_loop.run_sync(context.__aenter__)
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()
