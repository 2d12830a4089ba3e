"""The alerts fire when they should and only then, in Prometheus' own evaluation, and say the same in Grafana."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import grafana_files
import prometheus_files
from alerts import ALERTS, Alert, Severity
from holdfast.telemetry import exposition
from stories import STORIES

REPOSITORY = Path(__file__).resolve().parents[2]
GRAFANA = REPOSITORY / "infra" / "grafana"


def run(*argv: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, argv)),
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", **environment},
        text=True,
        capture_output=True,
        check=False,
    )


def test_the_rules_are_ones_that_prometheus_takes(promtool: str) -> None:
    checked = run(promtool, "check", "rules", REPOSITORY / "dashboards" / "rules" / "holdfast.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_fires_in_its_story_and_is_silent_in_the_one_beside_it(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(prometheus_files.rules(interval="1m"))
    (tmp_path / "stories.yml").write_text(prometheus_files.stories("rules.yml"))
    told = run(promtool, "test", "rules", "stories.yml", cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_story_can_fail(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(prometheus_files.rules(interval="1m").replace("_seconds > 30", "_seconds > 20"))
    (tmp_path / "stories.yml").write_text(prometheus_files.stories("rules.yml"))
    told = run(promtool, "test", "rules", "stories.yml", cwd=tmp_path)
    assert "OutboxLagging" in told.stdout + told.stderr


def test_there_is_a_story_for_each_alert_and_no_other() -> None:
    assert set(STORIES) == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_asks_only_for_metrics_that_somebody_tells(alert: Alert) -> None:
    known = {metric.name for metric in exposition.documented()}
    for name in re.findall(r"\bholdfast_\w+", alert.expr):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in known or base in known, f"{alert.name} asks for {name}"


def test_what_grafana_evaluates_is_what_prometheus_does() -> None:
    [group] = yaml.safe_load(grafana_files.rules())["groups"]
    told = {rule["title"]: rule for rule in group["rules"]}
    for alert in ALERTS:
        rule: dict[str, Any] = told[alert.name]
        assert rule["data"][0]["model"]["expr"].replace("$$", "$") == alert.expr
        assert (rule["for"], rule["labels"]) == (alert.lasting, {"severity": alert.severity.value})
        assert rule["annotations"]["runbook_url"].endswith(f"/runbooks/{alert.name}.md")
    assert len({rule["uid"] for rule in group["rules"]}) == len(ALERTS)


def test_something_pages_and_something_waits() -> None:
    assert {alert.severity for alert in ALERTS} == set(Severity)


POINTS = {
    "pagerduty": ("HOLDFAST_PAGERDUTY_KEY", "integrationKey"),
    "slack": ("HOLDFAST_SLACK_WEBHOOK_URL", "url"),
    "webhook": ("HOLDFAST_ALERT_WEBHOOK_URL", "url"),
    "email": ("HOLDFAST_ALERT_EMAIL", "addresses"),
}


@pytest.mark.parametrize("chosen", [["pagerduty"], ["slack", "email"], list(POINTS)], ids="+".join)
def test_the_environment_chooses_who_is_paged(chosen: list[str], tmp_path: Path) -> None:
    secrets = {POINTS[name][0]: f"secret of {name}" for name in chosen}
    started = run(GRAFANA / "start", "true", GF_PATHS_PROVISIONING=str(tmp_path), **secrets)
    assert started.returncode == 0, started.stderr
    text = (tmp_path / "alerting" / "contact-points.yml").read_text()
    [point] = yaml.safe_load(text)["contactPoints"]
    assert {receiver["type"] for receiver in point["receivers"]} == set(chosen)
    for receiver in point["receivers"]:
        variable, setting = POINTS[receiver["type"]]
        assert receiver["settings"][setting] == f"${variable}"
    assert "secret of" not in text
    [policy] = yaml.safe_load((tmp_path / "alerting" / "policies.yml").read_text())["policies"]
    assert policy["receiver"] == point["name"]


def test_without_a_contact_point_it_says_that_nobody_is_paged(tmp_path: Path) -> None:
    started = run(GRAFANA / "start", "true", GF_PATHS_PROVISIONING=str(tmp_path))
    assert "page nobody" in started.stderr
    assert [path.name for path in (tmp_path / "alerting").iterdir()] == ["rules.yml"]


def test_grafana_is_provisioned_where_only_a_temporary_folder_is_writable(
    tmp_path: Path,
) -> None:
    started = run(GRAFANA / "start", "printenv", "GF_PATHS_PROVISIONING", TMPDIR=str(tmp_path))
    provisioning = Path(started.stdout.strip())
    assert provisioning.parent == tmp_path
    for source in (GRAFANA / "provisioning").rglob("*.yml"):
        copy = provisioning / source.relative_to(GRAFANA / "provisioning")
        assert copy.read_text() == source.read_text()
