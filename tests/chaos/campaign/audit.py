"""The promises, checked when the dust has settled: against the ledger, the observer, the broker and the files.

Every check names its offenders, so that a broken promise can be followed job by job.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from .orders import Fate, Order
from .submitter import Reposts
from .world import query

TAKEN = 204
Arrivals = Mapping[str, Sequence[tuple[str | None, int]]]

JOBS = "SELECT id::text, idempotency_key AS key, kind, state, attempt, result::text, failure::text FROM jobs"
OPEN = "SELECT id::text FROM jobs WHERE state NOT IN ('succeeded', 'dead', 'cancelled')"
WINS = "SELECT job_id::text AS id, count(*) AS wins FROM attempts WHERE state = 'succeeded' GROUP BY job_id"
LETTERS = "SELECT job_id::text AS id, reason, replayed_at, dropped_at FROM dead_letters"
UNFILED = (
    "SELECT id::text FROM jobs WHERE state = 'dead' AND NOT EXISTS (SELECT FROM dead_letters WHERE job_id = jobs.id)"
)
TIMELINE = """
SELECT a.job_id::text, a.number, a.state, a.deliveries, a.worker, a.started_at::text, a.finished_at::text,
       a.failure::text
FROM attempts a WHERE a.job_id = ANY($1::uuid[]) ORDER BY a.job_id, a.number
"""


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise and how it was found."""

    text: str
    measured: str
    offenders: Sequence[str] = ()

    @property
    def held(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.offenders


@dataclass(slots=True)
class Evidence:
    """All that is known when the campaign is over."""

    orders: Sequence[Order]
    accepted: Mapping[int, str]
    refused: Sequence[str]
    arrivals: Arrivals
    during: Reposts
    afterwards: Reposts
    ledger: str
    artifacts: Path
    queues: Mapping[str, int]
    unaccounted: float | None
    """The platform's own metric; None where it has none yet."""
    jobs: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.jobs = query(self.ledger, JOBS)


def settled(ledger: str, queues: Callable[[], Mapping[str, int]], *, within: float, say: Callable[[str], None]) -> bool:
    """Wait until every job has ended, the dead are filed and the outbox is empty; False when time runs out."""
    end = time.monotonic() + within
    while True:
        left = len(query(ledger, OPEN))
        unfiled = len(query(ledger, UNFILED))
        outbox = query(ledger, "SELECT count(*) AS rows FROM outbox")[0]["rows"]
        if not (left or unfiled or outbox or sum(queues().values())):
            return True
        if time.monotonic() > end:
            return False
        say(f"{left} jobs open, {unfiled} dead not filed yet, {outbox} rows in the outbox")
        time.sleep(1)


def audit(seen: Evidence) -> list[Promise]:
    """Every promise in turn."""
    return [
        _every_order_was_accepted(seen),
        _every_job_ended(seen),
        _nothing_is_unaccounted_for(seen),
        _one_key_one_job(seen),
        _reposts("a key posted again in the middle of the faults is answered with its first job", seen.during),
        _reposts("every key posted again afterwards is answered with its first job", seen.afterwards),
        _each_met_its_fate(seen),
        _the_dead_are_filed_once(seen),
        _one_settled_success_each(seen),
        _artifacts_are_there(seen),
        _webhooks_arrived(seen),
        _one_webhook_id_each(seen),
        _queues_are_empty(seen),
    ]


def redelivered(arrivals: Arrivals) -> dict[str, int]:
    """Orders that were taken more than once, with how often."""
    taken = {order: sum(status == TAKEN for _, status in each) for order, each in arrivals.items()}
    return {order: times for order, times in taken.items() if times > 1}


def timelines(ledger: str, ids: Iterable[str]) -> list[dict[str, Any]]:
    """The attempts of some jobs: the evidence of a broken promise."""
    return [dict(row) for row in query(ledger, TIMELINE, list(ids))]


def _every_order_was_accepted(seen: Evidence) -> Promise:
    missing = [order.key for order in seen.orders if order.number not in seen.accepted]
    return Promise(
        "every order was accepted in the end",
        f"{len(seen.accepted)} of {len(seen.orders)}",
        [*seen.refused, *(key for key in missing if not any(key in why for why in seen.refused))],
    )


def _every_job_ended(seen: Evidence) -> Promise:
    states = Counter(job["state"] for job in seen.jobs)
    ended = {name: states.pop(name, 0) for name in ("succeeded", "dead", "cancelled")}
    told = " + ".join(f"{count} {name}" for name, count in ended.items())
    open_jobs = [f"{job['id']} {job['state']}" for job in seen.jobs if job["state"] not in ended]
    difference = [] if sum(ended.values()) == len(seen.accepted) else [f"accepted {len(seen.accepted)}, ended {told}"]
    return Promise("accepted = succeeded + dead + cancelled", f"{len(seen.accepted)} = {told}", open_jobs + difference)


def _nothing_is_unaccounted_for(seen: Evidence) -> Promise:
    there = {job["id"] for job in seen.jobs}
    lost = [job_id for job_id in seen.accepted.values() if job_id not in there]
    metric = "not exported" if seen.unaccounted is None else f"{seen.unaccounted:g}"
    if seen.unaccounted:
        lost.append(f"holdfast_jobs_unaccounted is {metric}")
    return Promise(
        "no accepted job is unaccounted for", f"{len(lost)} by the ledger; holdfast_jobs_unaccounted: {metric}", lost
    )


def _one_key_one_job(seen: Evidence) -> Promise:
    by_key = defaultdict(list)
    for job in seen.jobs:
        by_key[job["key"]].append(job["id"])
    first = {order.key: seen.accepted.get(order.number) for order in seen.orders}
    wrong = [f"{key}: {ids}, answered {first.get(key)}" for key, ids in by_key.items() if ids != [first.get(key)]]
    return Promise(
        "one key made one job, the one that was answered", f"{len(by_key)} keys, {len(seen.jobs)} jobs", wrong
    )


def _reposts(text: str, found: Reposts) -> Promise:
    share = 100 * found.same / found.asked if found.asked else 100.0
    return Promise(text, f"{found.same} of {found.asked} ({share:.6g} %)", found.wrong)


def _each_met_its_fate(seen: Evidence) -> Promise:
    fates = {order.key: order.fate for order in seen.orders}
    wrong = []
    for job in seen.jobs:
        end = json.loads(job["failure"])["reason"] if job["state"] == "dead" else job["state"]
        if end != fates[job["key"]].value:
            wrong.append(f"{job['id']} ({job['kind']}): meant {fates[job['key']].value}, ended {end}")
    told = ", ".join(f"{count} {fate.value}" for fate, count in sorted(Counter(fates.values()).items()))
    return Promise("those died that were meant to, of the cause they were meant to", told, wrong)


def _the_dead_are_filed_once(seen: Evidence) -> Promise:
    meant = {seen.accepted[o.number]: o.fate.value for o in seen.orders if o.fate.dies and o.number in seen.accepted}
    letters = [(row["id"], row["reason"]) for row in query(seen.ledger, LETTERS)]
    wrong = [f"{job_id}: filed as {reason}" for job_id, reason in letters if meant.get(job_id) != reason]
    wrong += [f"{job_id}: {times} letters" for job_id, times in Counter(i for i, _ in letters).items() if times > 1]
    wrong += [f"{job_id}: no letter" for job_id in meant.keys() - {job_id for job_id, _ in letters}]
    return Promise("each dead job has one dead letter, with its reason", f"{len(letters)} of {len(meant)}", wrong)


def _one_settled_success_each(seen: Evidence) -> Promise:
    wins = {row["id"]: row["wins"] for row in query(seen.ledger, WINS)}
    wrong = [
        f"{job['id']} {job['state']}: {wins.get(job['id'], 0)} successes"
        for job in seen.jobs
        if wins.get(job["id"], 0) != (job["state"] == "succeeded")
    ]
    return Promise("a succeeded job settled one success, any other none", f"{sum(wins.values())} successes", wrong)


def _artifacts_are_there(seen: Evidence) -> Promise:
    wrong, checked = [], 0
    for job in seen.jobs:
        if job["kind"] not in {"image.transform", "pdf.render"} or job["state"] != "succeeded":
            continue
        listed = json.loads(job["result"]).get("artifacts", [])
        sets = {artifact["key"].rsplit("/", 1)[0] for artifact in listed}
        if len(sets) != 1:
            wrong.append(f"{job['id']}: artifacts of {len(sets)} winners")
        for artifact in listed:
            checked += 1
            file = seen.artifacts / artifact["key"]
            if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != artifact["sha256"]:
                wrong.append(f"{job['id']}: {artifact['key']} is missing or differs")
    return Promise("every artifact is there, byte for byte, of one winning attempt", f"{checked} artifacts", wrong)


def _webhooks_arrived(seen: Evidence) -> Promise:
    due = [o for o in seen.orders if o.kind == "webhook.dispatch" and o.fate is Fate.SUCCEEDED]
    taken = {order for order, each in seen.arrivals.items() if any(status == TAKEN for _, status in each)}
    lost = [f"{order.key}: {seen.accepted.get(order.number)}" for order in due if str(order.number) not in taken]
    return Promise("every webhook arrived", f"{len(due) - len(lost)} of {len(due)}", lost)


def _one_webhook_id_each(seen: Evidence) -> Promise:
    wrong = []
    for order, each in seen.arrivals.items():
        expected = "msg_" + seen.accepted.get(int(order), "").replace("-", "")
        ids = {webhook_id for webhook_id, _ in each}
        if ids != {expected}:
            wrong.append(f"order {order}: {sorted(map(str, ids))} instead of {expected}")
    again = redelivered(seen.arrivals)
    extra = sum(times - 1 for times in again.values())
    told = f"{len(again)} webhooks were taken again ({extra} extra deliveries), 0 of them under another id"
    return Promise("a webhook that arrives again carries the same webhook-id", told if not wrong else "", wrong)


def _queues_are_empty(seen: Evidence) -> Promise:
    left = [f"{name}: {count}" for name, count in seen.queues.items() if count]
    return Promise("no message is left in any queue", f"{len(seen.queues)} queues", left)


def queue_lengths(management: str, vhost: str) -> dict[str, int]:
    """Messages of each queue, as the management API counts them (seconds stale)."""
    parts = urlsplit(management)
    found = httpx.get(
        f"http://{parts.hostname}:{parts.port}/api/queues/{vhost}",
        auth=(parts.username or "", parts.password or ""),
        timeout=60,
    )
    return {queue["name"]: queue.get("messages", 0) for queue in found.raise_for_status().json()}
