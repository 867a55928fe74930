"""Would a cluster take the manifests, and do they name what there is: commands, routes, ports, settings, each other?"""

import re
from pathlib import Path

import click
import kubernetes_validate
import pytest
import yaml

from qsuite.cli import cli
from qsuite.handlers.routes import all_routes
from qsuite.settings import load_settings
from tests.support.manifests import FOLDER, Object, configured, containers, objects, of_kind, pods

ROOT = FOLDER.parents[1]
VERSION = "1.32"
ROUTES = {route.template.rstrip("/") for route in all_routes()}
SERVING = ("engine", "gateway")


def selects(selector: dict[str, str], template: Object) -> bool:
    return selector.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("one", objects(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_the_object_fits_its_schema(one: Object) -> None:
    kubernetes_validate.validate(one, VERSION, strict=True)


def test_every_pod_is_one_that_a_restricted_namespace_takes_and_asks_nothing_of_the_cluster() -> None:
    assert of_kind("Namespace")["qsuite"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert of_kind("ServiceAccount")["qsuite"]["automountServiceAccountToken"] is False
    image = (ROOT / "Dockerfile").read_text()
    for name, template in pods().items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["serviceAccountName"] == "qsuite", name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert f"USER {spec['securityContext']['runAsUser']}:" in image, name
        for container in containers(template):
            secured = container["securityContext"]
            assert secured["allowPrivilegeEscalation"] is False, name
            assert secured["readOnlyRootFilesystem"] is True, name
            assert secured["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, name


def test_every_container_is_the_image_and_runs_a_command_with_options_that_there_are() -> None:
    for name, template in pods().items():
        for container in containers(template):
            assert re.match(r"(registry\.example/)?qsuite(:0\.1\.0)?$", container["image"]), name
            command: click.Command | None = cli
            words = list(container["args"])
            while isinstance(command, click.Group):
                command = command.get_command(click.Context(command), words.pop(0))
            assert command is not None, name
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= options, name


def test_the_settings_given_are_ones_that_qsuite_starts_with(tmp_path: Path) -> None:
    secrets = {
        "secret_key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        "mongodb_uri": "mongodb+srv://qsuite:c0ffee@db.example/qsuite",
        "redis_url": "rediss://:c0ffee@redis.example:6379/0",
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o600)
    for name in SERVING:
        (container,) = pods()[name]["spec"]["containers"]
        own = {one["name"]: one.get("value", "").replace("$(POD_NAME)", "engine-0") for one in container.get("env", [])}
        given = {key: value for key, value in {**configured(), **own}.items() if key.startswith("QSUITE_")}
        settings = load_settings(
            {key: value.replace("/run/secrets/qsuite", str(tmp_path)) for key, value in given.items()}, dotenv=None
        )
        assert settings.profile == "production"
        assert settings.mongodb_uri == secrets["mongodb_uri"]
        assert settings.plain_network is (name == "engine"), "gateways ask for TLS on the way to both databases"
        assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [("http", settings.port)]
    advertised = {one["name"]: one.get("value") for one in pods()["engine"]["spec"]["containers"][0]["env"]}
    assert advertised["QSUITE_HTTP__ADVERTISE"] == "http://$(POD_NAME).engine:8000"
    assert of_kind("StatefulSet")["engine"]["spec"]["serviceName"] == "engine"
    assert of_kind("Service")["engine"]["spec"]["clusterIP"] == "None"


def test_every_probe_asks_what_is_there_and_a_process_that_stands_by_is_not_ended_for_it() -> None:
    for name in SERVING:
        (container,) = pods()[name]["spec"]["containers"]
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {probe["path"] for probe in probes.values()} <= ROUTES
        assert {probe["port"] for probe in probes.values()} == {"http"}
        assert probes["startup"]["path"] == probes["liveness"]["path"] == "/health/live"
        assert probes["readiness"]["path"] == ("/health/ready" if name == "gateway" else "/health/live")
        assert pods()[name]["metadata"]["annotations"]["prometheus.io/path"] in ROUTES


def test_a_pod_is_given_the_time_that_a_stop_takes() -> None:
    takes_s = load_settings({}, dotenv=None).http.shutdown_s
    for name in SERVING:
        spec = pods()[name]["spec"]
        (container,) = spec["containers"]
        waits = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["", "0"])
        assert spec["terminationGracePeriodSeconds"] >= float(waits[1]) + takes_s + 5, name


def test_only_gateways_are_scaled_and_of_neither_kind_all_are_taken_at_once() -> None:
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of_kind("HorizontalPodAutoscaler").values()}
    assert scaled == {"gateway"}
    assert "replicas" not in of_kind("Deployment")["gateway"]["spec"], "it would undo the autoscaler"
    assert of_kind("StatefulSet")["engine"]["spec"]["replicas"] == 2
    for name in SERVING:
        budget = of_kind("PodDisruptionBudget")[name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert selects(budget["selector"]["matchLabels"], pods()[name])
        spread = pods()[name]["spec"]["topologySpreadConstraints"]
        assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert all(selects(one["labelSelector"]["matchLabels"], pods()[name]) for one in spread)


def test_services_and_policies_select_the_pods_they_are_named_for() -> None:
    for name in SERVING:
        assert selects(of_kind("Service")[name]["spec"]["selector"], pods()[name])
        assert selects(of_kind("NetworkPolicy")[name]["spec"]["podSelector"]["matchLabels"], pods()[name])
    databases = of_kind("NetworkPolicy")["databases"]["spec"]
    assert all(selects(databases["podSelector"]["matchLabels"], template) for template in pods().values())
    nothing = of_kind("NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (allowed,) = of_kind("NetworkPolicy")["engine"]["spec"]["ingress"]
    callers = [one["podSelector"]["matchLabels"] for one in allowed["from"] if "podSelector" in one]
    assert [name for name, template in pods().items() if any(selects(one, template) for one in callers)] == ["gateway"]


def test_the_ingress_leads_to_the_gateways_as_long_as_a_stream_needs_and_never_to_the_figures() -> None:
    ingress = of_kind("Ingress")["qsuite"]
    paths = {one["path"]: one["backend"]["service"]["name"] for one in ingress["spec"]["rules"][0]["http"]["paths"]}
    assert paths == {"/": "gateway", "/metrics": "nowhere"}
    assert "selector" not in of_kind("Service")["nowhere"]["spec"]
    said = {key.rpartition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    settings = load_settings({}, dotenv=None)
    assert float(said["proxy-read-timeout"]) >= 2 * settings.stream.heartbeat_s
    assert float(said["proxy-read-timeout"]) > settings.forward.timeout_s
    assert said["proxy-body-size"] == f"{settings.http.max_bulk_bytes // 1_048_576}m"
    assert said["proxy-next-upstream"] == "off"


def test_secrets_are_files_that_the_configuration_names() -> None:
    read = {path.rpartition("/")[0] for key, path in configured().items() if key.endswith("_FILE")}
    assert read == {"/run/secrets/qsuite"}
    for name, template in pods().items():
        (volume,) = [one for one in template["spec"]["volumes"] if "secret" in one]
        assert volume["secret"] == {"secretName": "qsuite", "defaultMode": 0o440}, name
        for container in containers(template):
            mounted = {one["name"]: one for one in container["volumeMounts"]}
            assert mounted[volume["name"]]["mountPath"] == "/run/secrets/qsuite"
            assert mounted["data"]["mountPath"] == "/data"
            assert container["envFrom"][0]["configMapRef"]["name"].startswith("qsuite")
    assert "Secret" not in {one["kind"] for one in objects()}, "none is written down here"


def test_the_page_names_every_secret_that_is_read() -> None:
    page = (FOLDER / "README.md").read_text()
    for key, path in configured().items():
        if key.endswith("_FILE"):
            assert f"--from-file={path.rpartition('/')[2]}=" in page


def test_the_base_is_what_the_overlay_starts_from() -> None:
    written = yaml.safe_load((FOLDER / "overlays/production/kustomization.yaml").read_text())
    assert written["resources"] == ["../../base"]
    listed = yaml.safe_load((FOLDER / "base/kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(
        path.name for path in (FOLDER / "base").glob("*.yaml") if path.name != "kustomization.yaml"
    )
