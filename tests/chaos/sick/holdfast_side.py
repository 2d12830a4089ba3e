"""Holdfast as one side: webhooks are posted to the api with the client; ledger and logs say what became of them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from campaign.world import query

from holdfast.client import Holdfast
from holdfast.domain.circuit import CircuitState
from holdfast.handlers.destination import destination
from holdfast.settings import Settings

from .breaker import Breaker
from .figures import Figures
from .run import Call, Run, Webhook

OPEN = "SELECT count(*) AS jobs FROM jobs WHERE tags ? $1 AND state NOT IN ('succeeded', 'dead', 'cancelled')"
STATES = "SELECT state, count(*) AS jobs FROM jobs WHERE tags ? $1 GROUP BY state"
ATTEMPTS = """
SELECT count(*) FILTER (WHERE a.state = 'failed') AS failed, coalesce(sum(a.parked), 0)::int AS parked
FROM jobs JOIN attempts a ON a.job_id = jobs.id WHERE tags ? $1
"""
BEGUN_BEFORE = """
SELECT idempotency_key AS key, extract(epoch FROM a.finished_at)::float AS ended
FROM jobs JOIN attempts a ON a.job_id = jobs.id
WHERE tags ? $1 AND a.state = 'failed' AND a.started_at <= to_timestamp($2)
"""


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
        sick = [call for call in run.at_sick if call.begun <= run.healed]
        on_their_way = self._on_their_way(run, tripped)
        attempts = self._query(ATTEMPTS, run.name)[0]
        return {
            "jobs": {row["state"]: row["jobs"] for row in self._query(STATES, run.name)},
            "failed attempts": attempts["failed"],
            "parked attempts": attempts["parked"],
            "trips": breaker.times(CircuitState.OPEN, run.over),
            "seconds until the trip": round(tripped - run.begun, 2),
            "calls before the trip": sum(call.begun <= tripped for call in sick),
            "calls on their way at the trip": len(on_their_way),
            "calls after the trip": sum(call.begun > tripped for call in sick) - len(on_their_way),
            "probe budget": breaker.probe_budget(run.healed),
            "breaker": [
                (round(begin - run.begun, 2), round(end - run.begun, 2), state)
                for begin, end, state in breaker.stretches(run.over)
            ],
        }

    def _on_their_way(self, run: Run, tripped: float) -> list[Call]:
        """Calls that arrived after the trip, of attempts that had begun before it: they were admitted before it."""
        ends: defaultdict[int, list[float]] = defaultdict(list)
        for row in self._query(BEGUN_BEFORE, run.name, tripped):
            ends[int(row["key"].rpartition("/")[2])].append(row["ended"])
        late = [call for call in run.at_sick if tripped < call.begun <= run.healed]
        return [call for call in late if any(call.begun <= ended for ended in ends[call.order])]

    def _query(self, statement: str, run: str, *more: float) -> list[Any]:
        return query(self._postgres, statement, _tag(run), *more)


def _tag(run: str) -> str:
    return run.replace(" ", "-")
