"""Does each alert fire for what it is about, and keep still while all is well? Asked of Prometheus' own promtool.

Each case names the series that alarm and the same ones in good order; what Prometheus adds (job, instance) is added
here. ``a+bxn`` is promtool's way to write n samples after the first one, each b more; a sample every ten seconds.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ALERTS = Path(__file__).resolve().parents[2] / "config/prometheus/alerts.yml"
ADDED = {"instance": "a", "job": "qsuite"}
SAMPLES = 120


@dataclass(frozen=True)
class Case:
    """Series by name with their values, alarming and not; ``labels`` are the alert's where it sums some away."""

    bad: dict[str, str]
    good: dict[str, str]
    labels: dict[str, str] = field(default_factory=lambda: dict(ADDED))
    at: str = "20m"
    interval: str = "10s"


def level(series: str, bad: float, good: float, **labels: str) -> Case:
    """A gauge that alarms at one level and not at another."""
    own = dict(re.findall(r'(\w+)="([^"]*)"', series))
    return Case({series: f"{bad}x{SAMPLES}"}, {series: f"{good}x{SAMPLES}"}, labels or ADDED | own)


def rising(series: str, step: float, labels: dict[str, str] | None = None) -> Case:
    """A total that rises with each sample, and one that has stood still for long."""
    own = ADDED | dict(re.findall(r'(\w+)="([^"]*)"', series))
    return Case({series: f"0+{step}x{SAMPLES}"}, {series: f"7x{SAMPLES}"}, own if labels is None else labels)


def slow(name: str, bound: str, more: str = "", labels: dict[str, str] | None = None) -> Case:
    """A histogram of which everything is above a bound, and one of which everything is at or below it."""
    some = more + "," if more else ""
    low, all_of_it = f'{name}_bucket{{{some}le="{bound}"}}', f'{name}_bucket{{{some}le="+Inf"}}'
    high = f'{name}_bucket{{{some}le="60"}}'
    ever, never = f"0+10x{SAMPLES}", f"0x{SAMPLES}"
    return Case({low: never, high: ever, all_of_it: ever}, {low: ever, high: ever, all_of_it: ever}, labels or {})


NONE: dict[str, str] = {}
CASES: dict[str, Case] = {
    "QSuiteDown": level("up", 0, 1),
    "QSuiteNotReady": Case(
        {"qsuite_ready": f"0x{SAMPLES}", 'qsuite_engine_state{state="standby"}': f"0x{SAMPLES}"},
        {"qsuite_ready": f"0x{SAMPLES}", 'qsuite_engine_state{state="standby"}': f"1x{SAMPLES}"},
    ),
    "QSuiteLoopFailing": rising('qsuite_loop_failures{loop="jobs"}', 1),
    "QSuiteServerErrors": Case(
        {'qsuite_http_requests_total{status="500"}': f"0+5x{SAMPLES}"},
        {'qsuite_http_requests_total{status="503"}': f"0+5x{SAMPLES}"},
        NONE,
    ),
    "QSuiteTurnsAway": rising("qsuite_http_turned_away_total", 50, {"instance": "a"}),
    "QSuiteEventLoopHeld": rising("qsuite_event_loop_blocks_total", 1),
    "QSuiteMemoryGrows": Case(
        {"process_resident_memory_bytes": "100000000+300000x400"},
        {"process_resident_memory_bytes": "100000000+30000x400"},
        at="2h30m",
        interval="1m",
    ),
    "QSuiteWorkersDown": level('qsuite_up{service="workers"}', 0, 1),
    "QSuiteWorkersDie": rising("qsuite_worker_deaths_total", 1),
    "QSuiteNoEngine": level('qsuite_engine_state{state="active"}', 0, 1) ,
    "QSuiteTwoEngines": level('qsuite_engine_state{state="active"}', 2, 1),
    "QSuiteEngineRecovers": rising("qsuite_engine_recoveries_total", 1),
    "QSuiteEngineBacklog": level("qsuite_engine_queue", 1001, 1000),
    "QSuiteCommitsSlow": slow("qsuite_commit_seconds", "0.25", 'outcome="committed"'),
    "QSuiteCommitsFail": rising('qsuite_commit_seconds_count{outcome="unknown"}', 1, NONE),
    "QSuiteOutcomeUnknown": rising("qsuite_engine_commands_unknown_total", 1, NONE),
    "QSuiteOrdersSlow": slow("qsuite_order_seconds", "0.5", 'way="rest"', {"way": "rest"}),
    "QSuiteTradingHalted": level('qsuite_halts{scope="global"}', 1, 0),
    "QSuiteInvariantBroken": rising("qsuite_engine_breaches_total", 1, NONE),
    "QSuiteDatabaseAway": level('qsuite_up{service="database"}', 0, 1),
    "QSuiteNoPrimary": level("qsuite_database_primary", 0, 1),
    "QSuiteDatabaseMemberAway": level('qsuite_database_members{kind="unknown"}', 1, 0),
    "QSuiteDatabasePoolFull": level("qsuite_database_pool_waiting", 1, 0),
    "QSuiteDatabaseErrors": rising(
        'qsuite_database_command_failures_total{command="insert"}', 5, {"command": "insert"}
    ),
    "QSuiteRedisAway": level('qsuite_up{service="redis"}', 0, 1),
    "QSuiteFanOutFallsBack": level("qsuite_gateway_joined", 0, 1),
    "QSuiteThrottlesAlone": level("qsuite_throttle_shared", 0, 1),
    "QSuiteStreamSlow": slow("qsuite_stream_lag_seconds", "1", labels={"instance": "a"}),
    "QSuiteSubscribersStuck": rising('qsuite_stream_closed{reason="stuck"}', 1, NONE),
    "QSuitePricesStale": level("qsuite_feed_alarm", 1, 0),
    "QSuiteFeedDisconnected": level("qsuite_feed_connected", 0, 1),
    "QSuiteFeedGaps": rising("qsuite_feed_lost_total", 1),
    "QSuitePricesWild": rising('qsuite_orders_refused_total{code="risk.reference_suspect"}', 1, NONE),
    "QSuiteTicksNotStored": rising("qsuite_tick_write_failures_total", 1),
    "QSuiteJobsFail": rising('qsuite_job_seconds_count{kind="sweep",outcome="failed"}', 1, {"kind": "sweep"}),
    "QSuiteJobsWait": level('qsuite_jobs{state="queued"}', 51, 50),
    "QSuiteJobsDie": rising("qsuite_job_deaths_total", 1),
    "QSuiteDiskLow": level("qsuite_disk_free_ratio", 0.19, 0.2),
    "QSuiteDiskFull": level("qsuite_disk_free_ratio", 0.04, 0.05),
    "QSuiteClockDrifts": level("qsuite_clock_drift_seconds", -1.1, 1.0),
    "QSuiteClockJumped": rising("qsuite_clock_jumps_total", 1),
    "QSuiteBooksDisagree": level("qsuite_statements_unreconciled", 1, 0),
    "QSuiteAuditBroken": level("qsuite_audit_broken", 1, 0),
    "QSuiteAuditHeadsNotKept": level("qsuite_audit_heads_lost", 1, 0),
    "QSuiteAuditDropped": rising("qsuite_audit_dropped_total", 1),
    "QSuiteSecurityEventsLost": rising("qsuite_security_events_lost_total", 1),
}  # fmt: skip
SUMMED_AWAY = {
    "QSuiteNoEngine": NONE,
    "QSuiteTwoEngines": NONE,
    "QSuiteTradingHalted": NONE,
    "QSuiteNoPrimary": NONE,
    "QSuiteJobsWait": NONE,
    "QSuiteDatabaseMemberAway": {"kind": "unknown"},
}


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_every_alert_has_a_case() -> None:
    assert CASES.keys() == rules().keys()


