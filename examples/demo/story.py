"""The program behind `make story`: a thousand jobs, a worker killed in the middle, a dead letter replayed.

    python examples/demo/story.py

Against the platform that `make up` started. At each step it says what it did and what the numbers are, as the ledger
(`/v1/stats`), the receiver and Prometheus tell them, and it exits with 0 only if every one of them is what it must be.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from checks import Checks
from receiver import Receiver, new_secret

from holdfast.client import ClientError, DeadLetterFilter, Holdfast, JobRequest, Patience
from holdfast.settings import Settings

JOBS = 1_000
WORKER = "worker-webhook"
KILL_AFTER = 250
"""Deliveries after which the worker is killed."""
LONGEST = 120.0
"""Seconds that any one thing is waited for."""
SANDBOX = Path(__file__).resolve().parents[2] / "infra" / "sandbox"


def main() -> int:
    """Tell the story; the exit code of the process."""
    settings = Settings()
    key = settings.api_key.get_secret_value() if settings.api_key else None
    prometheus = os.environ.get("HOLDFAST_PROMETHEUS_URL", "")
    try:
        with (
            Holdfast(settings.api_url, key, patience=Patience(total=30)) as client,
            httpx.Client(timeout=10) as http,
            Unhurried(new_secret()) as receiver,
            Receiver(new_secret()) as closed,
        ):
            return Story(client, http, settings, prometheus, receiver, closed).tell()
    except (ClientError, httpx.HTTPError) as error:
        print(f"error: {error}\n  fix: `make story` starts everything; or `make up` first.")
        return 1
    except KeyboardInterrupt:
        print("interrupted")
        return 130


class Unhurried(Receiver):
    """Takes half a second for each webhook, so that there is a middle in which to kill somebody."""

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """As its parent, later."""
        time.sleep(0.5)
        return super().take(headers, body)


@dataclass(slots=True)
class Story:
    """One run. `receiver` takes webhooks; `closed` says 410 Gone until it is opened."""

    client: Holdfast
    http: httpx.Client
    settings: Settings
    prometheus: str
    receiver: Receiver
    closed: Receiver

    def tell(self) -> int:
        """The steps, in order."""
        checks, began = Checks(), time.monotonic()
        letters = self.metric("sum(holdfast_dead_letters)")
        ids = self.submit(checks)
        self.kill_worker(checks)
        self.finish(checks, ids)
        self.find_dead_letter(checks, ids[-1], letters)
        self.replay(checks, ids[-1], letters)
        print(f"\n{time.monotonic() - began:.0f} s. Watch it at {self.settings.api_url.rstrip('/')}/")
        return checks.verdict()

    def submit(self, checks: Checks) -> list[str]:
        """A thousand webhooks in one request; the last one goes where nobody wants it."""
        print(f"1. {JOBS:,} webhooks are submitted in one request")
        self.closed.fail_next(JOBS, status=410)
        before = self.told_by_api("holdfast_jobs_accepted_total")
        run = secrets.token_hex(4)
        outcomes = self.client.batch([self.order(number, run) for number in range(JOBS)])
        accepted = [outcome.job.id for outcome in outcomes if outcome.job is not None]
        checks.expect(f"all {JOBS:,} are accepted: committed in the ledger", len(accepted), JOBS)
        counted = self.told_by_api("holdfast_jobs_accepted_total") - before
        checks.expect("holdfast_jobs_accepted_total says so", counted, JOBS)
        return accepted

    def order(self, number: int, run: str) -> JobRequest:
        """One job, under a key of its own."""
        to = self.closed if number == JOBS - 1 else self.receiver
        payload = {"url": to.url, "body": {"number": number}, "secret": to.secret}
        return JobRequest(
            kind="webhook.dispatch", payload=payload, idempotency_key=f"story-{run}-{number}", tags=("story",)
        )

    def kill_worker(self, checks: Checks) -> None:
        """SIGKILL in the middle of the work, and a new one."""
        self.wait(lambda: len(self.receiver.received) >= KILL_AFTER, f"{KILL_AFTER} deliveries")
        self.sandbox("kill", WORKER)
        done = len(self.receiver.received)
        print(f"\n2. {WORKER} is killed with SIGKILL after {done} deliveries")
        checks.expect("there is work left", done < JOBS - 1, True)
        consumers = 'sum(holdfast_queue_consumers{queue="webhook"}) or vector(-1)'
        seen = self.wait(lambda: self.metric(consumers) == 0, "Prometheus to see it")
        checks.expect('holdfast_queue_consumers{queue="webhook"} is 0', seen, True)
        self.sandbox("up")
        print("   a new one is started: RabbitMQ hands it the tickets that the dead one held")

    def finish(self, checks: Checks, ids: list[str]) -> None:
        """Everything arrives."""
        self.wait(lambda: len(self.receiver.received) == JOBS - 1, "the rest")
        self.wait(lambda: self.open_jobs() == 0, "the ledger")
        repeated = sum(times - 1 for times in self.receiver.deliveries.values())
        print(f"\n3. Everything has arrived; {repeated} webhooks came a second time, under the same webhook-id")
        checks.expect("the receiver acted on each once", len(self.receiver.received), JOBS - 1)
        checks.expect("no signature was wrong", self.receiver.refused, 0)
        succeeded = sum(job.state == "succeeded" for job in self.client.jobs(tag="story", limit=JOBS) if job.id in ids)
        checks.expect("the ledger has them as succeeded", succeeded, JOBS - 1)
        unaccounted = self.metric("sum(holdfast_jobs_unaccounted)")
        checks.expect("holdfast_jobs_unaccounted", unaccounted, 0)

    def find_dead_letter(self, checks: Checks, job_id: str, letters: float) -> None:
        """The one that nobody wanted."""
        self.wait(lambda: self.metric("sum(holdfast_dead_letters)") == letters + 1, "the metric")
        job = self.client.get(job_id)
        print(f"\n4. One is dead: {job.failure.message if job.failure else 'it should be'}")
        checks.expect("its state", job.state, "dead")
        checks.expect("holdfast_dead_letters has grown by one", self.metric("sum(holdfast_dead_letters)"), letters + 1)

    def replay(self, checks: Checks, job_id: str, letters: float) -> None:
        """The receiver has changed its mind."""
        self.closed.recover()
        [letter] = [
            it for it in self.client.dead_letters(DeadLetterFilter(error="ReceiverGone")) if it.job_id == job_id
        ]
        self.client.replay(letter.id, reason="the story")
        job = self.client.wait(job_id, timeout=LONGEST)
        print("\n5. Its receiver wants it after all, and it is replayed")
        checks.expect("the same job has succeeded", (job.id, job.state), (job_id, "succeeded"))
        checks.expect("it arrived once", len(self.closed.received), 1)
        self.wait(lambda: self.metric("sum(holdfast_dead_letters)") == letters, "the metric")
        checks.expect("holdfast_dead_letters is what it was", self.metric("sum(holdfast_dead_letters)"), letters)

    # -- what it looks at -------------------------------------------------------------------------------------

    def metric(self, expression: str) -> float:
        """An instant query; 0 where there is no series."""
        answer = self.http.get(f"{self.prometheus}/api/v1/query", params={"query": expression}).json()
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def told_by_api(self, name: str) -> float:
        """A counter of the api process itself, summed over its labels: exact, and not a scrape old."""
        text = self.http.get(f"{self.settings.api_url}/metrics").raise_for_status().text
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))

    def open_jobs(self) -> int:
        """Jobs that are queued, running or waiting, by the ledger."""
        headers = (
            {"Authorization": f"Bearer {self.settings.api_key.get_secret_value()}"} if self.settings.api_key else {}
        )
        stats: Any = self.http.get(f"{self.settings.api_url}/v1/stats", headers=headers).raise_for_status().json()
        return sum(int(stats["jobs"][state]) for state in ("queued", "running", "waiting"))

    def sandbox(self, *words: str) -> None:
        """Kill or start processes of the platform."""
        subprocess.run([sys.executable, str(SANDBOX), "platform", *words], check=True, stdout=subprocess.DEVNULL)

    @staticmethod
    def wait(until: Callable[[], bool], what: str) -> bool:
        """Wait for a condition; False when it did not come true in time."""
        end = time.monotonic() + LONGEST
        shown = time.monotonic()
        while not until():
            if time.monotonic() > end:
                print(f"   waited {LONGEST:g} s for {what} in vain")
                return False
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                print(f"   … waiting for {what}", flush=True)
            time.sleep(0.05)
        return True


if __name__ == "__main__":
    sys.exit(main())
