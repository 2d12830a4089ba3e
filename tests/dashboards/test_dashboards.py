"""The dashboards are what their code says, and ask for metrics that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

import grafana_files
import recording
from holdfast.telemetry import exposition

REPOSITORY = Path(__file__).resolve().parents[2]
BOARDS = {name: json.loads(content) for name, content in grafana_files.dashboards()}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in board["panels"] if panel["type"] != "row")


def test_the_generated_files_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, REPOSITORY / "dashboards" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, f"{checked.stdout}run `make dashboards`"


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_dashboard_is_one_that_the_schema_knows(board: dict[str, Any]) -> None:
    read = Dashboard.from_json(board)
    assert read.title == board["title"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(board):
        assert panel["title"]
        assert panel["targets"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_panel_asks_only_for_metrics_that_somebody_tells(board: dict[str, Any]) -> None:
    known = {metric.name for metric in exposition.documented()}
    recorded = {rule["record"] for rule in recording.rules()}
    for panel in panels(board):
        for target in panel["targets"]:
            for name in re.findall(r"\bholdfast[_:][\w:]+", target["expr"]):
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                assert {name, base} & (known | recorded), f"{panel['title']} asks for {name}"


def test_the_names_of_dashboards_are_those_of_their_files() -> None:
    assert all(board["uid"] == name.removesuffix(".json") for name, board in BOARDS.items())
