"""The runbook has a page for each alert and each failure, and names nothing that does not exist."""

import re
from functools import cache
from pathlib import Path

import click
import pytest
import yaml

from qsuite.cli import cli

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "runbook"
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(RUNBOOK.glob("*.md"))
INDEX = (RUNBOOK / "README.md").read_text()
FAILURES = {
    *("primary-lost", "quorum-lost", "process-killed", "same-request-twice", "reply-lost", "redis-lost"),
    *("slow-subscriber", "event-loop-blocked", "engine-or-worker-dies", "shutdown", "two-engines", "clock-jumps"),
    "stale-or-wild-prices",
}
"""What may befall a running system, as it was required to be survived: a page each."""
SECTIONS = ("It means", "Users see", "QSuite does by itself", "Look at", "Do", "It is over when")
SUFFIX = re.compile(r"_(total|bucket|count|sum)$")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


@cache
def source() -> str:
    """Return the text of the whole package."""
    return "\n".join(path.read_text() for path in (ROOT / "qsuite").rglob("*.py"))


def alerts() -> dict[str, str]:
    """Return the alerts, each with the page that it sends to."""
    groups = yaml.safe_load((ROOT / "config/prometheus/alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule["annotations"]["runbook"] for group in groups for rule in group["rules"]}


def test_each_alert_sends_to_its_page_and_each_failure_has_one() -> None:
    assert alerts() == {name: f"docs/runbook/{name}.md" for name in alerts()}
    assert {page.stem for page in PAGES} == {"README", *alerts(), *FAILURES}


def test_the_index_leads_to_every_page_and_names_every_script() -> None:
    assert set(re.findall(r"\]\(([\w-]+)\.md\)", INDEX)) == {page.stem for page in PAGES} - {"README"}
    scripts = {path.name for path in (ROOT / "ops/mongosh").glob("*.js")} - {"shared.js"}
    assert set(re.findall(r"^\| `(\w+\.js)` \|", INDEX, re.MULTILINE)) == scripts


@pytest.mark.parametrize("page", [path for path in PAGES if path.stem != "README"], ids=lambda path: path.stem)
def test_a_page_says_what_to_look_at_what_to_do_and_when_it_is_over(page: Path) -> None:
    assert re.findall(r"^\*\*(.+?)\.?\*\*", page.read_text(), re.MULTILINE) == list(SECTIONS)


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / target).is_file(), target


@every_page
def test_every_metric_and_setting_that_is_named_exists(page: Path) -> None:
    text = page.read_text()
    known = set(re.findall(r"`(qsuite_\w+)`", (REFERENCE / "metrics.md").read_text()))
    named = {SUFFIX.sub("", name) for name in re.findall(r"\bqsuite_\w+", text)}
    assert named - known == set()
    settings = re.findall(r"QSUITE_\w+", (REFERENCE / "settings.md").read_text())
    begun = {name for name in re.findall(r"QSUITE_\w+", text) if not any(one.startswith(name) for one in settings)}
    assert begun == set()


@every_page
def test_every_script_and_its_parameters_exist(page: Path) -> None:
    text = " ".join(page.read_text().split())
    for script in re.findall(r"ops/mongosh/(\w+\.js)", text):
        assert (ROOT / "ops/mongosh" / script).is_file(), script
    for script, parameter in re.findall(r"ops/mongosh/(\w+\.js)` with ([A-Z]+)\b", text):
        assert f"{parameter}=" in (ROOT / "ops/mongosh" / script).read_text(), (script, parameter)


@every_page
def test_every_command_and_option_exists(page: Path) -> None:
    for command in re.findall(r"`qsuite ([^`]+)`", page.read_text()):
        words = command.split()
        found: click.Command | None = cli
        while isinstance(found, click.Group):
            found = found.get_command(click.Context(found), words.pop(0))
        assert found is not None, command
        options = {name for parameter in found.params for name in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, command


@every_page
def test_every_route_exists(page: Path) -> None:
    routes = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", (REFERENCE / "routes.md").read_text(), re.MULTILINE)
    known = {(method, path.rstrip("/")) for method, path in routes}
    for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`\s?]*)", page.read_text()):
        assert (method, path.rstrip("/")) in known, path


@every_page
def test_every_error_code_and_line_of_the_log_exists(page: Path) -> None:
    text = page.read_text()
    codes = set(re.findall(r"^\| `([^`]+)` \|", (REFERENCE / "errors.md").read_text(), re.MULTILINE))
    assert set(re.findall(r"\b[45]\d\d `([a-z._-]+)`", text)) - codes == set()
    for said in re.findall(r"the log lines? ((?:`[\w.*-]+`(?:, | and )?)+)", text):
        for event in re.findall(r"`([\w.-]+)\*?`", said):
            assert f'"{event}' in source(), event
