"""Every command on every page does what the page says: run beside one server with the demo market.

The tutorial and what its reader does in two terminals: ``test_new_user``.
"""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from tests.support.mongod import find_mongod
from tests.support.pages import FENCE, PAGE_S, RUN, UNTOLD, Block, Ran, blocks_of, is_shown, run_page, script_of
from tests.support.server import CHECKOUT, START_S, Server, serving
from tests.support.waiting import wait_until

TUTORIAL = CHECKOUT / "docs" / "start" / "tutorial.md"
GENERATED = {"reference", "adr"}
"""Written from the code, or notes on decisions, whose blocks are no instructions."""
PAGES = sorted(
    [
        *CHECKOUT.glob("*.md"),
        *(
            path
            for path in (CHECKOUT / "docs").rglob("*.md")
            if path.relative_to(CHECKOUT / "docs").parts[0] not in GENERATED or path.name == "stream.md"
        ),
    ]
)
WRITTEN_FOR = "127.0.0.1:8000"
MONGOD_WRITTEN_FOR = "mongodb://127.0.0.1:27017/?replicaSet=qsuite"
AS_IN_A_CHECKOUT = ("config", "docs", "ops", ".env.example")
ALONE = CHECKOUT / "docs" / "how-to" / "keys.md"
"""Revokes the key that everybody's token is signed with, so it is read after the others."""
AT_ONCE = 3
TYPING = "test_what_a_page_says_can_be_typed"
pytestmark = pytest.mark.timeout(PAGE_S + 60)
QUICK = {"WORKERS__JOB_NICENESS": "0", "MONGO__CACHE_GIB": "0.25", "AUDIT__HEADS_S": "1"}
TYPED = [
    path for path in PAGES if path != TUTORIAL and any(block.is_run for block in blocks_of(path.read_text("utf-8")))
]


def named(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo market."""
    if find_mongod() is None:
        pytest.skip("no mongod to embed")
    # Jobs give way to all else, and on a busy machine that is for ever.
    with serving(tmp_path_factory.mktemp("pages") / "data", "--demo", PROFILE="local", PORT="0", **QUICK) as found:
        assert found.url
        wait_until(lambda: "Ctrl-C stops" in found.printed, timeout_s=START_S, what="the demo market")
        yield found


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, server: Server) -> Iterator[dict[Path, "Future[Ran]"]]:
    """The pages that were asked for, some at a time: their readers wait for most of the time, too."""
    tests = [item for item in request.session.items if getattr(item, "originalname", "") == TYPING]
    asked = [item.callspec.params["path"] for item in tests]  # type: ignore[attr-defined]
    with ThreadPoolExecutor(AT_ONCE) as readers:
        found = {path: readers.submit(read, path, server) for path in asked if path != ALONE}
        if ALONE in asked:
            found[ALONE] = readers.submit(read_alone, server, list(found.values()))
        yield found


def read_alone(server: Server, others: list["Future[Ran]"]) -> Ran:
    wait(others)
    return read(ALONE, server)


def read(path: Path, server: Server) -> Ran:
    """Type what a page says, in a folder of its own that looks like a checkout to whoever stands in it."""
    folder = server.data_dir.with_name(named(path).replace("/", "-"))
    folder.mkdir()
    for name in AS_IN_A_CHECKOUT:
        (folder / name).symlink_to(CHECKOUT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "data").symlink_to(server.data_dir)
    known = json.loads((server.data_dir / "server.json").read_text())
    passwords = json.loads((server.data_dir / "credentials.json").read_text())
    script = script_of(blocks_of(path.read_text(encoding="utf-8")), passwords)
    script = script.replace(MONGOD_WRITTEN_FOR, known["mongodb_uri"]).replace('"…"', f'"{passwords["demo"]}"')
    script = script.replace(WRITTEN_FOR, server.url.removeprefix("http://"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("QSUITE_")}
    return run_page(script, folder, environment | told_to_all() | {"ADDRESS": server.url})


@pytest.mark.parametrize("path", TYPED, ids=named)
def test_what_a_page_says_can_be_typed(path: Path, outcomes: "dict[Path, Future[Ran]]") -> None:
    ran = outcomes[path].result()
    last = max(ran.written, default=0)
    assert ran.code == 0, f"{named(path)}:{last} ended with {ran.code}\n{ran.written.get(last)}\n{ran.errors}"
    assert_shown(named(path), blocks_of(path.read_text(encoding="utf-8")), ran.written)


def assert_shown(page: str, blocks: list[Block], written: dict[int, str]) -> None:
    """Hold what a page shows against what its commands wrote."""
    before = 0
    for block in blocks:
        if block.is_run:
            before = block.line
        elif block.is_output:
            assert is_shown(block.text, written[before]), f"{page}:{block.line} shows otherwise:\n{written[before]}"


def told_to_all() -> dict[str, str]:
    """Return what every page's shell knows: this checkout, and the mongosh that `make test` installs."""
    mongosh = Path(sys.prefix) / "mongosh" / "node_modules" / "mongosh" / "bin" / "mongosh.js"
    return {"PYTHONPATH": str(CHECKOUT), "MONGOSH_JS": str(mongosh)}


def test_what_cannot_be_run_is_named_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [(named(path), block) for path in PAGES for block in blocks_of(path.read_text(encoding="utf-8"))]
    unrun = [(page, block) for page, block in blocks if block.told_of("no-run")]
    with capsys.disabled():
        sys.stdout.write(f"\nNot run, of {sum(block.language in RUN for _, block in blocks)} blocks of commands:\n")
        for page, block in unrun:
            sys.stdout.write(f"  {page}:{block.line} {block.told_of('no-run')}\n")
    assert all(block.language in RUN for _, block in unrun)


@pytest.mark.parametrize("path", PAGES, ids=named)
def test_every_block_says_whether_it_is_run(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0
    for block in blocks_of(text):
        where = f"{named(path)}:{block.line}"
        assert block.language not in UNTOLD, f"{where}: sh or python if it is to be run, text if it is not"
        assert "no-run" not in block.told or block.told_of("no-run"), f"{where}: say why it cannot run"
        assert not block.told or block.language in RUN or block.is_output or block.language.startswith("{"), where


def test_the_blocks_of_a_page_are_found_with_their_lines() -> None:
    page = "a\n```sh\nls\n```\n:::{tip}\n```sh no-run: far away\nrm\n```\n:::\n```json shown\n{}\n```\n"
    found = blocks_of(page)
    assert [(block.line, block.text) for block in found] == [(2, "ls\n"), (6, "rm\n"), (10, "{}\n")]
    assert [block.is_run for block in found] == [True, False, False]
    assert found[1].told_of("no-run") == "far away"
    assert FENCE.search("no fence") is None


def test_what_is_shown_is_looked_for_in_its_order() -> None:
    assert is_shown('{"a": 1, …,\n "c": 3}', '{"a":1,"b":2,"c":3}')
    assert not is_shown('{"c": 3, … "a": 1', '{"a":1,"b":2,"c":3}')
