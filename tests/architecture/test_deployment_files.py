"""Would the files that deploy QSuite be accepted, and do they keep their promises?

Docker itself is not needed: the real ``docker-compose`` comes as a package and reads the file without an engine.
"""

import http.server
import importlib
import json
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

import qsuite.repos
from qsuite.repos import grants
from qsuite.repos.schema import CollectionSpec
from qsuite.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "QSUITE_SECRET_KEY": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "MONGODB_ROOT_PASSWORD": "a1b2c3d4",
    "MONGODB_PASSWORD": "b2c3d4e5",
    "REDIS_PASSWORD": "c3d4e5f6",
}
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ALL_PROFILES = ("--profile", "edge", "--profile", "monitoring")


def compose(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    binary = shutil.which("docker-compose", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if binary is None:
        pytest.skip("no docker-compose: install the extra `test`")
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [binary, "--env-file", "/dev/null", *arguments],
        cwd=ROOT, env=bare | environment, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Every service as ``docker-compose config`` understands it."""
    done = compose(*ALL_PROFILES, "config", "--format", "json", **SECRETS)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


@pytest.mark.parametrize("missing", SECRETS)
def test_compose_refuses_to_start_without_a_secret_and_names_it(missing: str) -> None:
    done = compose("config", **{name: value for name, value in SECRETS.items() if name != missing})
    assert done.returncode != 0
    assert f"required variable {missing} is missing a value: set it in .env" in done.stderr


def test_every_container_is_without_root_rights_and_cannot_change_itself(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_nothing_but_the_edge_listens_on_other_machines(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert set(published) == {"qsuite", "nginx", "prometheus", "grafana"}
    del published["nginx"]
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}


def test_qsuite_waits_for_a_replica_set_and_redis(services: dict[str, Any]) -> None:
    assert services["qsuite"]["depends_on"]["mongodb-init"]["condition"] == "service_completed_successfully"
    assert services["qsuite"]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert services["mongodb-init"]["depends_on"]["mongodb"]["condition"] == "service_healthy"
    assert services["mongodb"]["image"].startswith("mongo:8")
    assert "--replSet" in services["mongodb"]["command"]


def test_the_environment_given_to_qsuite_is_one_it_starts_with(services: dict[str, Any]) -> None:
    settings = load_settings(services["qsuite"]["environment"], dotenv=None)
    assert settings.profile == "production"
    assert settings.mongodb_uri == (
        f"mongodb://qsuite:{SECRETS['MONGODB_PASSWORD']}@mongodb:27017/qsuite?replicaSet=qsuite&authSource=admin"
    )
    assert settings.redis_url == f"redis://:{SECRETS['REDIS_PASSWORD']}@redis:6379/0"
    assert settings.host == "0.0.0.0"


def test_every_file_that_compose_mounts_is_there(services: dict[str, Any]) -> None:
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    sources = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
    assert len(sources) >= 5
    assert [source for source in sources if not source.exists()] == []
    assert all(mount.get("read_only") for mount in mounts if mount["type"] == "bind")


def test_the_initiator_lets_qsuite_change_every_collection_but_the_audit_chains() -> None:
    script = (ROOT / "config/mongodb/initiate.js").read_text()
    listed = re.search(r"COLLECTIONS = \[(.*?)\]", script, re.DOTALL)
    assert listed is not None
    allowed = set(re.findall(r'"(\w+)"', listed.group(1)))
    assert collections_in_the_code() - allowed == {"audit_log", "audit_access"}


def test_the_initiator_and_the_command_make_the_same_role() -> None:
    script = (ROOT / "config/mongodb/initiate.js").read_text()

    def listed(name: str) -> list[str]:
        found = re.search(rf"{name} = \[(.*?)\]", script, re.DOTALL)
        assert found is not None
        return re.findall(r'"(\w+)"', found.group(1))

    everywhere, capped, *changeable = grants.privileges("qsuite")
    assert listed("everywhere") == everywhere["actions"]
    assert sorted(listed("COLLECTIONS")) == [one["resource"]["collection"] for one in changeable]
    assert f'const CAPPED = "{capped["resource"]["collection"]}"' in script
    assert listed("APPEND_ONLY") == list(grants.APPEND_ONLY)
    assert {tuple(one["actions"]) for one in changeable} == {("update", "remove")}
    assert 'actions: ["update", "remove"]' in script


def collections_in_the_code() -> set[str]:
    modules = [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(qsuite.repos.__path__, "qsuite.repos.")
    ]
    values = [value for module in modules for value in vars(module).values()]
    return {value.name for value in values if isinstance(value, CollectionSpec)}


# ---------------------------------------------------------------- the image


def dockerfile() -> list[tuple[str, str]]:
    """The instructions: (name, the rest on one line)."""
    text = (ROOT / "Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#")).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines.splitlines() if line.strip()]


def test_the_image_runs_as_a_numbered_user_who_is_not_root() -> None:
    users = [rest for name, rest in dockerfile() if name == "USER"]
    assert users, "an image without USER runs as root"
    uid, gid = users[-1].split(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000


def test_the_image_installs_from_the_lock_by_hash_and_nothing_else() -> None:
    installs = [
        part for name, rest in dockerfile() if name == "RUN" for part in rest.split("&&") if " install " in part
    ]
    pips = [part for part in installs if "pip" in part]
    assert len(pips) == 2
    assert "--require-hashes --requirement requirements/base.lock" in pips[0]
    assert "--no-deps --no-build-isolation" in pips[1]


def test_everything_the_image_copies_is_there_and_not_ignored() -> None:
    admitted = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for name, rest in dockerfile()
        if name == "COPY" and "--from" not in rest
        for source in shlex.split(rest)[:-1]
    ]
    assert copied
    for source in copied:
        assert list(ROOT.glob(source)), source
        assert source in admitted, source


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
def test_the_health_check_of_the_image_follows_readiness(status: int, exit_code: int) -> None:
    asked: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return

    (check,) = [rest for name, rest in dockerfile() if name == "HEALTHCHECK"]
    command = json.loads(check[check.index("[") :])
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = subprocess.run(
            [sys.executable, *command[1:]], env={"QSUITE_PORT": str(server.server_port)}, capture_output=True
        )
        thread.join()
    assert asked == ["/health/ready"]
    assert done.returncode == exit_code


# ---------------------------------------------------------------- continuous integration and monitoring


SCHEMAS = {
    "docker-compose.yml": "vendor.compose-spec",
    ".github/dependabot.yml": "vendor.dependabot",
    **{path.relative_to(ROOT).as_posix(): "vendor.github-workflows" for path in WORKFLOWS},
}


@pytest.mark.parametrize("file", SCHEMAS)
def test_the_file_fits_its_published_schema(file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[file], file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_github_calls_the_two_commands() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {"make check", "make test"} <= {step.get("run") for step in steps}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_read_rights_pinned_actions_and_a_limit_of_time(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    writers = {name for name, job in workflow["jobs"].items() if "permissions" in job}
    assert writers <= {"publish"}, "only what publishes a release may write"
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 180
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]), step
            assert "${{" not in step.get("run", ""), "what GitHub fills in reaches a shell by the environment alone"


def test_what_workflows_and_the_commit_hook_call_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(path.read_text() for path in [*WORKFLOWS, ROOT / ".pre-commit-config.yaml"])
    called = {name for line in re.findall(r"(?:run|entry): make ([a-z ]+)|\bmake ([a-z ]+)$", text, re.MULTILINE)
              for name in " ".join(line).split()}  # fmt: skip
    assert {"check", "test", "bench", "dist", "sbom"} <= called <= targets


def test_the_same_script_runs_the_same_commands_elsewhere() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "\nmake check\n" in script.read_text()
    assert "\nmake test " in script.read_text()


def test_commit_hooks_fetch_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]


def test_alerts_and_dashboards_ask_for_figures_that_qsuite_gives() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "qsuite").rglob("*.py"))
    given = set(re.findall(r'"(qsuite_\w+)"', code))
    asked: set[str] = set()
    for file in ("config/prometheus/alerts.yml", "config/grafana/dashboards/qsuite.json"):
        asked |= set(re.findall(r"\bqsuite_\w+", (ROOT / file).read_text()))
    assert asked
    unsuffixed = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    assert unsuffixed - given == set()
