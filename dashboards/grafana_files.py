"""The dashboards and the alert rules as Grafana's provisioning reads them.

Sources: https://grafana.com/docs/grafana/latest/administration/provisioning/ and
https://grafana.com/docs/grafana/latest/alerting/set-up/provision-alerting-resources/file-provisioning/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from alerts import ALERTS, Alert
from boards import ALL
from panels import SOURCE
from prometheus_files import HEADER, dump

FOLDER = "Holdfast"
ALWAYS = -1
"""Every value that an alert's expression yields lies above."""


def dashboards() -> Iterator[tuple[str, str]]:
    """File name and content of each dashboard; panels are numbered in their order."""
    for module in ALL:
        made = json.loads(JSONEncoder(sort_keys=True).encode(module.build().build()))
        for number, panel in enumerate(made["panels"], 1):
            panel["id"] = number
        yield f"{made['uid']}.json", json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def rules() -> str:
    """`alerting/rules.yml`: the alerts of Prometheus, evaluated by Grafana."""
    group = {
        "orgId": 1,
        "name": "holdfast",
        "folder": FOLDER,
        "interval": "15s",
        "rules": [_rule(alert) for alert in ALERTS],
    }
    return HEADER + dump({"apiVersion": 1, "groups": [group]})


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "uid": f"holdfast-{sha256(alert.name.encode()).hexdigest()[:12]}",
        "title": alert.name,
        "condition": "fires",
        "data": [_query(alert.expr), _threshold()],
        "for": alert.lasting,
        "noDataState": "OK",  # an expression that yields nothing is well
        "execErrState": "Error",
        "labels": {"severity": alert.severity.value},
        "annotations": {
            "summary": alert.summary.replace("$value", "$values.value.Value"),
            "description": alert.impact,
            "runbook_url": alert.runbook_url,
        },
    }


def _query(expr: str) -> dict[str, Any]:
    """Grafana fills environment variables in here (and not in annotations), so a dollar is written twice."""
    return {
        "refId": "value",
        "datasourceUid": SOURCE.uid,
        "relativeTimeRange": {"from": 600, "to": 0},
        "model": {
            "refId": "value",
            "expr": expr.replace("$", "$$"),
            "instant": True,
            "range": False,
            "editorMode": "code",
        },
    }


def _threshold() -> dict[str, Any]:
    condition = {"evaluator": {"type": "gt", "params": [ALWAYS]}}
    return {
        "refId": "fires",
        "datasourceUid": "__expr__",
        "model": {"refId": "fires", "type": "threshold", "expression": "value", "conditions": [condition]},
    }
