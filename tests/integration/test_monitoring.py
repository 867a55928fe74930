"""Do the dashboards and alerts ask for what a running QSuite gives? Every name and label of theirs is looked for there.

Asked are a server with everything on (a feed, Redis for gateways) and a gateway, over one real database.
"""

import json
import re
import shutil
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from qsuite.app import build
from qsuite.composition.parts import Parts
from qsuite.repos.database import connect
from qsuite.settings import FeedSettings, Settings, SourceSettings
from tests.support.client import ApiClient
from tests.support.mongod import free_port
from tests.support.promql import NotPromql, asked
from tests.support.redis_server import running_redis
from tests.support.running_app import SECRET

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "config/prometheus/alerts.yml"
DASHBOARDS = sorted((ROOT / "config/grafana/dashboards").glob("*.json"))

OF_PROMETHEUS = {"up": set(), "ALERTS": {"alertname", "severity", "alertstate"}}
AT_THE_SCRAPE = {"job", "instance"}
"""Labels that Prometheus itself adds."""
MADE_UP_LATER = {"route", "status", "method", "code", "instance", "job", "command", "alertname", "alertstate"}
"""Labels whose values come with what happens, so that no scrape has them all."""
UNITS = {"none", "s", "ops", "reqps", "bytes", "percentunit"}


@dataclass
class Given:
    """What was scraped: the labels of each series' name, and the values seen of each."""

    labels: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    values: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def take(self, text: str, registry: Any) -> None:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self.labels[sample.name] |= sample.labels.keys()
                for label, value in sample.labels.items():
                    self.values[sample.name, label].add(value)
        for family in registry.collect():  # what has no series yet has a name and labels all the same
            for suffix in {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""]):
                own = {"le"} if suffix == "_bucket" else set()
                self.labels[family.name + suffix] |= {*getattr(family, "_labelnames", ())} | own


