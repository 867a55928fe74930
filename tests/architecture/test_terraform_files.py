"""Is the Terraform for AWS valid, as narrow as it says, and does it fit what QSuite does with its time and its names?

``terraform fmt`` runs where a terraform is; ``terraform validate`` also wants the provider, from a folder that
``TF_PLUGIN_DIR`` names (``terraform providers mirror`` makes one). Everything else needs neither.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from qsuite.handlers.routes import all_routes
from qsuite.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/terraform/aws"
FILES = sorted(FOLDER.glob("*.tf"))
TEXT = "\n".join(path.read_text() for path in FILES)
# What AWS takes no narrower resource for, and what stands in a key's own policy, where "*" is that key.
WIDE = {
    "ecr:GetAuthorizationToken",
    "kms:*",
    "kms:Encrypt*,kms:Decrypt*,kms:ReEncrypt*,kms:GenerateDataKey*,kms:Describe*",
}


def plain(value: Any) -> Any:
    """Return what the parser read without the quotes it keeps around strings."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


@pytest.fixture(scope="module")
def blocks() -> dict[str, list[Any]]:
    """Every top-level block of all files, by its kind."""
    found: dict[str, list[Any]] = {}
    for path in FILES:
        for kind, each in plain(hcl2.loads(path.read_text())).items():
            found.setdefault(kind, []).extend(each if isinstance(each, list) else [each])
    return found


def resources(blocks: dict[str, list[Any]], kind: str) -> dict[str, Any]:
    return {name: body for one in blocks["resource"] if kind in one for name, body in one[kind].items()}


