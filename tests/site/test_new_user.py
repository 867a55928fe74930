"""The tutorial, walked as its reader does: a fresh clone, ``make run`` in one terminal, all else in a second."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.site.test_pages import TUTORIAL, assert_shown, told_to_all
from tests.support.mongod import find_mongod
from tests.support.pages import MARK, PAGE_S, Block, blocks_of, run_page, script_of
from tests.support.server import CHECKOUT, START_S
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.timeout(PAGE_S + 60),
    pytest.mark.skipif(find_mongod() is None, reason="no mongod to embed"),
    pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="not a clone"),
]


def test_a_new_user_reaches_a_filled_order_a_chart_and_metrics(tmp_path: Path) -> None:
    blocks = blocks_of(TUTORIAL.read_text(encoding="utf-8"))
    terminal = next(at for at, block in enumerate(blocks) if "server" in block.told.split())
    cloned = run_page(
        script_of(blocks[:terminal], {}).replace("REPOSITORY=…", f"REPOSITORY={CHECKOUT}"), tmp_path, plain()
    )
    assert cloned.code == 0, cloned.errors
    folder = tmp_path / "qsuite"
    as_in_the_working_tree(folder)
    as_installed(folder)
    with first_terminal(blocks[terminal], folder) as address:
        script = script_of(blocks[terminal + 1 :], {}).replace("127.0.0.1:8000", address.removeprefix("http://"))
        ran = run_page(script, folder, plain() | told_to_all() | {"ADDRESS": address, "PYTHONPATH": str(folder)})
        last = max(ran.written, default=0)
        assert ran.code == 0, f"tutorial.md:{last} ended with {ran.code}\n{ran.written.get(last)}\n{ran.errors}"
        assert_shown("tutorial.md", blocks, cloned.written | ran.written)
        for report in ("crossover.html", "breakout.html"):
            assert "<svg" in (folder / report).read_text(encoding="utf-8")
        assert MARK not in ran.errors


def plain() -> dict[str, str]:
    """Return the environment of somebody who never heard of QSuite."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("QSUITE_", "MAKE"))}


def as_in_the_working_tree(folder: Path) -> None:
    """Bring over what is changed and not committed: the tutorial is that of the working tree, too."""
    changed = subprocess.run(
        ["git", "ls-files", "--modified", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in changed:
        if (CHECKOUT / name).is_file() and not (CHECKOUT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)


def as_installed(folder: Path) -> None:
    """Give it the packages that these tests run with, so that ``make run`` has nothing left to install."""
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.prefix) / "bin")
    for found in ("pyvenv.cfg", "lib", "lib64", "include"):
        if (Path(sys.prefix) / found).exists():
            (folder / ".venv" / found).symlink_to(Path(sys.prefix) / found)
    (folder / ".venv" / ".installed-run").touch()


@contextmanager
def first_terminal(block: Block, folder: Path) -> Iterator[str]:
    """Run the server's block until its Ctrl-C; yield its address."""
    printed = folder.with_name("printed")
    ours = {"QSUITE_PORT": "0", "QSUITE_MONGO__CACHE_GIB": "0.25", "QSUITE_WORKERS__JOB_NICENESS": "0"}
    with printed.open("wb") as output:
        server = subprocess.Popen(
            ["bash", "-c", block.text], cwd=folder, env=plain() | ours | {"PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:

        def told() -> bool:
            assert server.poll() is None, printed.read_text()
            return "Ctrl-C stops QSuite" in printed.read_text()

        wait_until(told, timeout_s=START_S, what="the demo market")
        yield printed.read_text().partition("Address ")[2].split()[0]
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=START_S)
        assert "Stopping" in printed.read_text()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
