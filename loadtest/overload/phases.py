"""What is measured, one function for each figure of the report."""

from __future__ import annotations

import os
import secrets
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from campaign.world import Sandbox, own_ports, query

from harness import Platform, eventually
from holdfast.adapters.postgres.migrate import upgrade
from holdfast.settings import Settings

from .h2load import Offered, ask_in_turn, offer

CALLERS_IN_TURN = 16
"""Enough to keep an api busy, and few enough for none of them to wait long."""
PRIORITIES = ("low", "default", "high")
NATIVE = ("LD_LIBRARY_PATH", "FONTCONFIG_FILE")
"""Where the sandbox has put what PDFs need, if this machine has not all of it."""
NICENESS = 5
"""Of the workers, which in production have machines of their own: they take what the api leaves."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The ledger against what the callers were told, by the number of jobs."""

    accepted: int
    missing: int
    """Accepted, and not in the ledger."""
    unwanted: int
    """In the ledger, though their callers got no 202, nor no answer."""
    open: int
    """In the ledger, and not succeeded in the end."""
    seconds: float
    """From the end of the load until all had ended."""

    @property
    def held(self) -> bool:
        return not (self.missing or self.unwanted or self.open)


@dataclass(frozen=True, slots=True)
class Refusals:
    """How a queue that nobody works off filled up: seconds and ready jobs at the first refusal of each priority."""

    bound: int
    first: dict[str, dict[str, float]]
    recovered: float
    """Seconds from the start of a worker until `low` was accepted again."""

    @property
    def in_order(self) -> bool:
        """Whether `low` was refused before `default`, and `default` before `high`."""
        ready = [self.first[priority]["ready"] for priority in PRIORITIES if priority in self.first]
        return len(ready) == len(PRIORITIES) and ready[0] < ready[1] < ready[2]


@contextmanager
def platform(sandbox: Sandbox, *members: str, **overrides: Any) -> Iterator[Platform]:
    """One api, and what else is named, without rate limits and with room for any backlog."""
    given = sandbox.addresses()
    names = ("postgres_url", "rabbitmq_url", "rabbitmq_management_url", "redis_url")
    settings = Settings(
        **{name: given[f"HOLDFAST_{name.upper()}"] for name in names},
        artifacts_url=f"file://{sandbox.root / 'artifacts'}",
        rate_limit_key="off",
        rate_limit_tenant="off",
        backlog_jobs=10**9,
        backlog_wait=10**9,
        log_level="WARNING",
    ).model_copy(update=overrides)
    upgrade(settings.postgres_url.get_secret_value())
    native = {name: given[name] for name in NATIVE if name in given}
    running = Platform(settings, sandbox.root, port=own_ports(1)[0], apart=True, environment=native)
    try:
        for member in ("api", *members):
            process = running.start(member).process
            if member != "api":
                stand_back(process.pid)
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


def stand_back(pid: int) -> None:
    """Lower the priority of a worker, which leads a session: the session's too, where Linux goes by that."""
    os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    session = Path(f"/proc/{pid}/autogroup")
    if session.exists():
        session.write_text(str(NICENESS))


@dataclass(frozen=True, slots=True)
class Generator:
    """h2load, and the api that it is pointed at."""

    program: str
    url: str

    def quiet(self, running: Platform) -> float:
        """The median answer in milliseconds while nothing else happens, after a warm-up that has been worked off."""
        audit(running, ask_in_turn(self.program, self.url, _run(), callers=CALLERS_IN_TURN, seconds=3))
        with httpx.Client(base_url=self.url) as api:
            return statistics.median(_answer(api) for _ in range(100))

    def sustained(self, seconds: float) -> Offered:
        """What the machine does when it sets the pace itself, workers and generator included.

        For an api that sheds nothing: a caller who is refused at once would come back at once.
        """
        return ask_in_turn(self.program, self.url, _run(), callers=CALLERS_IN_TURN, seconds=seconds)

    def overload(self, rate: float, seconds: float) -> Offered:
        """Offer `rate` submits a second."""
        return offer(self.program, self.url, _run(), rate=rate, seconds=seconds)


def recovery(url: str, usual: float, within: float = 30.0) -> float:
    """Seconds until ten answers in a row are accepted within 50 ms and their median is within twice the usual one."""
    begun = time.monotonic()
    with httpx.Client(base_url=url) as api:
        while time.monotonic() < begun + within:
            at, answers = time.monotonic(), [_answer(api) for _ in range(10)]
            if max(answers) < 50 and statistics.median(answers) < 2 * usual:
                return at - begun
    return float("inf")


def audit(platform: Platform, offered: Offered, within: float = 120.0) -> Audit:
    """Wait until what was accepted has ended, then count."""
    begun, url = time.monotonic(), platform.settings.postgres_url.get_secret_value()
    states = "SELECT state, count(*) AS jobs FROM jobs WHERE tags ? $1 GROUP BY state"

    def counted() -> dict[str, int]:
        return {row["state"]: row["jobs"] for row in query(url, states, offered.run)}

    found = eventually(
        counted, lambda now: not now.keys() & {"queued", "running", "waiting"}, within=within, every=0.25
    )
    seconds, told, kept = time.monotonic() - begun, offered.accepted.count, sum(found.values())
    return Audit(
        accepted=told,
        missing=max(0, told - kept),
        unwanted=max(0, kept - told - offered.others),
        open=kept - found.get("succeeded", 0),
        seconds=seconds,
    )


def order_of_refusal(sandbox: Sandbox, bound: int, rate: float = 40.0, within: float = 90.0) -> Refusals:
    """Fill a queue that nobody works off with urgent jobs, ask with all priorities on the way; then start a worker."""
    with platform(sandbox, backlog_jobs=bound) as running, running.client() as api:
        first: dict[str, dict[str, float]] = {}
        begun, sent = time.monotonic(), 0
        while len(first) < len(PRIORITIES) and (elapsed := time.monotonic() - begun) < within:
            if sent > elapsed * rate:
                time.sleep(0.005)
                continue
            sent += 1
            for priority in PRIORITIES if sent % 20 == 0 else ("high",):
                answer = _submit(api, priority)
                if answer.status_code == 503 and priority not in first:
                    first[priority] = {"seconds": round(elapsed, 1), "ready": answer.json()["ready"]}
        running.start("worker-webhook")
        running.wait_ready("worker-webhook")
        started = time.monotonic()
        eventually(lambda: _submit(api, "low").status_code, lambda status: status == 202, within=60, every=0.2)
        return Refusals(bound, first, time.monotonic() - started)


def _submit(api: httpx.Client, priority: str) -> httpx.Response:
    return api.post("/v1/jobs", json={"kind": "test.noop", "payload": {}, "priority": priority})


def _answer(api: httpx.Client) -> float:
    """Milliseconds of one submit; infinite when it is refused."""
    begun = time.monotonic()
    accepted = _submit(api, "default").status_code == 202
    return (time.monotonic() - begun) * 1000 if accepted else float("inf")


def _run() -> str:
    """A name for a run, the tag of its jobs."""
    return f"r{secrets.token_hex(4)}"
