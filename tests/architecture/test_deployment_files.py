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
from ops.stack.replica_set import PARAMETERS, SETTINGS
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.routes import all_routes
from qsuite.repos import grants
from qsuite.repos.schema import CollectionSpec
from qsuite.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROFILES = ("core", "full")
MEASURED = (
    "oplogNetworkTimeoutBufferSeconds",
    "oplogFetcherSteadyStateMaxFetcherRestarts",
    "transactionLifetimeLimitSeconds",
)
"""Of the local stack's parameters, those that its failures were measured with; the others make tests quick."""


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
def projects() -> dict[str, Any]:
    """What ``docker-compose config`` makes of each profile."""
    found = {}
    for profile in PROFILES:
        done = compose("--profile", profile, "config", "--format", "json")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        found[profile] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def services(projects: dict[str, Any]) -> dict[str, Any]:
    """Every service of any profile."""
    return {name: one for project in projects.values() for name, one in project["services"].items()}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's worth of what ``secrets.sh`` makes."""
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "config/compose").mkdir(parents=True)
    script = checkout / "config/compose/secrets.sh"
    script.write_text((ROOT / "config/compose/secrets.sh").read_text())
    done = subprocess.run(["sh", script, "full"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return checkout


def test_the_profiles_start_what_they_say(projects: dict[str, Any]) -> None:
    database = {"mongodb-1", "mongodb-2", "mongodb-3", "mongodb-init", "redis"}
    assert set(projects["core"]["services"]) == database | {"engine"}
    assert set(projects["full"]["services"]) == database | {
        *("engine-1", "engine-2", "gateway-1", "gateway-2", "edge-certificate", "nginx"),
        *("grid-certificate", "scheduler", "worker", "prometheus", "grafana"),
    }
    done = compose("config", "--services")
    assert (done.returncode, done.stdout.split()) == (0, []), "without a profile nothing starts"


def test_every_secret_that_compose_mounts_is_one_that_the_script_makes(projects: dict[str, Any], secrets: Path) -> None:
    mounted = {Path(one["file"]) for project in projects.values() for one in project["secrets"].values()}
    made = {path for path in (secrets / "secrets").iterdir() if path.is_file()}
    assert {path.relative_to(ROOT) for path in mounted} == {path.relative_to(secrets) for path in made}
    assert all(len(path.read_text()) >= 60 for path in made)
    assert (secrets / "secrets").stat().st_mode & 0o777 == 0o700
    assert (secrets / ".env").read_text() == "COMPOSE_PROFILES=full\n"


def test_the_script_makes_no_secret_twice_and_prints_none(secrets: Path) -> None:
    before = {path: path.read_text() for path in (secrets / "secrets").iterdir() if path.is_file()}
    (secrets / "secrets/redis_url").unlink()
    done = subprocess.run(["sh", secrets / "config/compose/secrets.sh"], capture_output=True, text=True)
    assert done.stdout == "made secrets/redis_url\n"
    assert {path: path.read_text() for path in before} == before
    assert (secrets / ".env").read_text() == "COMPOSE_PROFILES=full\n", "a profile that somebody chose is theirs"


def test_no_secret_is_in_an_environment_or_an_argument(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "network_mode" in service or service["networks"], name
        shown = {key for key in service.get("environment", {}) if re.search("PASSWORD|SECRET|_URI|_URL", key)}
        assert all(key.endswith("_FILE") for key in shown), (name, shown)


def test_every_container_has_bounds_and_says_how_it_is(services: dict[str, Any]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits.keys() == {"cpus", "memory", "pids"}, name
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name
        once = service["restart"] != "unless-stopped"
        built = "build" in service and service.get("entrypoint") is None  # the image's own health check
        assert once or built or "test" in service["healthcheck"], name


def test_every_image_is_an_exact_release(services: dict[str, Any]) -> None:
    images = {service["image"] for service in services.values() if "build" not in service}
    assert len(images) == 5
    for image in images:
        assert re.fullmatch(r"[a-z/-]+:v?[0-9]+\.[0-9]+\.[0-9]+(-alpine)?(@sha256:[0-9a-f]{64})?", image), image
    assert re.fullmatch(
        r"PYTHON=python:3\.11\.[0-9]+-slim-bookworm(@sha256:[0-9a-f]{64})?",
        next(rest for name, rest in dockerfile() if name == "ARG"),
    )
    assert {rest.split()[0] for name, rest in dockerfile() if name == "FROM"} == {"${PYTHON}"}


def test_what_guards_nothing_has_no_way_to_it(services: dict[str, Any], projects: dict[str, Any]) -> None:
    on = {name: set(service.get("networks") or {}) for name, service in services.items()}
    assert on["nginx"] == {"edge", "outside"}
    assert on["prometheus"] == on["grafana"] == {"watch", "outside"}
    assert on["scheduler"] == {"grid"}
    assert {name for name in on if "grid" in on[name]} == {"scheduler", "worker", "engine-1", "engine-2"}
    assert all(on[name] == {"inside"} for name in on if name.startswith(("mongodb", "redis")))
    networks = projects["full"]["networks"]
    assert {name for name, one in networks.items() if one.get("internal")} == {"inside", "edge", "grid", "watch"}


def test_every_container_is_without_root_rights_and_cannot_change_itself(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name


def test_nothing_but_the_edge_listens_on_other_machines(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert set(published) == {"engine", "nginx", "prometheus", "grafana"}
    assert [port["target"] for port in published.pop("nginx")] == [8443]
    assert {port["host_ip"] for ports in published.values() for port in ports} == {"127.0.0.1"}


def test_qsuite_waits_for_a_replica_set_of_three_and_redis(services: dict[str, Any]) -> None:
    members = [f"mongodb-{number}" for number in (1, 2, 3)]
    for name in ("engine", "engine-1", "engine-2", "gateway-1", "gateway-2"):
        assert services[name]["depends_on"]["mongodb-init"]["condition"] == "service_completed_successfully"
        assert services[name]["depends_on"]["redis"]["condition"] == "service_healthy"
    for name in members:
        assert services["mongodb-init"]["depends_on"][name]["condition"] == "service_healthy"
        assert {"--replSet=qsuite", "--keyFile=/tmp/keyfile"} <= set(services[name]["command"])
        assert "mongodb_keyfile" in {one["source"] for one in services[name]["secrets"]}
    hosts = services["mongodb-init"]["environment"]["MONGODB_HOSTS"]
    assert hosts == ",".join(f"{name}:27017" for name in members)


def test_a_set_of_three_has_the_settings_that_were_measured(services: dict[str, Any]) -> None:
    parameters = {one for one in services["mongodb-1"]["command"] if one.startswith("--setParameter")}
    assert {f"--setParameter={name}={PARAMETERS[name]}" for name in MEASURED} <= parameters
    script = (ROOT / "config/mongodb/initiate.js").read_text()
    (written,) = re.findall(r"SETTINGS = \{ (.*) \}", script)
    assert dict(pair.split(": ") for pair in written.split(", ")) == {
        key: str(value) for key, value in SETTINGS.items()
    }


def test_the_environment_given_to_qsuite_is_one_it_starts_with(services: dict[str, Any], secrets: Path) -> None:
    for name in ("engine", "engine-1", "engine-2", "gateway-1", "gateway-2", "worker"):
        given = {
            key: value.replace("/run/secrets", str(secrets / "secrets"))
            for key, value in services[name]["environment"].items()
        }
        for path in (secrets / "secrets").iterdir():
            path.chmod(0o600)  # in a container they are somebody else's; here they are ours, and for nobody else
        settings = load_settings(image_environment() | given, dotenv=None)
        assert (settings.profile, settings.host, settings.port) == ("production", "0.0.0.0", 8000)
        members = "mongodb-1:27017,mongodb-2:27017,mongodb-3:27017"
        assert (settings.mongodb_uri or "").endswith(f"@{members}/qsuite?replicaSet=qsuite&authSource=admin")
        assert (settings.redis_url or "").endswith("@redis:6379/0")
        assert settings.role == ("gateway" if name.startswith("gateway") else "all")
        grid = name in ("engine-1", "engine-2")
        assert settings.http.advertise == (f"http://{name}:8000" if grid else None)
        assert (settings.workers.executor, settings.workers.dask_scheduler) == (
            ("dask", "tls://scheduler:8786") if grid else ("process", "")
        )


def test_only_the_one_in_front_is_believed_about_who_asks(services: dict[str, Any]) -> None:
    def fixed(name: str, network: str) -> str:
        return str(services[name]["networks"][network]["ipv4_address"])

    trusted = "QSUITE_HTTP__TRUSTED_PROXIES"
    for name in ("gateway-1", "gateway-2"):
        assert services[name]["environment"][trusted] == fixed("nginx", "edge")
        assert f"{name}={fixed(name, 'edge')}" in services["nginx"]["extra_hosts"]
    assert all(trusted not in services[name]["environment"] for name in ("engine", "engine-1", "engine-2"))


def test_containers_are_given_the_time_that_a_stop_takes(services: dict[str, Any]) -> None:
    takes_s = load_settings({}, dotenv=None).http.shutdown_s
    for name in ("engine", "engine-1", "gateway-1", "nginx"):
        assert float(services[name]["stop_grace_period"].removesuffix("s")) >= takes_s + 5


def test_nginx_takes_large_bodies_only_where_qsuite_does_and_as_large() -> None:
    text = (ROOT / "config/nginx/nginx.conf").read_text()
    (pattern,) = re.findall(r"location ~ (\^/api/v1/\(\?:market\S+) ", text)
    bulk = {
        route.template
        for route in all_routes()
        if issubclass(route.handler, ApiHandler) and any(one.bulk for one in route.handler.operations.values())
    }
    assert len(bulk) == 6
    assert {route.template for route in all_routes() if re.match(pattern, route.template)} == bulk
    limits = load_settings({}, dotenv=None).http
    assert re.findall(r"client_max_body_size (\d+)m", text) == [
        str(limits.max_body_bytes // 1_048_576),
        str(limits.max_bulk_bytes // 1_048_576),
    ]


def test_nginx_waits_longer_than_the_gateways_and_than_two_heartbeats() -> None:
    text = (ROOT / "config/nginx/nginx.conf").read_text()
    settings = load_settings({}, dotenv=None)
    waits = [float(found) for found in re.findall(r"proxy_read_timeout (\d+)s", text)]
    assert waits[0] > settings.forward.timeout_s
    assert waits[1] >= 2 * settings.stream.heartbeat_s
    idle = float(re.findall(r"keepalive_timeout (\d+)s", text)[0])
    assert settings.http.idle_timeout_s > max(idle, 60), "QSuite must not close what nginx is about to use"


def test_prometheus_reads_every_process_that_has_figures(services: dict[str, Any]) -> None:
    read = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text())
    (job,) = [one for one in read["scrape_configs"] if one["job_name"] == "qsuite"]
    targets = {target for group in job["static_configs"] for target in group["targets"]}
    serving = {name for name, one in services.items() if "watch" in (one.get("networks") or {}) and "build" in one}
    assert targets == {f"{name}:8000" for name in serving}
    assert len(targets) == 4


def test_every_file_that_compose_mounts_is_there(services: dict[str, Any]) -> None:
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    sources = [Path(mount["source"]) for mount in mounts if mount["type"] == "bind"]
    assert len(sources) >= 5
    made = ROOT / "secrets"  # by config/compose/secrets.sh, or empty by Docker
    assert [source for source in sources if not source.exists() and made not in source.parents] == []
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


def test_the_initiator_and_the_command_let_operators_read_the_same_and_nothing_else() -> None:
    script = (ROOT / "config/mongodb/initiate.js").read_text()

    def listed(name: str) -> list[str]:
        found = re.search(rf"{name} = \[(.*?)\]", script, re.DOTALL)
        assert found is not None
        return re.findall(r'"(\w+)"', found.group(1))

    on_database, on_cluster, *readable = grants.ops_privileges("qsuite")
    assert listed("onDatabase") == on_database["actions"]
    assert listed("onCluster") == on_cluster["actions"]
    assert listed("SECRET") == sorted(grants.SECRET)
    allowed = {*listed("COLLECTIONS"), *listed("APPEND_ONLY")} - set(listed("SECRET"))
    assert sorted(allowed) == [one["resource"]["collection"] for one in readable]
    assert {tuple(one["actions"]) for one in readable} == {("find",)}


def collections_in_the_code() -> set[str]:
    modules = [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(qsuite.repos.__path__, "qsuite.repos.")
    ]
    values = [value for module in modules for value in vars(module).values()]
    return {value.name for value in values if isinstance(value, CollectionSpec)}


# ---------------------------------------------------------------- the image


def image_environment() -> dict[str, str]:
    """What the image sets."""
    (words,) = [shlex.split(rest) for name, rest in dockerfile() if name == "ENV" and "QSUITE_PORT" in rest]
    return {key: value for key, _, value in (word.partition("=") for word in words) if key.startswith("QSUITE_")}


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
    assert '--require-hashes --requirement "requirements/${LOCK}.lock"' in pips[0]
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
            [sys.executable, *command[1:]],
            env={"QSUITE_PORT": str(server.server_port), "HEALTH_PATH": "/health/ready"},
            capture_output=True,
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
