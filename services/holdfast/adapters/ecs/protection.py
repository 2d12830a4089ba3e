"""`ports.protection.Protection` by ECS's task scale-in protection, through the agent's endpoint in the task itself.

The agent signs with the task's role, which needs `ecs:GetTaskProtection` and `ecs:UpdateTaskProtection`. A task is
held by time alone: one that dies, or whose agent is away, is let go when its time is up.

Source: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import httpx

from holdfast.domain.errors import ProtectionUnavailable

PATIENCE = 5.0
"""Seconds for one request to the agent."""
_PATH = "/task-protection/v1/state"


class EcsProtection:
    """Asks the agent at `agent`, which ECS puts into `ECS_AGENT_URI`."""

    def __init__(self, agent: str) -> None:
        self._url = agent.rstrip("/") + _PATH
        self._http = httpx.Client(timeout=PATIENCE, trust_env=False)

    def hold(self, lasts: timedelta) -> None:
        """ECS counts in whole minutes."""
        self._put({"ProtectionEnabled": True, "ExpiresInMinutes": max(1, math.ceil(lasts / timedelta(minutes=1)))})

    def let_go(self) -> None:
        """ECS forgets the time that was left."""
        self._put({"ProtectionEnabled": False})

    def _put(self, wish: dict[str, Any]) -> None:
        try:
            answer = self._http.put(self._url, json=wish)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ProtectionUnavailable(f"the ECS agent does not answer: {error!r}") from error
        if "protection" not in said:  # `failure` of ECS, or `error` of the agent
            raise ProtectionUnavailable(f"ECS refused task protection ({answer.status_code}): {said}")
