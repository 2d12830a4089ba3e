"""The rules as Prometheus reads them, and the stories as promtool does."""

from __future__ import annotations

from typing import Any

import yaml

import recording
from alerts import ALERTS, Alert
from stories import STORIES, Story

HEADER = "# Made by dashboards/generate.py; do not edit.\n"


def rules(interval: str = "15s") -> str:
    """`rules/holdfast.yml`: the recording rules, then the alerts, each evaluated every `interval`."""
    groups = [
        {"name": "holdfast-levels", "interval": interval, "rules": recording.rules()},
        {"name": "holdfast-alerts", "interval": interval, "rules": [_alert(alert) for alert in ALERTS]},
    ]
    return HEADER + dump({"groups": groups})


def stories(rule_file: str) -> str:
    """A promtool test of every story, over the rules in `rule_file`, which are best evaluated once a minute."""
    tests = [_test(alert, STORIES[alert.name], fires) for alert in ALERTS for fires in (True, False)]
    return dump({"rule_files": [rule_file], "evaluation_interval": "1m", "tests": tests})


def dump(content: Any) -> str:
    """YAML in the order that it was written."""
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=4096)
    return text


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.lasting,
        "labels": {"severity": alert.severity.value},
        "annotations": {"summary": alert.summary, "description": alert.impact, "runbook_url": alert.runbook_url},
    }


def _test(alert: Alert, story: Story, fires: bool) -> dict[str, Any]:
    series = story.fires if fires else story.silent
    steward = {} if any("steward_leading" in name for name in series) else {"holdfast_steward_leading": "1x600"}
    return {
        "name": f"{alert.name} {'fires' if fires else 'stays silent'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in (series | steward).items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}})',
                "eval_time": f"{story.minute}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }
