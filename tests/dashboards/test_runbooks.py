"""Every alert has a page, every page has its parts, and the first command of each runs on a real platform."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from alerts import ALERTS
from harness import Platform

REPOSITORY = Path(__file__).resolve().parents[2]
RUNBOOKS = REPOSITORY / "runbooks"
PARTS = ["Meaning", "Impact", "First command", "Diagnosis", "Mitigation", "Verify", "Escalate"]
SERVICE_TOOLS = {"rabbitmqctl", "rabbitmq-diagnostics"}


def first_commands() -> dict[str, str]:
    """The first command of each page, with the pages that begin with it."""
    found: dict[str, str] = {}
    for page in sorted(RUNBOOKS.glob("*.md")):
        for command in re.findall(r"^## First command\n```console\n\$ (.+)\n```", page.read_text(), re.M):
            found.setdefault(command, page.stem)
    return found


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_page_with_all_its_parts(alert: object) -> None:
    page = (RUNBOOKS / f"{alert.name}.md").read_text()  # type: ignore[attr-defined]
    assert page.startswith(f"# {alert.name}\n")  # type: ignore[attr-defined]
    assert re.findall(r"^## (.+)$", page, re.M) == PARTS


def test_the_index_lists_every_page() -> None:
    listed = set(re.findall(r"\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text()))
    assert listed == {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}


def test_the_index_says_what_the_alerts_say() -> None:
    index = (RUNBOOKS / "README.md").read_text()
    for alert in ALERTS:
        assert f"| [{alert.name}]({alert.name}.md) | {alert.severity} | {alert.impact} |" in index, alert.name


@pytest.mark.parametrize("command", first_commands(), ids=first_commands().values())
def test_the_first_command_runs_and_changes_nothing(command: str, platform: Platform) -> None:
    words = shlex.split(command.replace("http://127.0.0.1:8000", platform.url))
    environment = platform.for_commands()
    if words[0] in SERVICE_TOOLS:
        home = Path(os.environ.get("HOLDFAST_HOME") or REPOSITORY / ".holdfast")
        if not (home / "run" / "rabbitmq.json").exists():
            pytest.skip("the services are not the sandbox's, so its tools do not reach them")
        words, environment = [sys.executable, str(REPOSITORY / "infra" / "sandbox"), "exec", *words], dict(os.environ)
    elif words[0] in {"holdfast", "dlq-tool"}:
        words[0] = str(Path(sys.executable).with_name(words[0]))
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in {0, 1}, ran.stdout + ran.stderr  # 1: it found something
    assert "Traceback" not in ran.stderr