def terraform(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    if shutil.which("terraform") is None:
        pytest.skip("no terraform on the PATH: the files are only parsed")
    environment = {key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"}
    return subprocess.run(
        ["terraform", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**environment, "CHECKPOINT_DISABLE": "1"},
    )


def test_the_files_are_formatted() -> None:
    done = terraform("fmt", "-check", "-recursive", cwd=FOLDER)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_files_are_valid(tmp_path: Path) -> None:
    plugins = os.environ.get("TF_PLUGIN_DIR")
    if plugins is None:
        pytest.skip("no TF_PLUGIN_DIR with the provider for AWS: the files are parsed and formatted, not validated")
    for path in FILES:
        shutil.copy(path, tmp_path)
    done = terraform("init", "-backend=false", f"-plugin-dir={plugins}", "-no-color", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    done = terraform("validate", "-no-color", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_versions_are_pinned_and_every_variable_says_what_it_is(blocks: dict[str, list[Any]]) -> None:
    (versions,) = blocks["terraform"]
    (providers,) = versions["required_providers"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", providers["aws"]["version"])
    variables = {name: body for one in blocks["variable"] for name, body in one.items()}
    assert all(len(body["description"]) > 10 and "type" in body for body in variables.values())
    free = {name for name, body in variables.items() if "validation" not in body}
    assert free == {"redis_node_type", "alarm_topic_arn", "access_log_bucket", "deletion_protection"}
    outputs = {name: body for one in blocks["output"] for name, body in one.items()}
    assert all(body["description"] for body in outputs.values())
    page = (FOLDER / "README.md").read_text()
    assert [name for name in variables if "default" not in variables[name] and f"`{name}`" not in page] == []


def statements(blocks: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for one in blocks["data"]:
        for body in one.get("aws_iam_policy_document", {}).values():
            yield from body["statement"]


def test_nobody_may_do_anything_to_everything(blocks: dict[str, list[Any]]) -> None:
    wide = set()
    for one in statements(blocks):
        if one.get("resources") == ["*"]:
            wide.add(",".join(one["actions"]))
        else:
            assert not any(action.endswith("*") for action in one["actions"]), one
    assert wide == WIDE
    assert "managed_policy" not in TEXT
    assert "policy_attachment" not in TEXT


def test_gateways_may_ask_nothing_of_aws_and_nobody_but_the_execution_role_reads_secrets(
    blocks: dict[str, list[Any]],
) -> None:
    assert set(resources(blocks, "aws_iam_role")) == {"execution", "engine", "gateway"}
    assert set(resources(blocks, "aws_iam_role_policy")) == {"execution", "engine"}
    assert len([one for one in statements(blocks) if "secretsmanager:GetSecretValue" in one["actions"]]) == 1


def test_only_the_load_balancer_is_reached_by_address_and_all_else_by_group(blocks: dict[str, list[Any]]) -> None:
    for name, rule in resources(blocks, "aws_vpc_security_group_ingress_rule").items():
        assert ("cidr_ipv4" in rule) == (name == "clients"), name
    assert all(
        "ingress" not in body and "egress" not in body for body in resources(blocks, "aws_security_group").values()
    )
    listeners = resources(blocks, "aws_lb_listener")
    assert [(one["port"], one["protocol"]) for one in listeners.values()] == [(443, "HTTPS")]
    assert set(re.findall(r"subnets\s+= (.*)", TEXT)) == {
        "aws_subnet.public[*].id",  # the load balancer's
        *(
            "aws_subnet.private[*].id",
            "[aws_subnet.private[local.engines.a].id]",
            "[aws_subnet.private[local.engines.b].id]",
        ),
    }
    assert "assign_public_ip" not in TEXT


def test_only_gateways_are_scaled_and_the_engines_never_go_at_once(blocks: dict[str, list[Any]]) -> None:
    (target,) = resources(blocks, "aws_appautoscaling_target").values()
    assert "aws_ecs_service.gateway.name" in target["resource_id"]
    services = resources(blocks, "aws_ecs_service")
    assert {services[name]["desired_count"] for name in ("engine_a", "engine_b")} == {1}
    assert all(services[name]["wait_for_steady_state"] is True for name in ("engine_a", "engine_b"))
    assert services["engine_b"]["depends_on"] == ["${aws_ecs_service.engine_a}"]


def number(name: str) -> float:
    (found,) = re.findall(rf"^\s*{name}\s+= (\d+)$", TEXT, re.MULTILINE)
    return float(found)


def test_streams_and_stops_are_given_the_time_they_take() -> None:
    settings = load_settings({}, dotenv=None)
    assert number("stopTimeout") >= settings.http.shutdown_s + 5
    assert number("deregistration_delay") >= settings.http.shutdown_s
    assert number("idle_timeout") >= 2 * settings.stream.heartbeat_s
    assert number("idle_timeout") > settings.forward.timeout_s
    assert settings.http.idle_timeout_s > number("idle_timeout"), "the load balancer must be the first to close"


def test_what_is_asked_and_configured_is_there() -> None:
    routes = {route.template.rstrip("/") for route in all_routes()}
    asked = set(re.findall(r"/health/\w+|/metrics", TEXT))
    assert asked == {"/health/live", "/health/ready", "/metrics"}
    assert asked <= routes
    known = set(re.findall(r"`(QSUITE_\w+)`", (ROOT / "docs/reference/settings.md").read_text()))
    assert set(re.findall(r"\b(QSUITE_\w*[A-Z])\b", TEXT)) <= known
    assert f'user                   = "{re.findall(r"USER (.*)", (ROOT / "Dockerfile").read_text())[0]}"' in TEXT
    (port,) = re.findall(r"EXPOSE (.*)", (ROOT / "Dockerfile").read_text())
    assert f"containerPort = {port}," in TEXT


def test_databases_are_reached_over_tls_alone() -> None:
    assert "rediss://" in TEXT
    assert "redis://" not in TEXT.replace("rediss://", "")
    lax = [path.name for path in FILES if "PLAIN_NETWORK" in path.read_text()]
    assert lax == ["engine.tf"], "gateways, which have the same addresses, ask for TLS"
    assert 'transit_encryption_mode    = "required"' in TEXT