@pytest.fixture(scope="module")
def given(mongod: str, io_loop: Any, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    found = Given()
    name = f"test_monitoring_{uuid.uuid4().hex[:12]}"

    async def scrape(settings: Settings) -> None:
        database = connect(mongod, name, pool_size=8)
        app = await build(settings, database, Parts(watched=True))
        try:
            if settings.role == "gateway":  # what it says of itself is there before it starts
                found.take(app.services.metrics.render().decode(), app.services.metrics.registry)
                return
            await app.start()
            client = ApiClient(f"http://127.0.0.1:{app.listen(0)}")
            await client.get("/health")
            answer = await client.get("/metrics")
            found.take(answer.body.decode(), app.services.metrics.registry)
            client.close()
        finally:
            await app.stop()
            database.close()

    with running_redis() as redis:
        common = {"secret_key": SECRET, "redis_url": redis.url, "mongodb_uri": mongod}
        feed = FeedSettings(kind="websocket", symbols=("IBM",))
        source = SourceSettings(url=f"ws://127.0.0.1:{free_port()}/")
        whole = replace(settings, data_dir=tmp_path_factory.mktemp("whole"), feed=feed, source=source, **common)
        gateway = replace(settings, data_dir=tmp_path_factory.mktemp("gateway"), role="gateway", **common)
        for one in (whole, gateway):
            io_loop.run_sync(lambda one=one: scrape(one))
        yield found
    database = connect(mongod, name)
    database.sync_client.drop_database(name)
    database.close()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Every expression with where it stands."""
    of_alerts = [(rule["alert"], rule["expr"]) for rule in rules()]
    of_panels = [
        (f"{path.stem}: {panel['title']}", target["expr"])
        for path in DASHBOARDS
        for panel in panels(path)
        for target in panel["targets"]
    ]
    return of_alerts + of_panels


def complaints(expression: str, given: Given) -> list[str]:
    """Say what an expression asks for that nobody gives."""
    try:
        wanted = asked(expression)
    except NotPromql as error:
        return [str(error)]
    found, grouped = [], set(wanted.grouped_by)
    for metric, conditions in wanted.metrics.items():
        labels = OF_PROMETHEUS.get(metric, given.labels.get(metric))
        if labels is None:
            found.append(f"nobody gives {metric}")
            continue
        labels = labels | AT_THE_SCRAPE
        grouped -= labels
        found += [f"{metric} has no label {one.label}" for one in conditions if one.label not in labels]
        found += [complaint for one in conditions for complaint in _unseen(metric, one.label, one.value, given)]
    return found + [f"no metric has the label {label} it is grouped by" for label in sorted(grouped)]


def _unseen(metric: str, label: str, value: str, given: Given) -> list[str]:
    """Name the values that a condition waits for and that never come, where all of them are known."""
    seen = given.values.get((metric, label))
    if label in MADE_UP_LATER or not seen or not re.fullmatch(r"[\w.|]+", value):
        return []
    return [f"{metric} never has {label}={one}" for one in value.split("|") if one not in seen]


def test_every_name_of_an_alert_or_a_panel_is_given(given: Given) -> None:
    assert len(expressions()) > 100
    wrong = [f"{where}: {what}" for where, expression in expressions() for what in complaints(expression, given)]
    assert wrong == []


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("qsuite_redy == 0", "nobody gives qsuite_redy"),
        ('qsuite_up{servce="redis"} == 0', "qsuite_up has no label servce"),
        ('qsuite_up{service="reddis"} == 0', "qsuite_up never has service=reddis"),
        ("sum by (stge) (rate(qsuite_engine_stage_seconds_count[5m]))", "no metric has the label stge"),
        ("rte(qsuite_engine_batches_total[5m])", "no function rte"),
        ("increase(qsuite_engine_batches[5m])", "nobody gives qsuite_engine_batches"),
        ("qsuite_ready == 0 # down", "'# down'"),
    ],
)
def test_a_name_that_is_wrong_is_found(expression: str, complaint: str, given: Given) -> None:
    (found,) = complaints(expression, given)
    assert complaint in found


def test_what_can_be_seen_is_shown(given: Given) -> None:
    """A figure that is on no panel and in no alert is one that nobody ever looks at."""
    shown = {metric for _, expression in expressions() for metric in asked(expression).metrics}
    unsuffixed = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in shown}
    figures = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in given.labels if name.startswith("qsuite_")}
    assert figures - unsuffixed <= {"qsuite_clock_jump_seconds", "qsuite_relay_flushes", "qsuite_statements_stored",
                                    "qsuite_feed_connects", "qsuite_feed_restarts"}  # fmt: skip


def test_every_label_is_bounded(given: Given) -> None:
    """A series is made for each value of a label: none may come from what clients send, and none may be an id."""
    known = {"le", "route", "method", "status", "service", "loop", "reason", "limit", "state", "code", "scope", "stage"}
    known |= {"outcome", "way", "venue", "command", "kind"}
    for name, labels in given.labels.items():
        if name.startswith("qsuite_"):
            assert labels <= known, name
    assert given.values["qsuite_http_requests_total", "route"] <= {"/health/", "/metrics/", "/health", "unknown"}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one_that_grafana_shows_whole(path: Path) -> None:
    board = json.loads(path.read_text())
    sources = yaml.safe_load((ROOT / "config/grafana/provisioning/datasources/prometheus.yml").read_text())
    (source,) = sources["datasources"]
    assert board["uid"] == path.stem
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24, panel["title"]
        assert not cells & taken, f"{panel['title']} lies on another"
        taken |= cells
    variables = {variable["name"] for variable in board["templating"]["list"]}
    for panel in panels(path):
        assert panel["datasource"]["uid"] == source["uid"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        names = [target["refId"] for target in panel["targets"]]
        assert names == sorted(set(names)), panel["title"]
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= variables, target["expr"]
            legend = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            wanted = asked(target["expr"])
            if wanted.grouped_by - {"le"}:
                assert legend <= wanted.grouped_by, f"{target['legendFormat']} of {target['expr']}"
    boards = {json.loads(each.read_text())["uid"] for each in DASHBOARDS}
    assert {link["url"].removeprefix("/d/") for link in board["links"]} <= boards


def test_every_alert_says_how_urgent_it_is_what_to_look_at_and_where_its_page_is() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "first", "runbook"}, rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/runbook/{rule['alert']}.md"


def test_promtool_reads_every_expression(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on the PATH")
    filled = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, (_, text) in enumerate(expressions())
    ]
    everything = tmp_path / "everything.yml"
    everything.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": filled}]}))
    done = subprocess.run([promtool, "check", "rules", ALERTS, everything], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