def named(series: str) -> str:
    """Add the labels that a scrape adds."""
    name, _, rest = series.partition("{")
    inside = ",".join([*(f'{key}="{value}"' for key, value in ADDED.items()), *([rest[:-1]] if rest else [])])
    return f"{name}{{{inside}}}"


def trial(alert: str, case: Case, rule: dict[str, Any], *, fires: bool) -> dict[str, Any]:
    series = case.bad if fires else case.good
    labels = SUMMED_AWAY.get(alert, case.labels)
    expected = {"exp_labels": rule["labels"] | labels, "exp_annotations": rule["annotations"]}
    return {
        "name": f"{alert}, {'alarming' if fires else 'in good order'}",
        "interval": case.interval,
        "input_series": [{"series": named(name), "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": case.at, "alertname": alert, "exp_alerts": [expected] if fires else []}],
    }


def verdict(
    folder: Path, trials: dict[str, list[dict[str, Any]]], known: dict[str, dict[str, Any]]
) -> "subprocess.CompletedProcess[str]":
    """Have promtool try each alert by itself: with all rules in one file each would be evaluated in all trials."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on the PATH")
    files = []
    for alert, tests in trials.items():
        alone = folder / f"{alert}.yml"
        alone.write_text(yaml.safe_dump({"groups": [{"name": alert, "rules": [known[alert]]}]}))
        files.append(folder / f"{alert}-trials.yml")
        what = {"rule_files": [alone.name], "evaluation_interval": "30s", "tests": tests}
        files[-1].write_text(yaml.safe_dump(what))
    return subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True)


def test_each_alert_fires_for_what_it_is_about_and_only_then(tmp_path: Path) -> None:
    known = rules()
    trials = {
        alert: [trial(alert, case, known[alert], fires=fires) for fires in (True, False)]
        for alert, case in CASES.items()
    }
    done = verdict(tmp_path, trials, known)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_whose_threshold_is_wrong_is_found(tmp_path: Path) -> None:
    right = rules()["QSuiteDiskLow"]
    wrong = right | {"expr": "qsuite_disk_free_ratio < 0.10"}
    trials = {"QSuiteDiskLow": [trial("QSuiteDiskLow", CASES["QSuiteDiskLow"], right, fires=True)]}
    done = verdict(tmp_path, trials, {"QSuiteDiskLow": wrong})
    assert done.returncode != 0
    assert "QSuiteDiskLow" in done.stdout + done.stderr
