"""A holder of the engine is called dead only when it certainly is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from qsuite.services import engine_owner
from qsuite.services.engine_owner import owner, owner_is_dead
from tests.support.waiting import wait_until

linux_alone = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="told by /proc, which is not here")


def started() -> tuple["subprocess.Popen[str]", dict[str, Any]]:
    """Start a process and return it with the name it gave itself."""
    code = "import json, sys; from qsuite.services.engine_owner import owner; print(json.dumps(owner()), flush=True);"
    process = subprocess.Popen(
        [sys.executable, "-c", code + "sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_a_process_is_alive_until_it_was_killed() -> None:
    process, holder = started()
    assert not owner_is_dead(holder)
    end(process)
    assert owner_is_dead(holder)


@linux_alone
def test_a_killed_process_is_dead_before_its_parent_has_noticed() -> None:
    process, holder = started()
    process.kill()
    wait_until(lambda: owner_is_dead(holder), what="its death")
    end(process)


@linux_alone
def test_another_process_under_the_same_number_is_not_the_holder() -> None:
    assert owner_is_dead(owner() | {"started": owner()["started"] - 1})


@pytest.mark.parametrize("elsewhere", [{"host": "another"}, {"space": "pid:[1]"}])
def test_nothing_is_known_of_a_process_of_another_machine_or_container(elsewhere: dict[str, Any]) -> None:
    process, holder = started()
    end(process)
    assert not owner_is_dead(holder | elsewhere)


def test_a_process_from_before_this_machine_was_started_is_dead() -> None:
    assert owner_is_dead(owner() | {"boot": "another"})


def test_a_process_named_as_it_was_before_containers_were_told_apart_is_left_to_its_lease() -> None:
    old = {name: value for name, value in owner().items() if name in ("host", "boot", "pid")}
    assert not owner_is_dead(old | {"pid": 4_000_000})


def test_a_process_of_somebody_else_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, sign: int) -> None:
        raise PermissionError

    monkeypatch.setattr(engine_owner.os, "kill", refused)
    assert not owner_is_dead(owner())
