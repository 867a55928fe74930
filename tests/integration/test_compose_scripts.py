"""The certificates that the compose file makes: does a grid under them let in who shows one, and nobody else?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs

from config.compose import certificates
from qsuite.services.executors.grid import GridExecutor
from tests.support.mongod import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import sys
from distributed import Client
with Client(sys.argv[1], timeout=5) as client:
    print(client.scheduler_info()["type"])
"""


def test_a_grid_answers_whoever_shows_its_certificate_and_nobody_else(tmp_path: Path) -> None:
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        certificates.make_grid(tmp_path / folder)
    port = free_port()
    shipped = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["scheduler"]["entrypoint"]
    swapped = {"8786": str(port), "127.0.0.1:8787": "127.0.0.1:0"}
    with (tmp_path / "log").open("wb") as log:
        scheduler = subprocess.Popen(
            [Path(sys.executable).with_name(shipped[0]), *(swapped.get(word, word) for word in shipped[1:])],
            env=grid(tmp_path / "ours", "SCHEDULER"), stdout=log, stderr=log, cwd=tmp_path,
        )  # fmt: skip
    try:
        wait_until(lambda: "Scheduler at" in (tmp_path / "log").read_text(), what="the scheduler", timeout_s=60)
        asked = [ask(port, grid(tmp_path / folder, "CLIENT")) for folder in ("ours", "theirs")]
        told = [(one.communicate()[0], one.returncode == 0) for one in asked]
    finally:
        scheduler.kill()
        scheduler.wait()
    assert told == [("Scheduler\n", True), ("", False)]


def test_an_engine_without_a_certificate_for_its_grid_says_so_and_goes_on() -> None:
    executor = GridExecutor("tls://127.0.0.1:8786")
    with capture_logs() as lines:
        executor.look()
    assert not executor.ready
    assert [line["event"] for line in lines] == ["grid.away"]
    assert "wants DASK_DISTRIBUTED__COMM__TLS__CA_FILE" in lines[0]["error"]
    executor.shutdown()


def ask(port: int, environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ASK, f"tls://127.0.0.1:{port}"]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def grid(folder: Path, role: str) -> dict[str, str]:
    """Return what the compose file gives the containers of a grid."""
    tls = "DASK_DISTRIBUTED__COMM__TLS__"
    return {
        "PATH": os.environ["PATH"],
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        f"{tls}CA_FILE": str(folder / "ca.pem"),
        f"{tls}{role}__CERT": str(folder / "grid.pem"),
        f"{tls}{role}__KEY": str(folder / "grid-key.pem"),
    }


def test_a_certificate_that_is_given_is_taken_and_one_that_does_not_fit_its_key_is_not(tmp_path: Path) -> None:
    given, other, kept = tmp_path / "given", tmp_path / "other", tmp_path / "kept"
    for folder in (given, other, kept):
        folder.mkdir()
    made = certificates.main("edge", kept, given, ["localhost"])
    assert made.startswith("made a self-signed certificate for localhost")
    assert certificates.main("edge", kept, given, ["localhost"]).startswith("the self-signed certificate is good until")
    assert "desk.example" in certificates.main("edge", kept, given, ["desk.example"]), "another name, another one"

    certificates.make_edge(given, ["mine.example"])
    assert certificates.main("edge", kept, given, ["localhost"]).startswith("took the certificate given")
    assert (kept / "fullchain.pem").read_bytes() == (given / "fullchain.pem").read_bytes()
    assert (kept / "privkey.pem").stat().st_mode & 0o777 == 0o600

    certificates.make_edge(other, ["mine.example"])
    (given / "privkey.pem").write_bytes((other / "privkey.pem").read_bytes())
    with pytest.raises(SystemExit, match="is not the key of the first certificate"):
        certificates.main("edge", kept, given, ["localhost"])
    (given / "privkey.pem").unlink()
    with pytest.raises(SystemExit, match=r"privkey\.pem: no such file"):
        certificates.main("edge", kept, given, ["localhost"])
