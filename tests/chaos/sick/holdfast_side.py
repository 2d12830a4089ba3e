"""Holdfast as one side: webhooks are posted to the api with the client; ledger and logs say what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from campaign.world import query

from holdfast.client import Holdfast
from holdfast.domain.circuit import CircuitState
from holdfast.handlers.destination import destination
from holdfast.settings import Settings

from .breaker import Breaker
from .figures import Figures
from .run import Run, Webhook

OPEN = "SELECT count(*) AS jobs FROM jobs WHERE tags ? $1 AND state NOT IN ('succeeded', 'dead', 'cancelled')"
STATES = "SELECT state, count(*) AS jobs FROM jobs WHERE tags ? $1 GROUP BY state"
ATTEMPTS = """
SELECT count(*) FILTER (WHERE a.state = 'failed') AS failed, coalesce(sum(a.parked), 0)::int AS parked
FROM jobs JOIN attempts a ON a.job_id = jobs.id WHERE tags ? $1
"""
ON_THEIR_WAY = 0.25
"""Seconds for which a call may have been on its way: admitted before the trip, and at the receiver after it."""


class HoldfastSide:
    """See the module. `folder` is where its processes log."""

    name = "holdfast"

    def __init__(self, settings: Settings, api: str, folder: Path) -> None:
        self._client, self._folder = Holdfast(api), folder
        self._postgres = settings.postgres_url.get_secret_value()

    def post(self, webhook: Webhook) -> None:
        """Post the job."""
        payload = {"url": webhook.url, "body": webhook.body, "timeout_seconds": webhook.timeout}
        tag = _tag(webhook.run)
        self._client.submit("webhook.dispatch", payload, key=f"{tag}/{webhook.number}", tags=[tag])

    def left(self, run: str) -> int:
        """Jobs that have not ended."""
        return int(self._query(OPEN, run)[0]["jobs"])

    def more(self, run: Run) -> Figures:
        """What became of the jobs, and how the breaker took it."""
        breaker = Breaker.of(destination("webhook", run.hook or ""), self._folder)
        tripped = breaker.tripped_at or run.over
        sick = [call.begun for call in run.at_sick if call.begun <= run.healed]
        attempts = self._query(ATTEMPTS, run.name)[0]
        return {
            "jobs": {row["state"]: row["jobs"] for row in self._query(STATES, run.name)},
            "failed attempts": attempts["failed"],
            "parked attempts": attempts["parked"],
            "trips": breaker.times(CircuitState.OPEN, run.over),
            "seconds until the trip": round(tripped - run.begun, 2),
            "calls before the trip": sum(at <= tripped for at in sick),
            "calls on their way at the trip": sum(tripped < at <= tripped + ON_THEIR_WAY for at in sick),
            "calls after the trip": sum(at > tripped + ON_THEIR_WAY for at in sick),
            "probe budget": breaker.probe_budget(run.healed),
            "breaker": [
                (round(begin - run.begun, 2), round(end - run.begun, 2), state)
                for begin, end, state in breaker.stretches(run.over)
            ],
        }

    def _query(self, statement: str, run: str) -> list[Any]:
        return query(self._postgres, statement, _tag(run))


def _tag(run: str) -> str:
    return run.replace(" ", "-")
