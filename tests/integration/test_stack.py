"""The local stack as people start it: it says where it is, stops when told, and a killed one leaves nothing behind."""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ops.stack.redis_server import find_redis
from ops.stack.replica_set import find_mongod
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--members", "1", "--no-standby", "--gateways", "0", "--workers", "0", "--symbols", "ALFA")


@contextmanager
def stack(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    if find_mongod() is None or find_redis() is None:
        pytest.skip("no mongod, or no Redis")
    command = [sys.executable, "-m", "ops.stack", *SMALL, "--folder", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        with process.stdout:
            yield process
    finally:
        process.kill()
        process.wait()


def told(process: "subprocess.Popen[str]") -> str:
    """Read what it says until it has started."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Started in"):
            break
    return "".join(lines)


def ids(text: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"pid (\d+)", text)]


@pytest.mark.timeout(300)
def test_it_says_where_it_is_and_has_the_same_address_and_users_at_its_next_start(tmp_path: Path) -> None:
    found = []
    for how in (signal.SIGINT, signal.SIGKILL):
        with stack(tmp_path) as process:
            text = told(process)
            (url,) = re.findall(r"Health: +curl -s (\S+)", text)
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.status == 200
            found.append((url, re.findall(r"^  (\w+) +(\S{43})  \(", text, re.MULTILINE)))
            pids = ids(text)
            assert len(pids) == 3
            if how is signal.SIGKILL:
                psutil.Process(pids[0]).suspend()  # frozen or not
            process.send_signal(how)
            assert process.wait(60) == (0 if how is signal.SIGINT else -signal.SIGKILL)
            wait_until(lambda pids=pids: not any(psutil.pid_exists(pid) for pid in pids), what="the end of all")
    assert found[0] == found[1]
    assert [name for name, _ in found[0][1]] == ["operator", "trader"]
