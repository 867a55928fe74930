"""One application for all of these tests: it must serve the next attack as if the one before had not been."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tornado.ioloop import IOLoop

from qsuite.repos.database import connect
from qsuite.settings import Settings
from tests.adversarial.world import World, make_world
from tests.support.running_app import Api, running_api

SITE = "https://good.example"
"""The one other site whose pages may open the stream."""


@pytest.fixture(scope="package")
def api(mongod: str, io_loop: IOLoop, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    http, stream = settings.http, settings.stream
    settings = replace(
        settings,
        http=replace(http, cors_origins=(SITE,)),
        stream=replace(stream, compression=True, max_bad_messages=1_000),
    )
    database = connect(mongod, f"test_adversarial_{uuid.uuid4().hex[:12]}", pool_size=16)
    try:
        context = running_api(settings, database, tmp_path_factory.mktemp("data"))
        yield io_loop.run_sync(context.__aenter__)
        io_loop.run_sync(lambda: context.__aexit__(None, None, None))
        database.sync_client.drop_database(database.name)
    finally:
        database.close()


@pytest.fixture(scope="package")
def world(api: Api, io_loop: IOLoop) -> World:
    """Made once: what the attacks leave behind, such as a kill switch thrown, keeps nobody from attacking further."""
    return io_loop.run_sync(lambda: make_world(api))  # type: ignore[no-any-return]
