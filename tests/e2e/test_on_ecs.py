"""What real processes do on ECS: workers hold on to themselves while they are busy, the steward tells CloudWatch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecs_agent import EcsAgent
from harness import Platform, eventually
from holdfast.settings import Settings

BUSY = 15
"""Seconds: three looks of a worker at itself."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_busy_worker_of_either_pool_asks_not_to_be_let_go(module_settings: Settings, tmp_path: Path) -> None:
    platform = Platform(module_settings, tmp_path)
    with EcsAgent.running() as agent:
        try:
            platform.start("api", cloudwatch_namespace="Holdfast/test")
            for name in ("worker-render", "worker-webhook"):
                platform.environment["ECS_AGENT_URI"] = f"{agent.url}/{name}"
                platform.start(name)
            platform.wait_ready()
            assert agent.got == [], "idle workers ask for nothing"
            with platform.client() as api:
                for kind in ("test.stick", "test.noop"):
                    assert api.post("/v1/jobs", json={"kind": kind, "payload": {"seconds": BUSY}}).status_code == 202
            eventually(lambda: holders(agent), {"worker-render", "worker-webhook"}.__eq__, within=60)
            told = eventually(lambda: backlogs(platform.members["api"].log), lambda told: len(told) == 2, within=60)
        finally:
            platform.stop_all()
    assert all(isinstance(jobs, int) for jobs in told.values())


def holders(agent: EcsAgent) -> set[str]:
    """The workers that have asked to be held."""
    return {path.split("/")[1] for path, wish in list(agent.got) if wish["ProtectionEnabled"]}


def backlogs(log: Path) -> dict[str, Any]:
    """The last backlog of each worker service among the lines of a process."""
    lines = [line for line in log.read_text().splitlines() if line.startswith('{"_aws"')]
    return {line["Service"]: line["Backlog"] for line in map(json.loads, lines)}
